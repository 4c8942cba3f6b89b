"""Figures and how they are shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import quantiles

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement.

    Attributes:
        name: What was measured.
        value: The figure.
        unit: Of the figure.
        beside: The raw figure it is held against, where there is one.
        ratio: ``value / beside``.
        target: What it must reach, in words.
        met: Whether it does.
    """

    name: str
    value: float
    unit: str
    beside: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


@dataclass
class Report:
    """The figures of one run."""

    title: str
    figures: list[Figure] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Return the report as JSON values."""
        return asdict(self)


def percentile(samples: Sequence[float], percent: int) -> float:
    """Return a percentile of some samples."""
    return quantiles(samples, n=100, method="inclusive")[percent - 1]


def table(report: Report) -> Table:
    """Return a report as a table for people."""
    shown = Table(title=report.title)
    for heading in ("measured", "figure", "raw beside it", "ratio", "target"):
        shown.add_column(heading, justify="left" if heading in ("measured", "target") else "right")
    for f in report.figures:
        mark = "" if f.met is None else ("[green]met[/]" if f.met else "[red]missed[/]")
        shown.add_row(
            f.name,
            f"{f.value:,.2f} {f.unit}",
            "" if f.beside is None else f"{f.beside:,.2f} {f.unit}",
            "" if f.ratio is None else f"{f.ratio:.2f}",
            f"{f.target} {mark}".strip(),
        )
    return shown
