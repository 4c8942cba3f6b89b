"""Experiment 5: one of three brokers is cut off from the others, which nobody is told: first a follower, then the leader."""

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from smallmesh.broker import EmbeddedBroker
from smallmesh.broker_cluster import clustered
from smallmesh.bus import nats_storing
from smallmesh.bus.keeping import Keeping
from smallmesh.bus.layout import TASKS, lease_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, Lane, subjects
from tests.support.client import Client
from tests.support.networks import Network, why_not
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.experiment(5), pytest.mark.asyncio(loop_scope="session")]

BROKERS = ("one", "two", "three")
OFFICE = "office"
"""Where everybody else is, who sees all brokers."""
PORT, ROUTE = 4222, 6222
FEW, WHOM, SECONDS = 10, ("the leader",), 5.0
"""With fewer trials than this the leader alone is cut off, and for as long as it takes the others to go on."""
ALL, LONG = ("a follower", "the leader"), 60.0
ON_THEIR_WAY_S = 1.0
"""Acknowledgements that were given before the cut may arrive a little after it."""
CAUGHT_UP_WITHIN_S = 30.0
IMPATIENT_S = 1.0
HEARD_OF_NS = 2_000_000_000
"""Within which a follower that is there says so, every second; one that is cut off counts as current for another ten."""
PAUSE_S = 0.02
BODY = b'{"text": "Hello"}'


@dataclass(frozen=True, slots=True)
class Word:
    """What a publisher was told: when, of which subject, and whether it was acknowledged."""

    at: float
    subject: str
    error: ErrorCode | None


class Publisher(threading.Thread):
    """A backend at a machine, with a connection to some brokers, that stores one submission after the other."""

    def __init__(self, network, machine, url):
        super().__init__(daemon=True)
        self.told = []
        self._network, self._machine, self._url = network, machine, url
        self._told_to_stop = threading.Event()

    def run(self):
        with self._network.at(self._machine):
            asyncio.run(self._publish())

    async def _publish(self):
        bus = await NatsBus.connect(self._url, name=f"publisher at {self._machine}")
        while not self._told_to_stop.is_set():
            subject = subjects.submit(Lane.BULK, Address(self._machine, DataClass.PUBLIC, uuid.uuid4().hex))
            error = None
            try:
                await bus.store(subject, BODY)
            except ContractError as refused:
                error = refused.info.code
            self.told.append(Word(time.monotonic(), subject, error))
            await asyncio.sleep(PAUSE_S)
        await bus.close()

    def stop(self):
        self._told_to_stop.set()
        self.join(20)

    def acknowledged(self, after=0.0, before=float("inf")) -> list[str]:
        return [word.subject for word in self.told if word.error is None and after <= word.at <= before]

    def errors(self, after, before) -> set[ErrorCode]:
        return {word.error for word in self.told if word.error is not None and after <= word.at <= before}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    for name in ("PUBLISH_RETRY_S", "REPLY_S"):
        monkeypatch.setattr(nats_storing, name, IMPATIENT_S)


@contextmanager
def brokers_at(network, store) -> Iterator[dict[str, EmbeddedBroker]]:
    """Start a broker at each machine, all in one cluster."""
    routes = [f"{network.address(name)}:{ROUTE}" for name in BROKERS]
    with ExitStack() as stack:
        started = {}
        for name, route in zip(BROKERS, routes, strict=True):
            with network.at(name):
                started[name] = EmbeddedBroker.start(
                    store / name, host=network.address(name), port=PORT, extra=clustered(name, route, routes)
                )
            stack.callback(started[name].stop)
        yield started


@pytest.mark.timeout(600)
async def test_a_broker_that_is_cut_off_acknowledges_nothing_and_catches_up_when_it_is_joined_again(tmp_path, outcome, trials):
    lacking = why_not()
    if lacking:
        pytest.skip(lacking)
    with Network.made(*BROKERS, OFFICE) as network, brokers_at(network, tmp_path) as brokers:
        await asyncio.to_thread(at_the_office, network, brokers, outcome, *((WHOM, SECONDS) if trials < FEW else (ALL, LONG)))


