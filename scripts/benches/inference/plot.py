"""Draws the comparison of a run as SVG: bars of documents or tokens a second, one panel a job."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

_BESIDE = ", beside "
_WIDTH, _NAMES, _BARS, _MARGIN = 860, 250, 380, 24
_ROW, _PANEL, _HEAD = 28, 52, 64
_OURS, _OTHERS, _TEXT, _FAINT = "#1f6f8b", "#b8bfc6", "#24292f", "#57606a"


@dataclass(frozen=True, slots=True)
class Bar:
    """One contestant's rate, and how many times faster ours is."""

    name: str
    value: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Panel:
    """The bars of one job, ours first."""

    title: str
    unit: str
    bars: tuple[Bar, ...]


def svg(report: Mapping[str, Any]) -> str:
    """Return the picture of a report, as :meth:`Report.as_dict` gives it."""
    panels = list(_panels(report["figures"]))
    height = _HEAD + sum(_PANEL + _ROW * len(panel.bars) for panel in panels) + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(_MARGIN, 32, "Same GGUF, same prompts, same run", size=17, weight=600),
        _text(_MARGIN, 52, report["title"], colour=_FAINT),
    ]
    top = _HEAD
    for panel in panels:
        lines += _panel(panel, top)
        top += _PANEL + _ROW * len(panel.bars)
    return "\n".join([*lines, "</svg>", ""])


def _panels(figures: Sequence[Mapping[str, Any]]) -> Iterator[Panel]:
    compared: dict[str, list[Mapping[str, Any]]] = {}
    for figure in figures:
        job, found, _ = figure["name"].partition(_BESIDE)
        if found and figure["unit"] in ("docs/s", "tok/s"):
            compared.setdefault(job, []).append(figure)
    for job, rows in compared.items():
        others = [Bar(row["name"].partition(_BESIDE)[2], row["beside"], row["ratio"]) for row in rows]
        unit = {"docs/s": "documents a second", "tok/s": "tokens a second"}[rows[0]["unit"]]
        yield Panel(job, unit, (Bar("smallmesh", rows[0]["value"], None), *others))


def _panel(panel: Panel, top: int) -> Iterator[str]:
    longest = max(bar.value for bar in panel.bars)
    yield _text(_MARGIN, top + 34, f"{panel.title[:1].upper()}{panel.title[1:]}", size=15, weight=600)
    yield _text(_MARGIN + _NAMES, top + 34, panel.unit, colour=_FAINT)
    for index, bar in enumerate(panel.bars):
        y = top + _PANEL - 6 + index * _ROW
        length = max(2.0, bar.value / longest * _BARS)
        said = f"{bar.value:.3g}" if bar.ratio is None else f"{bar.value:.3g}  (ours {bar.ratio:.2f} x)"
        yield _text(_MARGIN + _NAMES - 12, y + 15, bar.name, anchor="end")
        yield f'<rect x="{_MARGIN + _NAMES}" y="{y}" width="{length:.1f}" height="20" rx="2" fill="{_OTHERS if bar.ratio else _OURS}"/>'
        yield _text(_MARGIN + _NAMES + int(length) + 8, y + 15, said, colour=_FAINT)


def _text(x: int, y: int, text: str, *, size: int = 13, weight: int = 400, colour: str = _TEXT, anchor: str = "start") -> str:  # noqa: PLR0913 - what SVG's text has
    return f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
