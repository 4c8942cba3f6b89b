"""``scripts/bench``: one command a benchmark."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from scripts.benches.agents import measure as measure_agents
from scripts.benches.bus import measure as measure_bus
from scripts.benches.figures import Report, table
from scripts.benches.long import measure as measure_long

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.callback()
def benchmarks() -> None:
    """Measure the mesh against named alternatives in the same run.

    Example: scripts/bench bus --rounds 500
    """


@app.command()
def bus(
    rounds: Annotated[int, typer.Option(help="Asks, and tasks one at a time.")] = 1000,
    load: Annotated[int, typer.Option(help="Durable tasks with 64 in flight.")] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure what the bus costs: asks and durable tasks of four agents that do nothing, beside raw nats-py."""
    _show(measure_bus(rounds, load, quiet=as_json), as_json=as_json)


@app.command()
def agents(
    rounds: Annotated[int, typer.Option(help="Asks of each agent.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure what the shipped agents take: time to ready, time of an ask, memory, idle processor time."""
    _show(measure_agents(rounds, quiet=as_json), as_json=as_json)


@app.command()
def long(
    rounds: Annotated[int, typer.Option(help="Long texts, one after the other.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure the longest interactive text through every agent, and asks of short texts beside it."""
    _show(measure_long(rounds, quiet=as_json), as_json=as_json)


def _show(measuring: Coroutine[Any, Any, Report], *, as_json: bool) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measuring)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=1))
    else:
        Console().print(table(report))


if __name__ == "__main__":
    app()