def at_the_office(network, brokers, outcome, whom, seconds):
    with network.at(OFFICE):
        asyncio.run(cut_and_join(network, brokers, outcome, whom, seconds))


async def cut_and_join(network, brokers, outcome, all_of_them, seconds):
    everywhere = ",".join(broker.url for broker in brokers.values())
    async with Client.connected(everywhere) as office:
        await office.bus.provision(lease_consumers([DataClass.PUBLIC]), keeping=Keeping(replicas=len(BROKERS)))
        publishers = {name: Publisher(network, name, brokers[name].url) for name in BROKERS}
        publishers[OFFICE] = Publisher(network, OFFICE, everywhere)
        for publisher in publishers.values():
            publisher.start()
        try:
            for whom in all_of_them:
                await until(lambda: all(p.acknowledged(after=time.monotonic() - 1) for p in publishers.values()), "all are acknowledged")
                leader = await until(lambda: leader_at(office), "somebody leads")
                alone = leader if whom == "the leader" else next(name for name in BROKERS if name != leader)
                cut = await cut_off(network, alone, publishers[OFFICE], seconds)
                outcome.trials += 1
                outcome.recovery_s.append(await caught_up_s(office, publishers[alone]))
                told = {"minority": publishers[alone], "majority": publishers[OFFICE]}
                judge(cut, told, outcome, whom)
        finally:
            for publisher in publishers.values():
                await asyncio.to_thread(publisher.stop)
        await all_is_there(office, publishers, outcome)


@dataclass(frozen=True, slots=True)
class Cut:
    """When a broker was cut off, when the others acknowledged again, and when it was joined again."""

    began: float
    others_again: float
    ended: float


async def cut_off(network, alone, others, seconds) -> Cut:
    """Cut one broker off for a while, and at least until the others acknowledge again."""
    network.cut(alone)
    began = time.monotonic()
    await until(lambda: others.acknowledged(after=began + ON_THEIR_WAY_S), "the others go on", CAUGHT_UP_WITHIN_S)
    others_again = time.monotonic()
    await asyncio.sleep(max(0.0, began + seconds - others_again))
    network.heal(alone)
    return Cut(began, others_again, time.monotonic())


async def caught_up_s(office, publisher) -> float:
    """Return the seconds until a broker that was joined again acknowledges, and has all that the others have."""
    joined = time.monotonic()
    await until(lambda: publisher.acknowledged(after=joined), "it acknowledges again", CAUGHT_UP_WITHIN_S)
    await until(lambda: whole(office), "it has caught up", CAUGHT_UP_WITHIN_S)
    return time.monotonic() - joined


def judge(cut, told, outcome, whom):
    span = (cut.began + ON_THEIR_WAY_S, cut.ended)
    acknowledged = {who: len(publisher.acknowledged(*span)) for who, publisher in told.items()}
    others_s = round(cut.others_again - cut.began, 1)
    outcome.note(**{f"{whom} cut off": {"acknowledged": acknowledged, "others_go_on_after_s": others_s}})
    assert acknowledged["minority"] == 0
    assert acknowledged["majority"] > 0
    assert told["minority"].errors(*span) == {ErrorCode.UNAVAILABLE}


async def all_is_there(office, publishers, outcome):
    """See that everything that was ever acknowledged is delivered, and nothing twice."""
    acknowledged = [subject for publisher in publishers.values() for subject in publisher.acknowledged()]
    kept = [message.subject for message in await office.kept(TASKS.name, "slm.v1.submit.>")]
    outcome.tasks = len(acknowledged)
    outcome.lost = len(set(acknowledged) - set(kept))
    outcome.duplicates = len(kept) - len(set(kept))
    assert (outcome.lost, outcome.duplicates) == (0, 0)


async def leader_at(office) -> str | None:
    return (await state(office)).get("leader")


async def whole(office) -> bool:
    followers = (await state(office)).get("replicas", ())
    return len(followers) == len(BROKERS) - 1 and all(f["current"] and f["active"] < HEARD_OF_NS for f in followers)


async def state(office):
    with contextlib.suppress(Exception):  # nobody leads just now
        return (await office.js._api_request(f"$JS.API.STREAM.INFO.{TASKS.name}", timeout=1))["cluster"]
    return {}
