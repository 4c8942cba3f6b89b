"""A connection that was away: whoever watches is told that something may have passed by unseen, and work goes on."""

import asyncio

import pytest

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus import pull
from smallmesh.bus.layout import step_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh_contracts import DataClass, Lane, subjects


@pytest.fixture
def broker():
    """A broker of this test's own, to be killed."""
    with EmbeddedBroker.start() as started:
        yield started


@pytest.fixture
async def bus(broker):
    """A connection to it."""
    connected = await NatsBus.connect(broker.url, name="test")
    yield connected
    await connected.close()


async def test_who_watches_hears_of_a_gap_until_it_stops_watching(broker, bus, soon):
    heard, stopped = asyncio.Event(), []
    watching = await bus.watch(subjects.any_cancelled(DataClass.PUBLIC), lambda _: None, missed=heard.set)
    other = await bus.watch(subjects.any_cancelled(DataClass.PUBLIC), lambda _: None, missed=lambda: stopped.append(True))
    await other.stop()

    broker.kill()
    await asyncio.to_thread(broker.restart)
    await soon(heard.wait())

    assert stopped == []
    await watching.stop()


async def test_work_is_asked_for_anew_as_soon_as_the_connection_is_back(broker, bus, new_address, soon, monkeypatch):
    monkeypatch.setattr(pull, "EXPIRES_S", 3600.0)  # so that only the gap can make it ask
    consumer = step_consumers("sentiment")[Lane.INTERACTIVE]
    await bus.provision([consumer])
    came = asyncio.Queue()
    taking = await bus.consume(consumer, came.put, slots=4)
    await bus.store(subjects.work("sentiment", Lane.INTERACTIVE, new_address()), b"before")
    before = await soon(came.get())
    await before.ack()

    broker.kill()  # perhaps before it had kept the acknowledgement: then "before" comes once more
    await asyncio.to_thread(broker.restart)
    await bus.store(subjects.work("sentiment", Lane.INTERACTIVE, new_address()), b"after")

    bodies = [before.body]
    while bodies[-1] != b"after":
        again = await soon(came.get())
        bodies.append(again.body)
        await again.ack()
    assert set(bodies) == {b"before", b"after"}
    await soon(taking.stop())
