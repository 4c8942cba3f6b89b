"""Experiment 4: three brokers that keep every stream together, and the leader of one killed again and again."""

import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from smallmesh.broker_cluster import EmbeddedCluster
from smallmesh.bus.layout import DONE, RESULTS, STREAMS, TASKS, WORK
from smallmesh.supervise import Mesh
from smallmesh.tasks import end
from smallmesh_contracts import Lane
from tests.faults.ledger import Ledger
from tests.faults.load import TWO_STEPS, Kind, flowing
from tests.faults.share import share
from tests.support.client import Client
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.experiment(4), pytest.mark.asyncio(loop_scope="session")]

BROKERS = 3
UNAVAILABLE_P99_S = 10.0
LED = (TASKS, WORK, RESULTS, DONE)
"""Whose leader is killed, in turn."""
KILL_EVERY_S = 20.0
FEW = 10
"""With fewer trials than this the next kill comes as soon as all is whole again."""
HEARD_OF_NS = 2_000_000_000
"""Within which a follower that is there says so, every second."""
PROBE_S = 0.05
AT_ONCE = Kind(("sentiment",), windows=0)
"""What is answered sooner than the next comes: no backlog grows while submissions are timed."""
IN_FLIGHT = 4


def here(follower) -> bool:
    """Tell whether a follower has everything; one that was killed counts as current for another ten seconds."""
    return follower["current"] and follower["active"] < HEARD_OF_NS


class Clustered:
    """A mesh over three brokers, and what can be asked of them."""

    def __init__(self, cluster, client):
        self.cluster = cluster
        self.client = client

    async def kill_leader(self, stream) -> str:
        """SIGKILL the broker that leads a stream; return its name."""
        name = await until(lambda: self._leader(stream), f"{stream.name} has a leader")
        self.cluster.brokers[name].kill()
        return name

    async def _leader(self, stream) -> str | None:
        return (await self._state(stream)).get("leader")

    async def whole(self) -> bool:
        """Tell whether every broker has all of every stream."""
        states = [await self._state(stream) for stream in STREAMS]
        return all(len(followers := s.get("replicas", ())) == BROKERS - 1 and all(map(here, followers)) for s in states)

    async def _state(self, stream):
        with contextlib.suppress(Exception):  # nobody leads it just now
            return (await self.client.js._api_request(f"$JS.API.STREAM.INFO.{stream.name}", timeout=1))["cluster"]
        return {}


@pytest_asyncio.fixture(loop_scope="session")
async def clustered(timed_town, tmp_path):
    settings = {"stream_replicas": str(BROKERS), "step_ack_wait_s": "5", "lease_ack_wait_s": "5"}
    with EmbeddedCluster.start(tmp_path) as cluster:
        starting = Mesh.start(
            agent_path=[timed_town], nats_url=cluster.url, scale={"orchestrator": 2}, agents=["sentiment", "ner"], **settings
        )
        async with starting as mesh, Client.connected(cluster.url) as client:
            await mesh.ready(60)
            yield Clustered(cluster, client)


class Probe:
    """A backend that submits one task after the other, and how long each waited for its acknowledgement."""

    def __init__(self, ledger):
        self._ledger = ledger
        self._waits = []

    async def keep(self) -> None:
        while True:
            address, began = self._ledger.address(), time.monotonic()
            await self._ledger.submit(address, AT_ONCE.task(address), Lane.INTERACTIVE)
            self._waits.append((began, time.monotonic()))
            await asyncio.sleep(PROBE_S)

    def acknowledged(self, since: float) -> bool:
        """Tell whether a submission that began since then is acknowledged."""
        return bool(self._waits) and self._waits[-1][0] >= since

    def longest_s(self, since: float) -> float:
        """Return the longest wait that was not over then."""
        return max(ended - began for began, ended in self._waits if ended >= since)


@asynccontextmanager
async def probing(ledger) -> AsyncIterator[Probe]:
    probe = Probe(ledger)
    keeping = asyncio.create_task(probe.keep())
    try:
        yield probe
        if keeping.done():
            keeping.result()
    finally:
        await end(keeping)


@pytest.mark.timeout(3600)
async def test_leaders_killed_again_and_again_lose_nothing_that_was_acknowledged(clustered, outcome, trials):
    outcome.trials = share(trials, 0.1) if trials >= FEW else 2
    waits, whole_s = [], []
    async with Ledger.opened(clustered.client) as ledger:
        async with flowing(ledger, TWO_STEPS, in_flight=IN_FLIGHT), probing(ledger) as probe:
            await until(lambda: probe.acknowledged(0.0), "tasks flow")
            for stream in itertools.islice(itertools.cycle(LED), outcome.trials):
                await until(clustered.whole, "every broker has everything")
                began = time.monotonic()
                name = await clustered.kill_leader(stream)
                ledger.hit(f"{name}, leader of {stream.name}")
                await until(lambda since=began: probe.acknowledged(since), "submissions are acknowledged again")
                waits.append(probe.longest_s(began))
                await asyncio.to_thread(clustered.cluster.brokers[name].restart)
                await until(clustered.whole, "every broker has everything")
                whole_s.append(time.monotonic() - began)
                if trials >= FEW:
                    await asyncio.sleep(max(0.0, began + KILL_EVERY_S - time.monotonic()))
        audit = await ledger.settled()
        ledger.close_into(outcome)

    outcome.recovery_s = waits
    outcome.note(submissions=audit.sent, unavailable_median_s=round(statistics.median(waits), 2), unavailable_worst_s=round(max(waits), 2))
    outcome.note(all_brokers_caught_up_worst_s=round(max(whole_s), 2))
    assert audit.clean, audit
    assert percentile(waits, 99) <= UNAVAILABLE_P99_S, waits


def percentile(samples, percent) -> float:
    """Return the least sample that so many percent of all are not above."""
    return sorted(samples)[-(-len(samples) * percent // 100) - 1]
