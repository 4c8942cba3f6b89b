"""A replica that stops loses nothing that the broker has sent it: calls are answered, messages handed back."""

import asyncio

import pytest

from smallmesh.bus import Endpoint, Reply, ServiceSpec
from smallmesh.bus.nats import NatsBus
from smallmesh_contracts import DataClass, Lane, subjects
from tests.support.patience import until

STREAM_OF_CALLS = 200


async def echo(call):
    await asyncio.sleep(0)
    return Reply(call.body)


@pytest.fixture
async def another_bus(broker):
    """The connection of the replica that stops."""
    connected = await NatsBus.connect(broker.url, name="stopping")
    yield connected
    await connected.close()


@pytest.fixture
def spec(nats_bench):
    return ServiceSpec(nats_bench.agent, "1.0.0", "Echoes", endpoints=(Endpoint("ask", subjects.ask(nats_bench.agent), echo),))


async def test_no_call_is_lost_while_one_of_two_replicas_stops(nats_bench, another_bus, spec):
    stopping = await another_bus.serve(spec)
    staying = await nats_bench.bus.serve(spec)
    calls = []

    async def keep_calling():
        for number in range(STREAM_OF_CALLS):
            body = str(number).encode()
            calls.append(asyncio.create_task(nats_bench.bus.request(subjects.ask(nats_bench.agent), body, timeout_s=2.0)))
            if number % 10 == 0:
                await asyncio.sleep(0)

    calling = asyncio.create_task(keep_calling())
    await until(lambda: len(calls) >= STREAM_OF_CALLS // 4, "calls are on their way")
    await stopping.stop()
    await calling
    replies = await asyncio.gather(*calls)
    await staying.stop()

    assert [reply.body for reply in replies] == [str(number).encode() for number in range(STREAM_OF_CALLS)]


async def test_a_message_on_its_way_to_a_consumer_that_stops_is_at_once_with_another(nats_bench, another_bus, new_address, soon):
    consumer = await nats_bench.consumer(ack_wait_s=60.0)
    seen, some, all_there = set(), asyncio.Event(), asyncio.Event()

    async def take(delivery):
        seen.add(delivery.subject)
        await delivery.ack()
        if len(seen) > STREAM_OF_CALLS // 10:
            some.set()
        if len(seen) == STREAM_OF_CALLS:
            all_there.set()

    published = [subjects.work(nats_bench.agent, Lane.INTERACTIVE, new_address(DataClass.PUBLIC)) for _ in range(STREAM_OF_CALLS)]
    await asyncio.gather(*(nats_bench.bus.store(subject, b"{}") for subject in published))
    first = await another_bus.consume(consumer, take, slots=8)
    await soon(some.wait())
    await first.stop()
    second = await nats_bench.bus.consume(consumer, take, slots=8)
    await soon(all_there.wait())
    await second.stop()

    assert seen == set(published)
