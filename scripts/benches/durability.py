"""What it costs to be safe from power cuts: how often brokers write to the disk, on one broker and on three."""

import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from random import Random

from rich.console import Console

from scripts.benches.figures import Figure, Report, percentile
from scripts.benches.filling import Filler, Sent
from scripts.benches.kept import addresses, done
from smallmesh.broker import EmbeddedBroker
from smallmesh.broker_cluster import EmbeddedCluster
from smallmesh.bus.keeping import Keeping
from smallmesh.bus.nats import NatsBus

SYNCS = ("2m", "1s", "always")
"""``2m`` is nats-server's default: the others are held against it."""
REPLICAS = (1, 3)
IN_FLIGHT = 64
WARM_UP = 100


async def measure(alone: int, load: int, *, quiet: bool) -> Report:
    """Keep ``alone`` results one at a time and ``load`` at once, with each setting."""
    say = Console(stderr=True, quiet=quiet).print
    report = Report(f"durability: results of 2.6 KB kept, one at a time and {IN_FLIGHT} in flight; all brokers on this machine's one disk")
    for replicas in REPLICAS:
        usual: dict[str, float] = {}
        for sync in SYNCS:
            say(f"{replicas} broker(s), sync_interval {sync} …")
            async with _bus(replicas, sync) as bus:
                for name, value, unit in await _figures(bus, alone, load):
                    beside = usual.setdefault(name, value)
                    report.figures.append(
                        Figure(f"{replicas} broker(s), sync_interval {sync}: {name}", value, unit, beside, value / beside)
                    )
    return report


@asynccontextmanager
async def _bus(replicas: int, sync: str) -> AsyncIterator[NatsBus]:
    with tempfile.TemporaryDirectory(prefix="smallmesh-bench-") as folder, ExitStack() as stack:
        if replicas == 1:
            url = stack.enter_context(EmbeddedBroker.start(Path(folder), sync=sync)).url
        else:
            url = stack.enter_context(EmbeddedCluster.start(Path(folder), sync=sync)).url
        bus = await NatsBus.connect(url, name="bench")
        try:
            await bus.provision((), keeping=Keeping(replicas=replicas))
            yield bus
        finally:
            await bus.close()


async def _figures(bus: NatsBus, alone: int, load: int) -> list[tuple[str, float, str]]:
    made = Random(5)
    samples = [await _keep_one(bus, sent) for sent in _dones(alone + WARM_UP, made)][WARM_UP:]
    many = list(_dones(load, made))
    began = time.perf_counter()
    await Filler(bus.client).fill(many, IN_FLIGHT)
    rate = load / (time.perf_counter() - began)
    return [
        ("acknowledged, p50", percentile(samples, 50), "ms"),
        ("acknowledged, p95", percentile(samples, 95), "ms"),
        ("kept", rate, "result/s"),
    ]


def _dones(count: int, made: Random) -> Iterator[Sent]:
    return (done(address, made) for address in addresses(count))


async def _keep_one(bus: NatsBus, sent: Sent) -> float:
    subject, body, headers = sent
    began = time.perf_counter()
    await bus.store(subject, body, headers)
    return (time.perf_counter() - began) * 1000
