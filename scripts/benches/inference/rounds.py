"""Rounds of one job: every contestant in turn, again and again, so that a busy minute of the machine hits all of them."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from scripts.benches.figures import Figure, percentile
from scripts.benches.inference.cache import Say
from scripts.benches.inference.contestants import Contestant
from scripts.benches.inference.jobs import CLIENTS, Job
from smallmesh.hosting.engine import Prompt

ALONE = 4
"""A contestant that takes one request at a time is asked about one document in so many."""


@dataclass
class Measured:
    """What one contestant did in all rounds of a job.

    Attributes:
        name: The contestant's.
        documents_s: Documents a second, one a round.
        tokens_s: Tokens written a second.
        tokens: Tokens written a document.
        cpu_ms: Processor time a document.
        latencies_ms: Of each document, waiting for its turn included.
    """

    name: str
    documents_s: list[float] = field(default_factory=list)
    tokens_s: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)


async def run(job: Job, contestants: Sequence[Contestant], rounds: int, say: Say) -> list[Measured]:
    """Ask all of them in turn, ``rounds`` times after one that does not count."""
    measured = [Measured(contestant.name) for contestant in contestants]
    for number in range(rounds + 1):
        asked: Counter[str] = Counter()
        for contestant, found in zip(contestants, measured, strict=True):
            # Two ways of asking one process get texts of their own, or the second would find the first one's read.
            process = contestant.name.partition(",")[0]
            prompts = job.prompts((number, asked[process]))
            asked[process] += 1
            say(f"{job.name}: {contestant.name}, {f'round {number} of {rounds}' if number else 'warming up'} …")
            await ask_all(contestant, prompts[:: ALONE if contestant.alone else 1], found if number else Measured(""))
    return measured


async def ask_all(contestant: Contestant, prompts: Sequence[Prompt], found: Measured) -> None:
    """Let all clients ask until every prompt is answered."""
    waiting, tokens = list(reversed(prompts)), 0

    async def client() -> None:
        nonlocal tokens
        while waiting:
            prompt, asked = waiting.pop(), time.perf_counter()
            written = await contestant.ask(prompt)
            tokens += written
            found.latencies_ms.append((time.perf_counter() - asked) * 1000)

    cpu_s, began = contestant.cpu_s(), time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(client())
    took_s = time.perf_counter() - began
    found.documents_s.append(len(prompts) / took_s)
    found.tokens_s.append(tokens / took_s)
    found.tokens.append(tokens / len(prompts))
    found.cpu_ms.append((contestant.cpu_s() - cpu_s) / len(prompts) * 1000)


def compared(job: Job, ours: Measured, other: Measured, *, in_tokens: bool = False, least: float | None = None) -> Figure:
    """Return ours beside another one's: medians over the rounds, and the median of the rounds' own ratios."""
    mine, theirs = (ours.tokens_s, other.tokens_s) if in_tokens else (ours.documents_s, other.documents_s)
    ratio = median(one / beside for one, beside in zip(mine, theirs, strict=True))
    unit = "tok/s" if in_tokens else "docs/s"
    target, met = ("", None) if least is None else (f"at least {least:g} x", ratio >= least)
    return Figure(f"{job.name}, beside {other.name}", median(mine), unit, median(theirs), ratio, target, met)


def described(job: Job, found: Measured) -> list[Figure]:
    """Return a contestant's other figures of a job."""
    name = f"{job.name}, {found.name}"
    figures = [Figure(f"{name}: p{percent}", percentile(found.latencies_ms, percent), "ms") for percent in (50, 95)]
    figures.append(Figure(f"{name}: processor", median(found.cpu_ms), "ms a document"))
    if any(found.tokens):
        figures.append(Figure(f"{name}: written", median(found.tokens), "tokens a document"))
    return figures
