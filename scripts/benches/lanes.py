"""What a bulk backlog does to an interactive task: an agent whose windows take a known time, alone and beside the backlog."""

import asyncio
import random
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from scripts.benches.figures import Figure, Report, percentile
from smallmesh.bus import Message
from smallmesh.bus.nats import NatsBus
from smallmesh.catalogue import Catalogue
from smallmesh.settings import settings
from smallmesh.supervise import Mesh
from smallmesh_contracts import Address, DataClass, Lane, Status, Task, TaskResult, decode, subjects

TENANT = "lanes"
ANSWER = "read"
BULK_WINDOWS = 25
"""Windows of a bulk text: half a second at 20 ms each."""
LONG_WINDOWS = 10
"""Windows of the longer interactive text."""
WAITING = 4
"""Bulk texts in hand or waiting for each replica, at any time."""
SHARED = 8
"""Bulk texts for each replica, where it is measured how evenly they are shared."""
WARM_UP = 5
_AGENT = '''"""Reads a text of some windows; each takes its time on the thread of the model."""

import time

from smallmesh.agent import Agent, Model
from smallmesh_contracts import AgentRequest, AgentResult

WINDOW_S = {window_s}


class Reader(Agent[AgentRequest, AgentResult]):
    """Sleeps for every word, as long as a window would take; the processor is left to the mesh."""

    name = "reader"
    answer = "read"
    description = "Takes its time"
    request = AgentRequest
    result = AgentResult

    async def respond(self, request: AgentRequest, model: Model) -> AgentResult:
        """Take it, in the lane of the request."""
        thread, lane = model._model.thread, model._lane
        with thread.reading(lane):
            for _ in request.text.split():
                await thread.run(lambda _: time.sleep(WINDOW_S), lane)
        return AgentResult(confidence=1.0)


AGENT = Reader()
'''


async def measure(rounds: int, window_ms: float, *, quiet: bool) -> Report:
    """Measure with 1 and with 3 replicas and return the figures."""
    say = Console(stderr=True, quiet=quiet).print
    report = Report(f"lanes: interactive tasks beside a bulk backlog, windows of {window_ms:g} ms, {rounds} tasks each")
    shared: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="smallmesh-bench-") as folder:
        agents = _write_agent(Path(folder), window_ms)
        for replicas in (1, 3):
            say(f"{_replicas(replicas)} …")
            async with _tasks(agents, replicas) as tasks:
                for windows in (1, LONG_WINDOWS):
                    report.figures.extend(await _beside_bulk(tasks, replicas, windows, rounds, window_ms))
                shared[replicas] = await _shared(tasks, replicas)
    name = f"{SHARED * 3} bulk texts of {_windows(BULK_WINDOWS)}, 3 replicas, beside a third of them and 1 replica"
    report.figures.append(Figure(name, shared[3], "ms", shared[1], shared[3] / shared[1], "1.00 where none keeps work from another"))
    return report


def _write_agent(folder: Path, window_ms: float) -> Path:
    """Write the agent, which borrows a shipped model to have a thread of its own; return the folder of agents."""
    reader = folder / "reader"
    reader.mkdir()
    (reader / "agent.py").write_text(_AGENT.format(window_s=window_ms / 1000), encoding="utf-8")
    lender = Catalogue.load(settings().agent_folders).agent("sentiment").folder
    for piece in ("model.toml", "model.gguf"):
        (reader / piece).symlink_to(lender / piece)
    return folder


