"""What many open leases cost one orchestrator: tasks whose agents do not answer, held and renewed."""

import asyncio
import time
import urllib.request
import uuid
from collections.abc import Sequence
from itertools import cycle

import psutil
from rich.console import Console

from scripts.benches.figures import Figure, Report, percentile
from smallmesh.bus.layout import lease_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.supervise import Mesh
from smallmesh_contracts import Address, DataClass, Lane, Task, subjects

AT_ONCE = 64
TENANT = "bench"
TEXT = "The parcel arrived on Tuesday, two days late, but everything in it works and the fitter was kind. " * 10
"""About a kilobyte, as a review or a ticket has."""
PATIENCE_S = 240.0
ASK_HEALTH_S = 0.2
IDLE_S = 10.0
CPU_PERCENT = 20.0
RSS_MB = 250.0
HEALTH_MS = 100.0
_MB = 1024 * 1024


async def measure(leases: int, seconds: float, *, quiet: bool) -> Report:
    """Hold ``leases`` open leases for ``seconds`` and return the figures."""
    say = Console(stderr=True, quiet=quiet).print
    report = Report(f"leases: {leases:,} tasks that nobody answers, in one orchestrator, over {seconds:.0f} s")
    held = str(max(1, leases // len(Lane)))
    async with Mesh.start(agents=(), in_flight=held) as mesh:
        await mesh.ready()
        bus = await NatsBus.connect(mesh.url, name="bench")
        try:
            pid = next(info.pid for info in mesh.processes if info.name == "orchestrator")
            watched, health = psutil.Process(pid), await _health_of(bus, pid)
            idle_mb = watched.memory_info().rss / _MB
            idle_waits = await _health_ms(health, IDLE_S)
            say(f"submitting {leases:,} tasks …")
            began, used = time.monotonic(), _cpu_s(watched)
            await _submit(bus, leases)
            await _until_held(bus, leases)
            taken_s, taking_s = time.monotonic() - began, _cpu_s(watched) - used
            say(f"holding them for {seconds:.0f} s …")
            report.figures.extend(await _held(watched, health, seconds, idle_waits))
            report.figures.append(Figure("memory when idle", idle_mb, "MB"))
            report.figures.append(Figure("processor time to take one up", taking_s / leases * 1000, "ms"))
            report.figures.append(Figure("taken up", leases / taken_s, "task/s"))
        finally:
            await bus.close()
    return report


async def _submit(bus: NatsBus, count: int) -> None:
    body = Task(text=TEXT, timeout_s=3600.0).to_bytes()
    lanes = cycle(Lane)
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            await bus.store(subjects.submit(next(lanes), Address(TENANT, DataClass.PUBLIC, uuid.uuid4().hex)), body)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def _until_held(bus: NatsBus, count: int) -> None:
    """Wait until every task is in hand and each of its steps is published."""
    js = bus.client.jetstream()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            infos = [await js.consumer_info(c.stream, c.name) for c in lease_consumers([DataClass.PUBLIC])]
            steps = (await js.stream_info("SLM_WORK")).state.messages
            if sum(info.num_ack_pending for info in infos) >= count and steps >= 4 * count:
                return
            await asyncio.sleep(0.2)


async def _held(process: psutil.Process, health: str, seconds: float, idle: Sequence[float]) -> list[Figure]:
    began, used = time.monotonic(), _cpu_s(process)
    waits = await _health_ms(health, seconds)
    cpu = 100 * (_cpu_s(process) - used) / (time.monotonic() - began)
    rss = process.memory_info().rss / _MB
    slowest, idle_slowest = max(waits), max(idle)
    return [
        Figure("processor", cpu, "% of a core", target=f"at most {CPU_PERCENT:.0f}", met=cpu <= CPU_PERCENT),
        Figure("memory", rss, "MB", target=f"at most {RSS_MB:.0f}", met=rss <= RSS_MB),
        _beside("health answers, p95; beside it the same when idle", percentile(waits, 95), percentile(idle, 95)),
        _beside("health answers, slowest; likewise", slowest, idle_slowest, f"at most {HEALTH_MS:.0f}", met=slowest <= HEALTH_MS),
    ]


def _beside(name: str, value: float, idle: float, target: str = "", *, met: bool | None = None) -> Figure:
    return Figure(name, value, "ms", idle, value / idle, target, met)


async def _health_ms(health: str, seconds: float) -> list[float]:
    """Ask a process whether it lives again and again; return the milliseconds until each answer."""
    began = time.monotonic()
    waits: list[float] = []
    while time.monotonic() - began < seconds:
        waits.append(await asyncio.to_thread(_answer_ms, health))
        await asyncio.sleep(ASK_HEALTH_S)
    return waits


async def _health_of(bus: NatsBus, pid: int | None) -> str:
    """Return the address where a process answers whether it lives."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = [s.metadata["health"] for s in await bus.services(1.0) if s.metadata.get("pid") == str(pid)]
            if found:
                return f"{found[0]}/livez"


def _answer_ms(address: str) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:  # noqa: S310 - a process of ours, on this machine
        answer.read()
    return (time.perf_counter() - began) * 1000


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
