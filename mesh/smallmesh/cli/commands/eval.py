"""``smallmesh eval``: how good agents are, on cases with known answers."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from smallmesh.cli.completing import complete_agents, complete_tiers
from smallmesh.cli.exits import Exit
from smallmesh.cli.options import AsJson

EXAMPLES = (
    ("smallmesh eval run", "every agent that has golden cases"),
    ("smallmesh eval run ner summarizer --markdown figures.md", "two of them, with the tables for a page"),
    ("smallmesh eval run sentiment --data reviews.jsonl", 'your own: lines like {"text": "...", "label": "positive"}'),
    ("smallmesh eval run ner --fail-under entities.f1=0.7 --fail-over p95_ms=4000", "in CI: exit code 1 where a bar is missed"),
    ("smallmesh eval run sentiment --tier embedded --tier small", "two of its models on the same cases: is the smaller one good enough?"),
    ("smallmesh eval ls", "which agents have cases, and how their last run went"),
    ("smallmesh eval show ner", "the last run of one agent again"),
)


def run(  # noqa: PLR0913 - its options
    *,
    agents: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="AGENT", help="Which agents; without it, all with golden cases.", show_default=False, autocompletion=complete_agents
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, readable=True, help="Cases for one agent, instead of its golden ones."),
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(metavar="TIER", help="Which of their models; without it what serves. Repeatable.", autocompletion=complete_tiers),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N cases of each file.")] = None,
    fail_under: Annotated[
        list[str] | None, typer.Option("--fail-under", metavar="METRIC=VALUE", help="Exit with 1 where it is less. Repeatable.")
    ] = None,
    fail_over: Annotated[
        list[str] | None, typer.Option("--fail-over", metavar="METRIC=VALUE", help="The same where it is more. Repeatable.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write the tables there, as Markdown.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure agents on cases with known answers.

    Each agent answers in a process of its own, one case after another, without a broker. What came
    is kept in SMALLMESH_STATE_DIR, without texts, and compared with the last run over the same
    cases: a difference that would come and go with a few cases is called noise.

    A broken line is reported with its number, and the rest goes on; the exit code is then 1, as
    it is where a bar is missed. An answer that is an error counts as wrong, and in `valid`.
    """
    from smallmesh.cli import evaluating  # noqa: PLC0415 - numpy and rich, which a Tab need not load
    from smallmesh.cli.output import print_json  # noqa: PLC0415

    bars = evaluating.read_bars(fail_under or [], fail_over or [])
    jobs = evaluating.jobs(agents or [], tier or [], data, limit)
    broken = evaluating.report_broken(jobs)
    kept = evaluating.kept_runs()
    done = []
    for job in (one for one in jobs if one.data.cases):
        done.append(evaluating.measure(job, quiet=as_json))
        kept.keep(done[-1])
        if not as_json:
            evaluating.show_run(done[-1], kept)
    if as_json:
        print_json([evaluating.run_as_json(one, kept) for one in done])
    if markdown is not None:
        evaluating.write_markdown(markdown, done, kept)
    missed = evaluating.report_missed(bars, done) if done else 0
    if missed or broken:
        raise typer.Exit(Exit.ERROR)


def ls(*, as_json: AsJson = False) -> None:
    """List agents with their golden cases and their last run."""
    from smallmesh.cli import evaluating  # noqa: PLC0415 - numpy and rich, which a Tab need not load
    from smallmesh.cli.output import console, print_json  # noqa: PLC0415
    from smallmesh.evaluation.tables import list_table  # noqa: PLC0415

    kept, listed = evaluating.kept_runs(), evaluating.listed()
    if as_json:
        print_json([{**asdict(one), "last": evaluating.run_as_json(one.last, kept) if one.last else None} for one in listed])
    else:
        console.print(list_table((one.agent, one.cases, one.broken, one.last) for one in listed))


def show(
    *,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="An agent, for its last run, or a run's name. Without it, every agent's.", autocompletion=complete_agents
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a run that was kept, beside the one before it."""
    from smallmesh.cli import evaluating  # noqa: PLC0415 - numpy and rich, which a Tab need not load
    from smallmesh.cli.output import notes, print_json, printable  # noqa: PLC0415

    kept = evaluating.kept_runs()
    names = [name] if name else list(evaluating.catalogue().agents)
    found = [one for one in map(kept.find, names) if one is not None]
    if as_json:
        print_json([evaluating.run_as_json(one, kept) for one in found])
    else:
        for one in found:
            evaluating.show_run(one, kept, failed=name is not None)
    if not found:
        notes.print(f"no run is kept of {printable(name) if name else 'any agent'}: `smallmesh eval run` makes one", markup=False)
        raise typer.Exit(Exit.ERROR)


COMMANDS = {"run": run, "ls": ls, "show": show}
