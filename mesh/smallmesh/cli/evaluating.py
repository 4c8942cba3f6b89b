"""The work of ``smallmesh eval``: which agents on which cases, their answers, and what is shown of them.

It loads numpy and rich, so the commands import it when they are called.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from time import monotonic
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from smallmesh.catalogue import AgentFolder, Catalogue
from smallmesh.cli.output import console, notes, printable
from smallmesh.evaluation.bars import Bar, BarError, missed, read_bar
from smallmesh.evaluation.cases import GOLDEN_FILE, DataSet, read_cases
from smallmesh.evaluation.measure import Measured, answer_all, sum_up
from smallmesh.evaluation.process import agent_process
from smallmesh.evaluation.runs import Comparison, Run, Runs, compare
from smallmesh.evaluation.tables import markdown, print_run
from smallmesh.hosting.ladder.folder import ModelsFolder
from smallmesh.hosting.ladder.in_use import card_of
from smallmesh.settings import settings

FAILED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Job:
    """One agent, its cases, and the tier of its models that is asked; without one what serves."""

    found: AgentFolder
    data: DataSet
    tier: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One agent, how many golden cases it has, and its last run."""

    agent: str
    cases: int
    broken: int
    last: Run | None


# ---------------------------------------------------------------- what there is


def catalogue() -> Catalogue:
    """Return the agents there are."""
    return Catalogue.load(settings().agent_folders)


def kept_runs() -> Runs:
    """Return the runs kept here."""
    return Runs(settings().state_dir)


def listed() -> list[Listed]:
    """Return every agent with its golden cases and its last run."""
    runs = kept_runs()
    return [_listed(found, runs) for found in catalogue().agents.values()]


def _listed(found: AgentFolder, runs: Runs) -> Listed:
    file = found.folder / GOLDEN_FILE
    data = read_cases(file, found.agent) if file.is_file() else None
    cases, broken = (len(data.cases), len(data.broken)) if data else (0, 0)
    return Listed(found.agent.name, cases, broken, runs.find(found.agent.name))


def jobs(names: Sequence[str], tiers: Sequence[str], file: Path | None, limit: int | None) -> list[Job]:
    """Return what is to be measured: the agents named, else all that have golden cases; each with every tier named.

    Raises:
        typer.BadParameter: An agent without cases, or a file for none or several agents.
        CatalogueError: There is no agent of that name.
        ModelError: An agent has no tier of that name, or it was not pulled.
    """
    if file is not None and len(names) != 1:
        raise typer.BadParameter("name the one agent that its cases are for", param_hint="--data")
    there = catalogue()
    agents = [there.agent(name) for name in dict.fromkeys(names)] or [
        found for found in there.agents.values() if (found.folder / GOLDEN_FILE).is_file()
    ]
    lacking = [found.agent.name for found in agents if file is None and not (found.folder / GOLDEN_FILE).is_file()]
    if lacking or not agents:
        msg = f"{', '.join(lacking) or 'no agent'} has no {GOLDEN_FILE} in its folder: write one, or give --data FILE"
        raise typer.BadParameter(msg, param_hint="AGENT")
    models = ModelsFolder(settings().models_dir)
    for found, tier in product(agents, tiers):
        card_of(found.folder, models, tier)
    asked = [(found, read_cases(file or found.folder / GOLDEN_FILE, found.agent, limit)) for found in agents]
    return [Job(found, data, tier) for found, data in asked for tier in dict.fromkeys(tiers or (None,))]


def report_broken(wanted: Iterable[Job]) -> int:
    """Report every line that is no case, and every file without one; return how many there are."""
    broken = 0
    for job in wanted:
        of = f"{job.data.name} of {job.found.agent.name}"
        for line in job.data.broken:
            notes.print(f"{of}, line {line.line}: {printable(line.reason)}", markup=False)
        if not job.data.cases:
            notes.print(f"{of} has no case that could be asked", markup=False)
        broken += len(job.data.broken) + (not job.data.cases)
    return broken


def read_bars(under: Sequence[str], over: Sequence[str]) -> list[Bar]:
    """Read the bars of the command line.

    Raises:
        typer.BadParameter: One is not of the form.
    """
    try:
        return [read_bar(one, at_most=False) for one in under] + [read_bar(one, at_most=True) for one in over]
    except BarError as error:
        raise typer.BadParameter(str(error), param_hint="--fail-under, --fail-over") from None


def report_missed(bars: Sequence[Bar], runs: Sequence[Run]) -> int:
    """Report every bar that was missed; return how many there are.

    Raises:
        typer.BadParameter: A bar for what was not measured.
    """
    try:
        misses = missed(bars, runs)
    except BarError as error:
        raise typer.BadParameter(str(error), param_hint="--fail-under, --fail-over") from None
    for miss in misses:
        notes.print(miss, style="red", markup=False)
    return len(misses)


# ---------------------------------------------------------------- measuring


def measure(job: Job, *, quiet: bool) -> Run:
    """Have an agent's cases answered in a process of its own, and sum up what came.

    Raises:
        CatalogueError: A setting of the agent is wrong.
        ModelError: Its model cannot be served.
    """
    name, cases = job.found.agent.name, job.data.cases
    started, began = datetime.now(UTC), monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True, disable=quiet or not notes.is_terminal) as progress:
        bar = progress.add_task(name, total=len(cases))
        with agent_process(name, job.tier) as answerer:
            outcomes = answer_all(answerer, cases, lambda: progress.advance(bar))
            memory = answerer.finish()
    return sum_up(job.found.agent, job.data, Measured(answerer.served, outcomes, memory, started, monotonic() - began))


# ---------------------------------------------------------------- showing


def compared(run: Run, runs: Runs) -> Comparison | None:
    """Compare a run with the one before it."""
    before = runs.before(run)
    return compare(before, run) if before is not None else None


def show_run(run: Run, runs: Runs, *, failed: bool = False) -> None:
    """Print a run, where asked with the cases that did not pass."""
    print_run(run, compared(run, runs), console)
    if failed:
        wrong = [case.id for case in run.cases if case.passed is False]
        more = " …" if len(wrong) > FAILED_SHOWN else ""
        console.print(f"not passed ({len(wrong)}): {printable(', '.join(wrong[:FAILED_SHOWN]))}{more}", markup=False)
    console.print(f"kept as {run.name}\n", style="dim", markup=False)


def run_as_json(run: Run, runs: Runs) -> dict[str, Any]:
    """Return a run for programs."""
    comparison = compared(run, runs)
    told = run.model_dump(mode="json", exclude={"cases": {"__all__": {"sums"}}})
    return {"name": run.name, **told, "compared": _comparison_as_json(comparison) if comparison else None}


def _comparison_as_json(comparison: Comparison) -> dict[str, Any]:
    changes = [asdict(change) for change in comparison.changes]
    return {"with": comparison.before.name, "changes": changes, "mended": comparison.mended, "lost": comparison.lost}


def write_markdown(file: Path, done: Iterable[Run], runs: Runs) -> None:
    """Write runs down as a part of a page.

    Raises:
        typer.BadParameter: It cannot be written there.
    """
    try:
        file.write_text(markdown(done, lambda run: compared(run, runs)), encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}", param_hint="--markdown") from None