class _Tasks:
    """Submits tasks and waits for their terminal results."""

    def __init__(self, bus: NatsBus) -> None:
        self._bus = bus
        self._waiting: dict[str, asyncio.Future[Message]] = {}

    async def start(self) -> None:
        await self._bus.watch(subjects.any_done(DataClass.PUBLIC, TENANT), self._seen)

    def _seen(self, message: Message) -> None:
        waiting = self._waiting.pop(message.subject, None)
        if waiting is not None:
            waiting.set_result(message)

    async def one(self, lane: Lane, windows: int) -> tuple[float, float]:
        """Submit one task; return the milliseconds until its terminal result is there, and those that the agent had it in hand."""
        address = Address(TENANT, DataClass.PUBLIC, uuid.uuid4().hex)
        done = self._waiting[subjects.done(address)] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        await self._bus.store(subjects.submit(lane, address), Task(text="word " * windows, wanted=(ANSWER,)).to_bytes())
        result = decode(TaskResult, (await done).body)
        if result.status is not Status.COMPLETED:
            raise RuntimeError(f"a task ended {result.status.value}: {result.error or result.answers}")
        source = result.answers[ANSWER].provenance
        return (time.perf_counter() - began) * 1000, source.worked_ms if source else 0.0


@asynccontextmanager
async def _tasks(agents: Path, replicas: int) -> AsyncIterator[_Tasks]:
    async with Mesh.start(agent_path=[agents], scale={"reader": replicas}) as mesh:
        await mesh.ready()
        bus = await NatsBus.connect(mesh.url, name="bench")
        try:
            tasks = _Tasks(bus)
            await tasks.start()
            yield tasks
        finally:
            await bus.close()


async def _beside_bulk(tasks: _Tasks, replicas: int, windows: int, rounds: int, window_ms: float) -> list[Figure]:
    """Measure interactive tasks alone, and beside bulk texts of which more wait than the replicas can take."""
    alone = await _interactive(tasks, windows, rounds, window_ms)
    backlog = [asyncio.create_task(_bulk_for_ever(tasks)) for _ in range(WAITING * replicas)]
    try:
        beside = await _interactive(tasks, windows, rounds, window_ms)
    finally:
        for task in backlog:
            task.cancel()
        await asyncio.gather(*backlog, return_exceptions=True)
    return _figures(f"{_replicas(replicas)}, {_windows(windows)}", alone, beside, window_ms)


async def _interactive(tasks: _Tasks, windows: int, rounds: int, window_ms: float) -> list[tuple[float, float]]:
    took = []
    for _ in range(rounds + WARM_UP):
        await asyncio.sleep(random.random() * window_ms / 1000)  # so that it comes at any moment of a window
        took.append(await tasks.one(Lane.INTERACTIVE, windows))
    return took[WARM_UP:]


async def _bulk_for_ever(tasks: _Tasks) -> None:
    while True:
        await tasks.one(Lane.BULK, BULK_WINDOWS)


def _figures(name: str, alone: list[tuple[float, float]], beside: list[tuple[float, float]], window_ms: float) -> list[Figure]:
    (tasks_alone, hands_alone), (tasks_beside, hands_beside) = (list(zip(*took, strict=True)) for took in (alone, beside))
    figures = [_compared(f"task, {name}, p{percent}", tasks_beside, tasks_alone, percent) for percent in (50, 95)]
    for percent in (50, 95):
        in_hand = _compared(f"of it at the agent, {name}, p{percent}", hands_beside, hands_alone, percent)
        delay = in_hand.value - (in_hand.beside or 0.0)
        target = f"{delay:+.1f} ms, at most a window of {window_ms:g}"
        figures.append(replace(in_hand, target=target, met=delay <= window_ms))
    return figures


def _compared(name: str, beside: Sequence[float], alone: Sequence[float], percent: int) -> Figure:
    took, was = percentile(beside, percent), percentile(alone, percent)
    return Figure(name, took, "ms", was, took / was)


async def _shared(tasks: _Tasks, replicas: int) -> float:
    """Return the milliseconds that equal bulk texts take, as many for each replica."""
    began = time.perf_counter()
    await asyncio.gather(*(tasks.one(Lane.BULK, BULK_WINDOWS) for _ in range(SHARED * replicas)))
    return (time.perf_counter() - began) * 1000


def _replicas(count: int) -> str:
    return f"{count} replica{'s' if count > 1 else ''}"


def _windows(count: int) -> str:
    return f"{count} window{'s' if count > 1 else ''}"
