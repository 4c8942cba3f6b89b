"""Runs as people read them: a table at the terminal, Markdown for a page. Both show the same rows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from smallmesh.evaluation.figures import Change, Figure
from smallmesh.evaluation.runs import Comparison, Mistake, Run

_HEADINGS = ("measure", "value", "95 % interval", "n", "plainest way", "before", "change")
_NAMED = 6
"""Cases that are named in one line; of more, how many they are."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure in words.

    Attributes:
        cells: One a heading.
        better: Whether it got better; None where it did not change for certain.
    """

    cells: tuple[str, ...]
    better: bool | None = None


def rows(run: Run, comparison: Comparison | None) -> list[Row]:
    """Return a run's figures in words."""
    return [_row(figure, comparison.of(figure.name) if comparison else None) for figure in run.figures]


def _row(figure: Figure, change: Change | None) -> Row:
    interval = f"{figure.low:.3f} to {figure.high:.3f}" if figure.low is not None else ""
    plain = f"{figure.plain:.3f}" if figure.plain is not None else ""
    before = f"{change.before:.3f}" if change else ""
    name = figure.name if figure.name.count(".") < 2 else f"  {figure.name}"  # noqa: PLR2004 - FIELD.MEASURE.CLASS
    cells = (name, f"{figure.value:.3f}", interval, f"{figure.n:,}", plain, before, _said(change))
    return Row(cells, change.better if change else None)


def _used(shown: Sequence[Row]) -> list[int]:
    """Return the columns that have something in them."""
    return [place for place in range(len(_HEADINGS)) if any(row.cells[place] for row in shown)]


def _said(change: Change | None) -> str:
    if change is None:
        return ""
    if change.now == change.before:
        return "none"
    verdict = {None: "noise", True: "better", False: "worse"}[change.better]
    return f"{change.now - change.before:+.3f} {verdict}"


def lines(run: Run, comparison: Comparison | None) -> list[str]:
    """Return what of a run is not a figure of its answers, a sentence a line."""
    return [
        _latency(run, comparison),
        _memory(run),
        *(f"costly: {_mistake(mistake)}" for mistake in run.mistakes if mistake.cases),
        *_avoided(run.mistakes),
        *(f"errors: {code} in {_counted(number, 'case')}" for code, number in sorted(run.errors.items())),
        *([f"left out: {_counted(run.data.broken, 'broken line')} of {run.data.name}"] if run.data.broken else []),
        *(_flips(run, comparison) if comparison else []),
    ]


def _latency(run: Run, comparison: Comparison | None) -> str:
    latency = run.latency
    over = f"{latency.over:.1%} over 4 s" if latency.over else "none over 4 s"
    before = f" (before: p95 {comparison.before.latency.p95:.0f})" if comparison else ""
    return f"latency: p50 {latency.p50:.0f} ms, p95 {latency.p95:.0f}, p99 {latency.p99:.0f}, longest {latency.longest:.0f}; {over}{before}"


def _memory(run: Run) -> str:
    read = f"{_counted(run.tokens, 'token')} in {_counted(run.windows, 'window')}, {run.took_s:.1f} s with loading"
    if run.memory.peak is None:
        return f"read: {read}"
    chassis = f", {run.memory.before:.0f} of them before the agent was loaded" if run.memory.before is not None else ""
    return f"memory: {run.memory.peak:.0f} MB at most{chassis}; {read}"


def _mistake(mistake: Mistake) -> str:
    often = f"{len(mistake.cases)} of {mistake.possible}, where it counts {mistake.weight:g} times"
    return f"{mistake.name}: {often} ({_ids(mistake.cases)})"


def _avoided(mistakes: Iterable[Mistake]) -> list[str]:
    avoided = [f"{mistake.name} (0 of {mistake.possible})" for mistake in mistakes if not mistake.cases]
    return [f"costly, none: {', '.join(avoided)}"] if avoided else []


def _flips(run: Run, comparison: Comparison) -> list[str]:
    before = comparison.before
    when = f"{before.started:%Y-%m-%d %H:%M} UTC"
    if before.served.model_id != run.served.model_id:
        when = f"{before.served.model_id} of {when}"
    if not (comparison.mended or comparison.lost):
        return [f"compared with {when}: the same cases pass"]
    sides = (("mended", comparison.mended), ("lost", comparison.lost))
    return [f"compared with {when}: {_counted(len(ids), 'case')} {what} ({_ids(ids)})" for what, ids in sides if ids]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def _ids(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join("".join(c if c.isprintable() else " " for c in one) for one in ids[:_NAMED]) + more


def _title(run: Run) -> str:
    limit = f" (--limit {run.data.limit})" if run.data.limit is not None else ""
    return f"{run.served.model_id} · {_counted(len(run.cases), 'case')} of {run.data.name}{limit} · {run.started:%Y-%m-%d %H:%M} UTC"


# ---------------------------------------------------------------- the terminal


def print_run(run: Run, comparison: Comparison | None, console: Console) -> None:
    """Print one run."""
    parts: list[RenderableType] = [Text.assemble((run.agent, "bold"), " · ", _title(run)), _table(run, comparison)]
    console.print(Group(*parts, *(Text(line) for line in lines(run, comparison))))


def _table(run: Run, comparison: Comparison | None) -> Table:
    shown = rows(run, comparison)
    used = _used(shown)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for place in used:
        table.add_column(_HEADINGS[place], justify="left" if place in {0, 2, len(_HEADINGS) - 1} else "right", no_wrap=place == 0)
    for row in shown:
        style = {None: "", True: "green", False: "red"}[row.better]
        table.add_row(*(Text(row.cells[place], style if place == len(_HEADINGS) - 1 else "") for place in used))
    return table


def list_table(agents: Iterable[tuple[str, int, int, Run | None]]) -> Table:
    """Return agents with their golden cases, the broken lines among them, and their last run."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("agent", "golden cases", "broken lines", "last run", "over", "score", "passed"):
        table.add_column(heading, justify="right" if heading in {"golden cases", "broken lines", "score", "passed"} else "left")
    for name, cases, broken, last in agents:
        figures = [last.figure(measure) for measure in ("score", "passed")] if last else []
        values = [f"{figure.value:.3f}" if figure else "" for figure in figures]
        when = (f"{last.started:%Y-%m-%d %H:%M} UTC", f"{len(last.cases):,} of {last.data.name}") if last else ("never", "")
        table.add_row(name, str(cases or "none"), str(broken or ""), *when, *values)
    return table


# ---------------------------------------------------------------- Markdown


def markdown(runs: Iterable[Run], comparison_of: Callable[[Run], Comparison | None]) -> str:
    """Return runs as a part of a page."""
    return "\n".join(_section(run, comparison_of(run)) for run in runs)


def _section(run: Run, comparison: Comparison | None) -> str:
    host = f"{run.host.get('cpus')} cores of {run.host.get('cpu') or run.host.get('machine')}"
    facts = f"`{run.served.model_id}`, {_counted(len(run.cases), 'case')} of `{run.data.name}`, {run.started:%Y-%m-%d}, {host}."
    shown = rows(run, comparison)
    used = _used(shown)
    cells = [_HEADINGS, ("---",) * len(_HEADINGS), *(row.cells for row in shown)]
    table = [f"| {' | '.join(line[place].strip() for place in used)} |" for line in cells]
    return "\n".join([f"### {run.agent}", "", facts, "", *table, "", *(f"- {line}" for line in lines(run, comparison)), ""])
