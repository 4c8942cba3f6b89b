"""Streams on a real broker: made once, changed as the settings do, and refused with what to do where they cannot be."""

import asyncio
from dataclasses import replace

import pytest

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.keeping import LEAST_STORE_BYTES, Keeping
from smallmesh.bus.layout import DONE, STREAMS, step_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.bus.provision import CannotKeepError
from smallmesh_contracts import Lane, subjects

TOO_MUCH = 10**14
SMALL = Keeping(store_bytes=LEAST_STORE_BYTES, done_kept_s=7200.0)


@pytest.fixture
async def bare():
    """A connection to a broker on which nothing is made yet."""
    with await asyncio.to_thread(EmbeddedBroker.start) as broker:
        connected = await NatsBus.connect(broker.url, name="test")
        yield connected
        await connected.close()


def changes(provisioned):
    return {one.change for one in provisioned}


async def test_what_is_made_once_is_as_it_was_the_second_time(bare):
    assert changes(await bare.provision(())) == {"created"}
    assert changes(await bare.provision(())) == {"as it was"}


async def test_other_settings_change_what_is_there_and_keep_what_it_holds(bare, new_address):
    subject = subjects.done(new_address())
    await bare.provision(())
    await bare.store(subject, b"kept")

    changed = {one.name: one for one in await bare.provision((), keeping=SMALL)}

    assert {one.change for one in changed.values()} == {"updated"}
    assert (changed[DONE.name].max_age_s, changed[DONE.name].messages) == (7200.0, 1)
    assert sum(one.max_bytes for one in changed.values()) <= LEAST_STORE_BYTES
    assert (await bare.read(subject)).body == b"kept"


async def test_a_dry_run_tells_what_would_be_and_changes_nothing(bare):
    js = bare.client.jetstream()
    consumer = step_consumers("dry")[Lane.BULK]

    before = await bare.provision([consumer], dry_run=True)
    names = await js.streams_info()
    await bare.provision(())
    after = await bare.provision((), keeping=SMALL, dry_run=True)

    assert (changes(before), names) == ({"created"}, [])
    assert changes(after) == {"updated"}
    assert (await js.stream_info(DONE.name)).config.max_bytes == DONE.max_bytes


async def test_two_that_provision_at_once_do_not_hinder_each_other(bare):
    first, second = await asyncio.gather(bare.provision(()), bare.provision(()))

    assert len(first) == len(second) == len(STREAMS)
    assert changes(await bare.provision(())) == {"as it was"}


async def test_replicas_on_a_single_broker_are_refused_with_what_to_do(bare):
    with pytest.raises(CannotKeepError, match="3 replicas of a stream need as many brokers"):
        await bare.provision((), keeping=Keeping(replicas=3))


async def test_more_than_the_broker_has_room_for_is_refused_with_what_to_do(bare):
    with pytest.raises(CannotKeepError, match=r"no room for streams of .*SMALLMESH_STORE_SIZE"):
        await bare.provision((), keeping=replace(SMALL, store_bytes=TOO_MUCH))
