"""A long document through every agent, while somebody else asks about short texts."""

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console

from scripts.benches.agents import SHORT, ask
from scripts.benches.figures import Figure, Report, percentile
from smallmesh.bus.nats import NatsBus
from smallmesh.catalogue import Catalogue
from smallmesh.settings import settings
from smallmesh.supervise import Mesh
from smallmesh_contracts import DataClass, Lane, Status, Task, TaskResult, decode, limits, subjects

DOCUMENTS = Path(__file__).parents[1] / "demo_documents.jsonl"
TASK_S = 10.0
ASK_MS = 250.0
EVERY_S = 0.1


async def measure(rounds: int, *, quiet: bool) -> Report:
    """Send the longest interactive text ``rounds`` times, one after the other, and return the figures."""
    say = Console(stderr=True, quiet=quiet).print
    text = longest_text()
    report = Report(f"long: {len(text.encode()):,} bytes through every agent, one replica each")
    names = sorted(Catalogue.load(settings().agent_folders).agents)
    async with Mesh.start() as mesh:
        await mesh.ready(60)
        bus = await NatsBus.connect(mesh.url, name="bench")
        try:
            say("asks alone …")
            alone = [await ask(bus, name, SHORT) for name in names * 10][len(names) :]
            took: list[float] = []
            async with _asking(bus, names) as beside:
                for number in range(rounds):
                    say(f"long text {number + 1} of {rounds} …")
                    took.append(await _run(bus, text))
        finally:
            await bus.close()
    whole = percentile(took, 50)
    report.figures.append(Figure("text through all agents, median", whole, "s", target=f"at most {TASK_S:.0f} s", met=whole <= TASK_S))
    report.figures.extend(_asks(alone, beside))
    return report


def _asks(alone: list[float], beside: list[float]) -> list[Figure]:
    name = f"ask of 25 tokens beside it, n={len(beside)}"
    (alone_50, alone_95), (p50, p95) = ((percentile(took, 50), percentile(took, 95)) for took in (alone, beside))
    return [
        Figure(f"{name}, p50", p50, "ms", alone_50, p50 / alone_50),
        Figure(f"{name}, p95", p95, "ms", alone_95, p95 / alone_95, f"at most {ASK_MS:.0f} ms", p95 <= ASK_MS),
    ]


def longest_text() -> str:
    """Return the demo's documents one after the other, as long as an interactive text may be."""
    texts = [json.loads(line)["text"] for line in DOCUMENTS.read_text(encoding="utf-8").splitlines()]
    joined = "\n\n".join(itertools.islice(itertools.cycle(texts), 3 * len(texts)))
    return joined.encode()[: limits.TEXT_BYTES[Lane.INTERACTIVE]].decode("utf-8", "ignore")


async def _run(bus: NatsBus, text: str) -> float:
    task = Task(text=text, metadata={"round": uuid.uuid4().hex})
    began = time.perf_counter()
    reply = await bus.request(subjects.run("bench", DataClass.INTERNAL), task.to_bytes(), timeout_s=60)
    took_s = time.perf_counter() - began
    result = decode(TaskResult, reply.body)
    if result.status is not Status.COMPLETED:
        raise RuntimeError(f"the long text ended {result.status.value}: {result.error or [a.error for a in result.answers.values()]}")
    return took_s


@asynccontextmanager
async def _asking(bus: NatsBus, names: list[str]) -> AsyncIterator[list[float]]:
    """Ask the agents in turn, ten times a second or as fast as they answer, until the block ends."""
    took: list[float] = []

    async def ask_on() -> None:
        for name in itertools.cycle(names):
            took_ms = await ask(bus, name, SHORT)
            took.append(took_ms)
            await asyncio.sleep(max(0.0, EVERY_S - took_ms / 1000))

    asking = asyncio.create_task(ask_on())
    try:
        yield took
        if asking.done():
            asking.result()
    finally:
        asking.cancel()
