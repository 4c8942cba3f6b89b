"""What the shipped agents take on this machine: time to ready, time of an ask, memory, idle processor time."""

import asyncio
import time
from collections.abc import Mapping

import psutil
from rich.console import Console

from scripts.benches.figures import Figure, Report, percentile
from smallmesh.bus.nats import NatsBus
from smallmesh.catalogue import Catalogue
from smallmesh.settings import settings
from smallmesh.supervise import Mesh
from smallmesh_contracts import Answer, StepInput, decode, subjects

SHORT = "The courier left the parcel at the wrong door. The depot found it within the hour and then called me back."
"""25 tokens, the two special ones included, in two sentences, so that the summarizer works too."""
LONG = " ".join([SHORT.removesuffix(".")] * 70)
"""Several full windows for every agent."""
IDLE_S = 15.0
SETTLE_S = 2.0
READY_S = 5.0
SENTIMENT_ASK_MS = 16.0
RESIDENT_MB = 170.0
IDLE_PERCENT = 1.0
_MB = 1e6


async def measure(rounds: int, *, quiet: bool) -> Report:
    """Run everything once and return the figures."""
    say = Console(stderr=True, quiet=quiet).print
    report = Report("agents: the shipped models, one replica each")
    names = sorted(Catalogue.load(settings().agent_folders).agents)
    began = time.perf_counter()
    async with Mesh.start() as mesh:
        await mesh.ready(60)
        ready_s = time.perf_counter() - began
        report.figures.append(Figure("up to all ready", ready_s, "s", target=f"at most {READY_S:.0f} s", met=ready_s <= READY_S))
        processes = {p.name: psutil.Process(p.pid) for p in mesh.processes if p.pid}
        say(f"idle for {IDLE_S:.0f} s …")
        report.figures.append(await _idle(processes))
        bus = await NatsBus.connect(mesh.url, name="bench")
        try:
            for name in names:
                say(f"asks of {name} …")
                report.figures.extend(await _asks(bus, name, rounds))
            for name in names:
                say(f"full windows through {name} …")
                report.figures.append(await _memory(bus, name, processes[name]))
        finally:
            await bus.close()
    return report


async def _idle(processes: Mapping[str, psutil.Process]) -> Figure:
    await asyncio.sleep(SETTLE_S)
    before = _used(processes)
    await asyncio.sleep(IDLE_S)
    percent = (_used(processes) - before) / IDLE_S * 100
    return Figure(
        "idle, all processes and the broker", percent, "% of a core", target=f"< {IDLE_PERCENT:.0f} %", met=percent < IDLE_PERCENT
    )


def _used(processes: Mapping[str, psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes.values())


async def _asks(bus: NatsBus, name: str, rounds: int) -> list[Figure]:
    samples = [await ask(bus, name, SHORT) for _ in range(rounds + 5)][5:]
    p50, p95 = percentile(samples, 50), percentile(samples, 95)
    bar = {"sentiment": SENTIMENT_ASK_MS}.get(name)
    target, met = (f"at most {bar:.0f} ms", p50 <= bar) if bar else ("", None)
    return [Figure(f"ask {name}, 25 tokens, p50", p50, "ms", target=target, met=met), Figure(f"ask {name}, 25 tokens, p95", p95, "ms")]


async def ask(bus: NatsBus, name: str, text: str) -> float:
    """Ask one agent and return the milliseconds it took."""
    began = time.perf_counter()
    reply = await bus.request(subjects.ask(name), StepInput(text=text).to_bytes(), timeout_s=60)
    took_ms = (time.perf_counter() - began) * 1000
    answer = decode(Answer, reply.body)
    if answer.error is not None:
        raise RuntimeError(f"{name} answered {answer.error.code.value}: {answer.error.message}")
    return took_ms


async def _memory(bus: NatsBus, name: str, process: psutil.Process) -> Figure:
    await ask(bus, name, LONG)
    resident = process.memory_info().rss / _MB
    return Figure(
        f"resident {name} after full windows", resident, "MB", target=f"at most {RESIDENT_MB:.0f} MB", met=resident <= RESIDENT_MB
    )
