"""What a task costs while many others wait: in the queue that it is taken from, and in one beside it."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import psutil
from rich.console import Console

from scripts.benches.figures import Figure, Report
from scripts.benches.filling import FIRST_ONLY, Filler, Sent
from scripts.benches.kept import TEXT, addresses
from scripts.benches.noop import write_agents
from smallmesh.bus.layout import DONE, Consumer, lease_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.supervise import Mesh
from smallmesh_contracts import DataClass, Lane, Task, subjects

IN_FLIGHT = 64
"""Tasks that the orchestrator holds at once: as many with a hundred waiting as with a million."""
ROUNDS = 5
"""Windows for each number that waits, in turn; medians count."""
FLAT = 0.10
_MB = 1e6
_LOOK_S = 0.1
"""Looking costs the broker something, too."""
_PATIENCE_S = 300.0
_ANSWER_S = 60.0
"""A broker that has just taken a million messages may be slow to tell what it has."""
_BODY = Task(text=TEXT).to_bytes()


async def measure(sizes: Sequence[int], tasks: int, *, quiet: bool) -> Report:
    """Measure windows of ``tasks`` finished tasks with each number of others waiting, in either place.

    Each number has a mesh of its own, and they are measured in turn: what else the machine does hits all alike.
    """
    say = Console(stderr=True, quiet=quiet).print
    report = Report(f"waiting: processor time of a task of four no-op steps, {IN_FLIGHT} in flight")
    for where in (_SameQueue, _BesideIt):
        async with AsyncExitStack() as stack:
            benches = {size: where(*await stack.enter_async_context(_mesh())) for size in sizes}
            for size, bench in benches.items():
                say(f"{where.label}: {size:,} waiting …")
                await bench.wait(size)
            costs: dict[int, list[_Cost]] = {size: [] for size in sizes}
            for number in range(ROUNDS):
                say(f"{where.label}: round {number + 1} of {ROUNDS} …")
                for turn in range(len(sizes)):  # each is the first of a round in turn
                    size = sizes[(number + turn) % len(sizes)]
                    costs[size].append(await benches[size].window(size, tasks))
            for size, bench in benches.items():
                report.figures.extend(_figures(where.label, size, costs[size], costs[sizes[0]]))
                report.figures.extend(bench.memory())
    return report


@asynccontextmanager
async def _mesh() -> AsyncIterator[tuple[Mesh, NatsBus]]:
    os.environ["SMALLMESH_LOG_LEVEL"] = "warning"
    with tempfile.TemporaryDirectory(prefix="smallmesh-bench-") as folder:
        async with Mesh.start(agent_path=[write_agents(Path(folder))], in_flight=str(IN_FLIGHT)) as mesh:
            await mesh.ready()
            bus = await NatsBus.connect(mesh.url, name="bench")
            try:
                yield mesh, bus
            finally:
                await bus.close()


@dataclass(frozen=True, slots=True)
class _Cost:
    """What one task cost, on average over a window: milliseconds of processor by process, and tasks a second."""

    cpu: Mapping[str, float]
    rate: float

    @property
    def cpu_ms(self) -> float:
        return sum(self.cpu.values())


class _Waiting:
    """A number of bulk tasks that wait, and tasks that are finished meanwhile."""

    label = ""
    queue: Consumer
    """Where they wait."""

    def __init__(self, mesh: Mesh, bus: NatsBus) -> None:
        self._mesh = mesh
        self._bus = bus
        self._js = bus.client.jetstream(timeout=_ANSWER_S)

    async def wait(self, size: int) -> None:
        """Let so many wait: nobody takes from their queue until a window is measured."""
        self._size = size
        await self._pause(self.queue)
        while (info := await self._js.consumer_info(self.queue.stream, self.queue.name)).num_ack_pending:  # noqa: ASYNC110 - sets no event
            await asyncio.sleep(_LOOK_S)
        data_class = next(c for c in DataClass if self.queue.name.endswith(f"-{c.value}"))
        await Filler(self._bus.client).fill(_submissions(Lane.BULK, data_class, size - (info.num_pending or 0)))

    async def _pause(self, queue: Consumer, seconds: float = 3600.0) -> None:
        until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat() if seconds else "0001-01-01T00:00:00Z"
        reply = await self._bus.client.request(
            f"$JS.API.CONSUMER.PAUSE.{queue.stream}.{queue.name}", json.dumps({"pause_until": until}).encode(), timeout=_ANSWER_S
        )
        if b'"error"' in reply.data:
            raise RuntimeError(reply.data.decode())

    async def _done(self) -> int:
        return (await self._js.stream_info(DONE.name)).state.last_seq

    async def _measured(self, tasks: int, lane: Lane, data_class: DataClass, ahead: int) -> _Cost:
        """Submit tasks one for one as others are finished, ``ahead`` of them, and count what the processes use."""
        filler, first = Filler(self._bus.client), await self._done()
        submitted = finished = 0
        before, began = self._used(), time.perf_counter()
        async with asyncio.timeout(_PATIENCE_S):
            while finished < tasks:
                if due := max(0, min(finished + ahead, tasks) - submitted):
                    await filler.fill(_submissions(lane, data_class, due))
                    submitted += due
                await asyncio.sleep(_LOOK_S)
                finished = await self._done() - first
        took, after = time.perf_counter() - began, self._used()
        return _Cost({name: (after[name] - before[name]) / finished * 1000 for name in before}, finished / took)

    def memory(self) -> Iterator[Figure]:
        """Tell what processes hold in memory by now."""
        for info in self._mesh.processes:
            if info.name in {"broker", "orchestrator", "sentiment"}:
                yield Figure(f"{self._size:,} waiting {self.label}: memory of {info.name}", info.memory_bytes / _MB, "MB")

    def _used(self) -> dict[str, float]:
        """Return the processor seconds used so far: broker, orchestrator, agents."""
        used = {"broker": 0.0, "orchestrator": 0.0, "agents": 0.0}
        for info in self._mesh.processes:
            name = info.name if info.name in used else "agents"
            if info.pid is not None and info.name != "orchestrator_restricted":
                times = psutil.Process(info.pid).cpu_times()
                used[name] += times.user + times.system
        return used


class _SameQueue(_Waiting):
    """Those that are finished are the oldest of those that wait."""

    label = "in its own queue"
    queue = next(c for c in lease_consumers([DataClass.PUBLIC]) if Lane.BULK.value in c.name)

    async def window(self, size: int, tasks: int) -> _Cost:
        """Finish some, while as many come in at the end."""
        await self.wait(size)
        await self._pause(self.queue, 0)
        cost = await self._measured(tasks, Lane.BULK, DataClass.PUBLIC, 0)
        await self._pause(self.queue)
        return cost


class _BesideIt(_Waiting):
    """Those that are finished are in the interactive lane, of another class."""

    label = "beside it"
    queue = next(c for c in lease_consumers([DataClass.INTERNAL]) if Lane.BULK.value in c.name)

    async def window(self, size: int, tasks: int) -> _Cost:
        """Finish interactive tasks."""
        await self.wait(size)
        return await self._measured(tasks, Lane.INTERACTIVE, DataClass.PUBLIC, IN_FLIGHT)


def _submissions(lane: Lane, data_class: DataClass, count: int) -> Iterator[Sent]:
    return ((subjects.submit(lane, address), _BODY, FIRST_ONLY) for address in addresses(count, data_class))


def _figures(where: str, size: int, costs: Sequence[_Cost], usual: Sequence[_Cost]) -> Iterator[Figure]:
    found = f"{size:,} waiting {where}"
    cost_ms, usual_ms = (median(cost.cpu_ms for cost in some) for some in (costs, usual))
    ratio = median(cost.cpu_ms / beside.cpu_ms for cost, beside in zip(costs, usual, strict=True))
    yield Figure(
        f"{found}: processor time a task", cost_ms, "ms", usual_ms, ratio, f"within {FLAT:.0%} of the first", abs(ratio - 1) <= FLAT
    )
    for name in costs[0].cpu:
        yield Figure(f"{found}: of that, {name}", median(cost.cpu[name] for cost in costs), "ms")
    yield Figure(f"{found}: finished", median(cost.rate for cost in costs), "task/s")
