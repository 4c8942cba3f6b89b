"""``scripts/bench``: one command a benchmark."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from scripts.benches.agents import measure as measure_agents
from scripts.benches.bus import measure as measure_bus
from scripts.benches.durability import measure as measure_durability
from scripts.benches.figures import Report, table
from scripts.benches.inference.plot import svg
from scripts.benches.lanes import measure as measure_lanes
from scripts.benches.leases import measure as measure_leases
from scripts.benches.long import measure as measure_long
from scripts.benches.waiting import measure as measure_waiting
from scripts.benches.weight import measure as measure_weight

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


@app.command()
def leases(
    tasks: Annotated[int, typer.Option(help="Open leases.")] = 10_000,
    seconds: Annotated[float, typer.Option(help="How long they are held.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure what many open leases cost one orchestrator: processor, memory, and whether it still answers."""
    _show(measure_leases(tasks, seconds, quiet=as_json), as_json=as_json)


@app.command()
def weight(
    results: Annotated[int, typer.Option(help="Terminal results that are kept.")] = 100_000,
    reads: Annotated[int, typer.Option(help="How many of them are read, at random.")] = 10_000,
    memory_limit: Annotated[int, typer.Option(metavar="MIB", help="The broker's GOMEMLIMIT; 0 for none.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure what kept results cost a broker: memory, disk, restarts, reads, expiry."""
    _show(measure_weight(results, reads, memory_limit, quiet=as_json), as_json=as_json)


@app.command()
def waiting(
    sizes: Annotated[list[int] | None, typer.Option("--size", help="How many wait. Repeatable.", show_default="100, 10000, 100000")] = None,
    tasks: Annotated[int, typer.Option(help="Tasks that are finished in each window.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure what a task costs while few or many others wait, and whether anybody's memory grows with them."""
    _show(measure_waiting(sizes or [100, 10_000, 100_000], tasks, quiet=as_json), as_json=as_json)


@app.command()
def durability(
    rounds: Annotated[int, typer.Option(help="Results kept one at a time.")] = 500,
    load: Annotated[int, typer.Option(help="Results kept with 64 in flight.")] = 5000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure what it costs that brokers write to the disk often, or before they acknowledge: one broker, and three."""
    _show(measure_durability(rounds, load, quiet=as_json), as_json=as_json)


@app.command()
def lanes(
    rounds: Annotated[int, typer.Option(help="Interactive tasks of each kind.")] = 100,
    window_ms: Annotated[float, typer.Option(help="What a window of the agent takes.")] = 20.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure what a bulk backlog does to interactive tasks, with one and with three replicas."""
    _show(measure_lanes(rounds, window_ms, quiet=as_json), as_json=as_json)


@app.command()
def inference(  # noqa: PLR0913 - one option each
    *,
    shape: Annotated[str, typer.Option(help="Of the random model: 0.5b, 1.5b; tiny tries the benchmark itself.")] = "0.5b",
    rounds: Annotated[int, typer.Option(help="Rounds in which every contestant has its turn.")] = 3,
    quick: Annotated[bool, typer.Option(help="One round, fewer documents.")] = False,
    threads: Annotated[int | None, typer.Option(help="Of every contestant.", show_default="the cores")] = None,
    sources: Annotated[Path | None, typer.Option(help="Sources of llama.cpp, instead of downloading them.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the comparison there, as SVG.")] = None,
    drawn: Annotated[Path | None, typer.Option("--from", help="Draw what an earlier run printed as JSON, and measure nothing.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure instruct models: ours beside Llama of llama-cpp-python and llama-server, which is built where there is none."""
    if drawn is not None and plot is not None:
        plot.write_text(svg(json.loads(drawn.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    from scripts.benches.inference.bench import Wanted, measure  # noqa: PLC0415 - llama.cpp is loaded by this benchmark only

    wanted = Wanted(shape, rounds=1 if quick else rounds, waves=2 if quick else 5, threads=threads, sources=sources, quiet=as_json)
    report = _show(measure(wanted), as_json=as_json)
    if plot is not None:
        plot.write_text(svg(report.as_dict()), encoding="utf-8")


@app.command()
def encoders(
    *,
    rounds: Annotated[int, typer.Option(help="Rounds in which every contestant has its turn.")] = 15,
    rivals: Annotated[str, typer.Option(metavar="PYTHON", help="Interpreter that has torch, onnxruntime and gguf.")] = sys.executable,
    threads: Annotated[bool, typer.Option(help="Measure processes and threads, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure the shipped encoders beside torch and onnxruntime on the same weights, and what replicas of one share."""
    from scripts.benches.encoders.bench import Wanted, measure  # noqa: PLC0415 - llama.cpp is loaded by this benchmark only

    _show(measure(Wanted(rounds, rivals, threads=threads, quiet=as_json)), as_json=as_json)


def _show(measuring: Coroutine[Any, Any, Report], *, as_json: bool) -> Report:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measuring)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=1))
    else:
        Console().print(table(report))
    return report


if __name__ == "__main__":
    app()
