"""Every queue has a head that nobody takes, from its first day on and whenever it is gone."""

import asyncio

import pytest

from smallmesh.bus.heads import HEADS, keep_heads
from smallmesh.bus.layout import ESCALATE, STREAMS, TASKS, WORK, stream_of
from smallmesh_contracts import Lane, subjects


def test_each_queue_has_a_head_of_its_own_and_no_other_stream_has_one():
    assert {stream_of(head) for head in HEADS} == {stream for stream in STREAMS if stream.kind == "queue"} == {TASKS, WORK, ESCALATE}


class Heads:
    async def test_it_is_put_where_it_is_missing_and_once(self, bench, until):
        await bench.bus.drop(TASKS.head)
        keeping = asyncio.create_task(keep_heads(bench.bus))
        try:
            await until(lambda: _is_there(bench.bus, TASKS.head))
        finally:
            keeping.cancel()

        assert await bench.bus.store(TASKS.head, b"") is False

    async def test_nobody_is_given_it(self, bench, new_address, soon):
        await bench.bus.store(WORK.head, b"")
        consumer = await bench.consumer()
        came = asyncio.Queue()
        taking = await bench.bus.consume(consumer, came.put, slots=2)
        subject = subjects.work(bench.agent, Lane.INTERACTIVE, new_address())
        await bench.bus.store(subject, b"work")

        delivery = await soon(came.get())
        await delivery.ack()
        await soon(taking.stop())

        assert (delivery.subject, came.empty()) == (subject, True)
        assert await _is_there(bench.bus, WORK.head)


async def _is_there(bus, subject):
    return await bus.read(subject) is not None


class TestHeadsInMemory(Heads):
    @pytest.fixture
    def bench(self, memory_bench):
        return memory_bench


class TestHeadsInNats(Heads):
    @pytest.fixture
    def bench(self, nats_bench):
        return nats_bench

    async def test_a_provisioned_queue_has_it_before_anything_else(self, bench):
        for head in HEADS:
            assert await _is_there(bench.bus, head)
        told = {one.name: one.messages for one in await bench.bus.provision(())}
        assert told[WORK.name] == (await bench.bus.client.jetstream().stream_info(WORK.name)).state.messages - 1
