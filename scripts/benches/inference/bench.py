"""The whole benchmark: a model, three contestants, three jobs, and what the engine itself costs."""

import asyncio
import os
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from scripts.benches.figures import Figure, Report
from scripts.benches.inference import cache, server, shapes
from scripts.benches.inference.cache import Say
from scripts.benches.inference.contestants import (
    CONTEXT,
    Contestant,
    Naive,
    engine_for,
    extractors,
    naive_classifiers,
    ours,
    served_classifiers,
    writers,
)
from scripts.benches.inference.costs import abort_figures, engine_figures, ticking, watched
from scripts.benches.inference.jobs import CLIENTS, Job, make_jobs
from scripts.benches.inference.rounds import Measured, ask_all, compared, described, run

LEAST = {
    ("classification", "Llama, JSON grammar, warm"): 4.0,
    ("classification", "llama-server, json_schema"): 3.0,
    ("classification", "llama-server, one scored token"): 1.0,
    ("free text", "Llama, warm"): 2.0,
    ("JSON under a schema", "llama-server, as many tokens as ours, no grammar"): 1.3,
    ("free text", "llama-server"): 0.95,
}
"""What ours must reach, as a multiple of the other's rate."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure.

    Attributes:
        shape: Key of :data:`shapes.SHAPES`.
        rounds: Rounds that count.
        waves: Documents a client and a round.
        threads: Of every contestant; None takes one for each core.
        sources: Sources of llama.cpp; None downloads them.
        quiet: Whether to keep silent about progress.
    """

    shape: str
    rounds: int
    waves: int
    threads: int | None
    sources: Path | None
    quiet: bool


async def measure(wanted: Wanted) -> Report:
    """Run everything once and return the figures."""
    say = Console(stderr=True, quiet=wanted.quiet).print
    shape, threads = shapes.SHAPES[wanted.shape], wanted.threads or len(os.sched_getaffinity(0))
    sources = cache.sources(wanted.sources, say)
    path = shapes.synthetic(shape, sources / "models" / shapes.VOCABULARY, say)
    binary = server.find(sources, say)
    report = Report(f"inference: shape {shape.name}, Q4_0, {CLIENTS} clients, {threads} threads, median of {wanted.rounds} rounds")
    report.figures += await _beside(wanted, path, binary, threads, say)
    say("abort callback …")
    report.figures += await asyncio.to_thread(abort_figures, path, threads)
    return report


async def _beside(wanted: Wanted, path: Path, binary: Path, threads: int, say: Say) -> list[Figure]:
    async with AsyncExitStack() as open_:
        engine = await open_.enter_async_context(engine_for(path, threads))
        llama = open_.enter_context(closing(Naive(path, threads)))
        running = server.Server.running(binary, path, clients=CLIENTS, context=CONTEXT, threads=threads)
        asked = await open_.enter_async_context(running)
        jobs = make_jobs(engine, wanted.waves)
        mine = ours(engine, jobs)
        figures = await _job(
            jobs.classify, mine["classify"], [*naive_classifiers(llama, jobs), *served_classifiers(asked, jobs)], wanted, say
        )
        length = await mine["extract"].ask(jobs.extract.prompts("length")[0])
        figures += await _job(jobs.extract, mine["extract"], extractors(llama, asked, length), wanted, say)
        figures += await _job(jobs.write, mine["write"], writers(llama, asked), wanted, say)
    return figures


async def _job(job: Job, mine: Contestant, others: list[Contestant], wanted: Wanted, say: Say) -> list[Figure]:
    """Return the figures of one job, ours beside each of the others, and of the engine at work on it."""
    first, *rest = await run(job, [mine, *others], wanted.rounds, say)
    in_tokens = job.name == "free text"
    figures = [compared(job, first, other, in_tokens=in_tokens, least=LEAST.get((job.name, other.name))) for other in rest]
    figures += [figure for found in (first, *rest) for figure in described(job, found)]
    say(f"{job.name}: the engine's own cost …")
    prompts = job.prompts("cost")  # made before: that takes the event loop a while, and is no work of the engine's
    async with ticking() as late:
        with watched() as share:
            await ask_all(mine, prompts, Measured(""))
    return figures + engine_figures(job.name, share, late)
