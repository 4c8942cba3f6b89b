"""Streams on three brokers: the same promises as on one, and one broker may be lost."""

import asyncio
import json

import pytest
import pytest_asyncio

from smallmesh.broker_cluster import SIZE, EmbeddedCluster
from smallmesh.bus import provision
from smallmesh.bus.keeping import Keeping
from smallmesh.bus.layout import DEAD, STREAMS, step_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.bus.provision import CannotKeepError
from smallmesh.doctor import Facts, Host, Level, examine
from smallmesh.doctor.gather import Connection, Wanted, ask_broker
from smallmesh_contracts import Address, DataClass, Lane, subjects
from smallmesh_contracts.client import Client
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module")]

THREE = Keeping(replicas=SIZE)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with EmbeddedCluster.start(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(cluster):
    connected = await NatsBus.connect(cluster.url, name="test")
    await connected.provision((), keeping=THREE)
    yield connected
    await connected.close()


async def warnings_of(bus) -> list[str]:
    seen = await ask_broker(Connection(bus, bus.client.max_payload), Wanted(keeping=THREE), wait_s=0.1)
    facts = Facts("nats://cluster", Host(), seen)
    return [one.message for one in examine(facts) if one.check == "streams" and one.level is not Level.OK]


async def test_every_stream_is_kept_on_each_of_them(bus):
    again = await bus.provision((), keeping=THREE)

    assert [one.name for one in again] == [stream.name for stream in STREAMS]
    assert {(one.change, one.replicas) for one in again} == {("as it was", SIZE)}
    await until(lambda: _none(bus), "the doctor finds nothing")


async def _none(bus):
    return not await warnings_of(bus)


async def test_the_first_of_a_subject_is_stored_and_a_second_is_not(bus, new_address):
    subject = subjects.done(new_address())

    assert [await bus.store(subject, body) for body in (b"first", b"second")] == [True, False]
    assert (await bus.read(subject)).body == b"first"


async def test_of_many_that_store_the_same_at_once_one_is_first(bus, new_address):
    subject = subjects.done(new_address())

    first = await asyncio.gather(*(bus.store(subject, bytes([number])) for number in range(10)))

    assert sum(first) == 1


async def test_a_backends_client_takes_the_addresses_of_all_and_needs_one_of_them(cluster, bus):
    nobody = "nats://127.0.0.1:1"
    async with Client.connect(f"{nobody}, {cluster.url}", "cluster", DataClass.PUBLIC) as client:
        submission = await client.submit("Hello")

    stored = await bus.read(subjects.submit(Lane.INTERACTIVE, Address("cluster", DataClass.PUBLIC, submission.task_id)))
    assert json.loads(stored.body)["text"] == "Hello"


async def test_work_is_taken_once_and_its_subject_is_free_again(bus, new_address, soon):
    consumer = step_consumers("cluster")[Lane.BULK]
    await bus.provision([consumer], keeping=THREE)
    subject = subjects.work("cluster", Lane.BULK, new_address())
    came = asyncio.Queue()
    await bus.store(subject, b"work")

    taking = await bus.consume(consumer, came.put, slots=1)
    delivery = await soon(came.get())
    await delivery.ack()
    await until(lambda: _absent(bus, subject), "it is gone")
    await taking.stop()

    assert (delivery.subject, delivery.deliveries) == (subject, 1)
    assert await bus.store(subject, b"again") is True


async def _absent(bus, subject):
    return await bus.read(subject) is None


async def test_a_dead_letter_is_kept_once(bus):
    for _ in range(2):
        await bus.append(subjects.dead(DataClass.PUBLIC, "cluster"), b"dead", {}, message_id="one")

    info = await bus.client.jetstream().stream_info(DEAD.name, subjects_filter=subjects.dead(DataClass.PUBLIC, "cluster"))
    assert list(info.state.subjects.values()) == [1]


async def test_more_replicas_than_there_are_brokers_are_refused_with_what_to_do(bus, monkeypatch):
    monkeypatch.setattr(provision, "GATHERING_S", 0.1)
    with pytest.raises(CannotKeepError, match="cannot keep streams on 5 brokers"):
        await bus.provision((), keeping=Keeping(replicas=5))


async def test_one_of_three_may_be_lost_and_the_doctor_says_which(cluster, bus, new_address):
    lost = "broker-3"
    cluster.brokers[lost].kill()
    try:
        address = new_address()
        assert await bus.store(subjects.done(address), b"kept by two") is True
        assert (await bus.read(subjects.done(address))).body == b"kept by two"
        (told,) = await until(lambda: _away(bus), "the doctor sees it")
        assert told == f"{lost}, which keeps {len(STREAMS)} streams, is away"
    finally:
        cluster.brokers[lost].restart()


async def _away(bus):
    return [told for told in await warnings_of(bus) if f"{len(STREAMS)} streams" in told]
