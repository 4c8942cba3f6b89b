"""What kept results weigh: the broker's memory and disk while they come in, after restarts, after reads, and when they expire."""

import asyncio
import os
import random
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import psutil
from rich.console import Console

from scripts.benches.figures import Figure, Report
from scripts.benches.filling import Filler, Sent
from scripts.benches.kept import addresses, done, steps
from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.layout import DONE, RESULTS
from smallmesh.bus.nats import NatsBus
from smallmesh_contracts import Address, subjects

SHAPES = 200
"""Bodies that are made; the others differ from one of them in their id alone, which is all that the broker sees."""
READERS = 8
TTL_S = 20
"""Of the steps that expire: long enough to be stored before the first goes."""
EXPIRING = 25_000
"""Tasks, at most, whose steps expire: so many are stored within that time."""
SETTLE_S = 30.0
"""Blocks that were read are dropped after ten seconds, and their memory is handed back after that."""
PATIENCE_S = 300.0
_MB = 1e6
_CHECKPOINTS = 4


async def measure(results: int, reads: int, memory_limit_mb: int, *, quiet: bool) -> Report:
    """Keep ``results`` terminal results, read ``reads`` of them and let a tenth as many tasks' steps expire."""
    say = Console(stderr=True, quiet=quiet).print
    limit = f", GOMEMLIMIT {memory_limit_mb} MiB" if memory_limit_mb else ""
    report = Report(f"weight: {results:,} kept results in one broker{limit}")
    if memory_limit_mb:
        os.environ["GOMEMLIMIT"] = f"{memory_limit_mb}MiB"
    with tempfile.TemporaryDirectory(prefix="smallmesh-bench-") as folder, EmbeddedBroker.start(Path(folder)) as broker:
        bus = await NatsBus.connect(broker.url, name="bench")
        try:
            bench = _Bench(broker, bus, report)
            await bus.provision(())
            say(f"keeping {results:,} results …")
            kept = await bench.fill(results)
            say("restarting the broker, in order and by a kill …")
            await bench.restart()
            say(f"reading {reads:,} of them …")
            await bench.read(kept, reads)
            say("steps that expire …")
            await bench.expire(min(results // 10, EXPIRING))
        finally:
            await bus.close()
    return report


class _Bench:
    def __init__(self, broker: EmbeddedBroker, bus: NatsBus, report: Report) -> None:
        self._broker = broker
        self._bus = bus
        self._report = report
        self._made = random.Random(5)

    def _tell(self, name: str, value: float, unit: str) -> None:
        self._report.figures.append(Figure(name, value, unit))

    @property
    def _server(self) -> psutil.Process:
        return psutil.Process(self._broker.pid)

    def _memory_mb(self) -> float:
        return float(self._server.memory_info().rss) / _MB

    def _disk(self, stream: str) -> int:
        files = (self._broker.store / "jetstream" / "$G" / "streams" / stream).rglob("*")
        return sum(file.stat().st_blocks * 512 for file in files if file.is_file())

    async def fill(self, count: int) -> Sequence[Address]:
        """Keep results; tell what that takes, a step of the way at a time."""
        self._tell("memory, nothing kept", self._memory_mb(), "MB")
        kept = list(addresses(count))
        messages = self._dones(kept)
        cpu_s, began = _cpu_s(self._server), time.perf_counter()
        for part in range(1, _CHECKPOINTS + 1):
            await Filler(self._bus.client).fill(islice(messages, count // _CHECKPOINTS))
            self._tell(f"memory while filling, {part * count // _CHECKPOINTS:,} kept", self._memory_mb(), "MB")
        await Filler(self._bus.client).fill(messages)
        self._tell("kept a second", count / (time.perf_counter() - began), "result/s")
        self._tell("broker's processor time a result kept", (_cpu_s(self._server) - cpu_s) / count * 1e6, "us")
        body = len(done(kept[0], self._made)[1])
        self._tell("a result's body", body, "bytes")
        self._tell("disk a result", self._disk(DONE.name) / count, "bytes")
        return kept

    def _dones(self, kept: Sequence[Address]) -> Iterator[Sent]:
        shapes = [done(Address("bench", kept[0].data_class, uuid.uuid4().hex), self._made) for _ in range(SHAPES)]
        names = [subject.rpartition(".")[2].encode() for subject, _, _ in shapes]
        for number, address in enumerate(kept):
            _, body, headers = shapes[number % SHAPES]
            yield subjects.done(address), body.replace(names[number % SHAPES], address.task_id.encode()), headers

    async def restart(self) -> None:
        """Tell how long the broker takes to be back, and what it holds in memory then."""
        for how, end in (("an orderly stop", self._broker.restart), ("kill -9", self._killed)):
            began = time.perf_counter()
            await asyncio.to_thread(end)
            self._tell(f"back after {how} in", time.perf_counter() - began, "s")
            self._tell(f"memory after {how}", self._memory_mb(), "MB")

    def _killed(self) -> None:
        self._broker.kill()
        self._broker.restart()

    async def read(self, kept: Sequence[Address], count: int) -> None:
        """Read results at random."""
        left = iter([self._made.choice(kept) for _ in range(count)])
        cpu_s, began = _cpu_s(self._server), time.perf_counter()

        async def some() -> None:
            for address in left:
                if await self._bus.read(subjects.done(address)) is None:
                    raise RuntimeError(f"{address} was kept, and is not there")

        await asyncio.gather(*(some() for _ in range(READERS)))
        self._tell("read at random a second", count / (time.perf_counter() - began), "result/s")
        self._tell("broker's processor time a read", (_cpu_s(self._server) - cpu_s) / count * 1e6, "us")
        self._tell(f"memory after {count:,} reads at random", self._memory_mb(), "MB")
        await asyncio.sleep(SETTLE_S)
        self._tell(f"memory {SETTLE_S:.0f} s later", self._memory_mb(), "MB")

    async def expire(self, tasks: int) -> None:
        """Keep the steps of tasks for a while, and see them go."""
        js = self._bus.client.jetstream()
        sent = (step for address in addresses(tasks) for step in steps(address, self._made, TTL_S))
        await Filler(self._bus.client).fill(sent)
        last = time.perf_counter()
        count, before_mb = 4 * tasks, self._memory_mb()
        left = (await js.stream_info(RESULTS.name)).state.messages
        self._tell("disk a step", self._disk(RESULTS.name) / max(1, left), "bytes")
        cpu_s = _cpu_s(self._server)
        async with asyncio.timeout(PATIENCE_S):
            while (await js.stream_info(RESULTS.name)).state.messages:  # noqa: ASYNC110 - expiry sets no event
                await asyncio.sleep(0.2)
        self._tell(f"{count:,} steps gone, after the last one's time to live", time.perf_counter() - last - TTL_S, "s")
        self._tell("broker's processor time a step that expires", (_cpu_s(self._server) - cpu_s) / max(1, left) * 1e6, "us")
        self._tell("memory with those steps", before_mb, "MB")
        self._tell("memory when they have expired", self._memory_mb(), "MB")
        self._tell("disk they leave", self._disk(RESULTS.name) / _MB, "MB")


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)
