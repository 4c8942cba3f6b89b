"""Storing, reading and logging: one behaviour of the bus seam, held to by the double and by NATS."""

import asyncio

import pytest

from smallmesh.bus.layout import DEAD, DONE
from smallmesh.bus.nats import NatsBus
from smallmesh_contracts import ContractError, DataClass, ErrorCode, Lane, subjects

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


class Storing:
    async def test_the_first_of_a_subject_is_stored_and_a_second_is_told_that_it_was_not(self, bench, new_address):
        subject = subjects.done(new_address())

        assert await bench.bus.store(subject, b"first") is True
        assert await bench.bus.store(subject, b"second") is False
        assert (await bench.bus.read(subject)).body == b"first"

    async def test_what_is_absent_reads_as_none(self, bench, new_address):
        address = new_address()

        assert await bench.bus.read(subjects.done(address)) is None
        assert await bench.bus.read(subjects.result(address, "sentiment", "sentiment")) is None

    async def test_a_message_with_a_status_of_its_own_is_read_as_what_it_is(self, bench, new_address):
        subject = subjects.done(new_address())

        await bench.bus.store(subject, b"body", {"Status": "404", "Description": "No Messages"})

        assert (await bench.bus.read(subject)).body == b"body"

    async def test_what_one_task_stored_is_not_read_under_another_task(self, bench, new_address):
        await bench.bus.store(subjects.done(new_address()), b"mine")

        assert await bench.bus.read(subjects.done(new_address())) is None

    async def test_a_trace_travels_with_what_is_stored(self, bench, new_address):
        subject = subjects.done(new_address())

        await bench.bus.store(subject, b"", TRACE)

        assert (await bench.bus.read(subject)).headers["traceparent"] == TRACE["traceparent"]

    async def test_a_queue_takes_a_subject_again_once_its_message_is_acknowledged(self, bench, new_address, until, soon):
        consumer = await bench.consumer()
        subject = subjects.work(bench.agent, Lane.INTERACTIVE, new_address())
        assert await bench.bus.store(subject, b"first") is True
        assert await bench.bus.store(subject, b"second") is False

        taking = await bench.bus.consume(consumer, lambda delivery: delivery.ack(), slots=1)
        await until(lambda: _absent(bench.bus, subject))
        await soon(taking.stop())

        assert await bench.bus.store(subject, b"third") is True
        assert (await bench.bus.read(subject)).body == b"third"

    async def test_stored_results_are_announced_and_refused_ones_are_not(self, bench, new_address, until):
        address = new_address()
        first, last = (subjects.result(address, agent, "sentiment") for agent in ("first", "last"))
        seen = []
        watch = await bench.bus.watch(subjects.any_stored(address.data_class), seen.append)

        await bench.bus.store(first, b"stored", TRACE)
        await bench.bus.store(first, b"refused")
        await bench.bus.store(last, b"stored too")
        await until(lambda: _holds(any(m.subject == subjects.stored(last) for m in seen)))

        mine = [m for m in seen if address.task_id in m.subject]
        assert [(m.subject, m.body) for m in mine] == [(subjects.stored(first), b"stored"), (subjects.stored(last), b"stored too")]
        assert mine[0].headers["traceparent"] == TRACE["traceparent"]
        await watch.stop()

    async def test_a_watch_that_was_stopped_sees_nothing_more(self, bench, new_address, until):
        address = new_address()
        stopped, running = [], []
        watch = await bench.bus.watch(subjects.any_stored(address.data_class), stopped.append)
        other = await bench.bus.watch(subjects.any_stored(address.data_class), running.append)

        await watch.stop()
        await bench.bus.store(subjects.result(address, "sentiment", "sentiment"), b"")
        await until(lambda: _holds(any(address.task_id in m.subject for m in running)))

        assert [m for m in stopped if address.task_id in m.subject] == []
        await other.stop()

    async def test_a_watch_of_one_class_does_not_see_another(self, bench, new_address, until):
        secret, public = new_address(DataClass.RESTRICTED), new_address(DataClass.PUBLIC)
        seen = []
        watch = await bench.bus.watch(subjects.any_stored(DataClass.PUBLIC), seen.append)

        await bench.bus.store(subjects.result(secret, "sentiment", "sentiment"), b"")
        await bench.bus.store(subjects.result(public, "sentiment", "sentiment"), b"")
        await until(lambda: _holds(any(public.task_id in m.subject for m in seen)))

        assert not any(secret.task_id in m.subject for m in seen)
        await watch.stop()

    async def test_a_full_stream_is_overloaded_and_never_success(self, bench, new_address):
        there, absent = subjects.done(new_address()), subjects.done(new_address())
        await bench.bus.store(there, b"first")
        await bench.fill(DONE)

        with pytest.raises(ContractError) as refused:
            await bench.bus.store(absent, b"")

        assert refused.value.info.code is ErrorCode.OVERLOADED
        assert refused.value.info.retryable
        assert refused.value.info.retry_after_s > 0
        assert await bench.bus.read(absent) is None
        assert await bench.bus.store(there, b"second") is False

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [
            ("slm.v1.done.tenant.internal.{id}", "slm.v1.done.tenant.secret.{id}"),
            ("slm.v1.submit.bulk.tenant.internal.{id}", "slm.v1.submit.bulk.tenant.interne.{id}"),
            ("slm.v1.submit.bulk.tenant.internal.{id}", "slm.v1.submit.batch.tenant.internal.{id}"),
            ("slm.v1.work.ner.bulk.tenant.internal.{id}", "slm.v1.work.ner.batch.tenant.internal.{id}"),
            ("slm.v1.escalate.bulk.tenant.internal.{id}.analysis", "slm.v1.escalate.bulk.tenant.restricted.{id}.analysis"),
        ],
    )
    async def test_a_subject_of_an_unknown_class_or_lane_is_refused_at_publish(self, bench, new_address, right, wrong):
        task_id = new_address().task_id

        assert await bench.bus.store(right.format(id=task_id), b"") is True
        with pytest.raises(ContractError) as refused:
            await bench.bus.store(wrong.format(id=task_id), b"")

        assert refused.value.info.code is ErrorCode.UNAVAILABLE

    async def test_what_has_a_time_to_live_is_gone_after_it_and_its_subject_is_free_again(self, bench, new_address, until):
        subject = subjects.result(new_address(), "sentiment", "sentiment")

        await bench.bus.store(subject, b"first", ttl_s=1.0)
        assert (await bench.bus.read(subject)).body == b"first"
        await until(lambda: _absent(bench.bus, subject))

        assert await bench.bus.store(subject, b"second", ttl_s=3600.0) is True

    async def test_a_log_takes_the_same_message_id_once(self, bench):
        subject = subjects.dead(DataClass.INTERNAL, bench.agent)

        for message_id in ("a", "a", "b", "a"):
            await bench.bus.append(subject, b"dead", {}, message_id=f"{bench.agent}-{message_id}")

        assert await bench.logged(subject) == 2

    async def test_what_was_dropped_is_gone_and_its_subject_is_free(self, bench, new_address):
        kept, dropped = (subjects.claim(new_address(), "analysis") for _ in range(2))
        for subject in (kept, dropped):
            await bench.bus.store(subject, b"first")

        await bench.bus.drop(dropped)
        await bench.bus.drop(dropped)

        assert await bench.bus.store(dropped, b"second") is True
        assert (await bench.bus.read(kept)).body == b"first"

    async def test_what_a_stream_keeps_is_looked_through_in_its_order(self, bench):
        mine, other = (subjects.dead(c, bench.agent) for c in (DataClass.INTERNAL, DataClass.PUBLIC))
        before = bench.bus.now()
        for number in range(600):
            subject = other if number % 3 == 2 else mine
            await bench.bus.append(subject, str(number).encode(), TRACE, message_id=f"{bench.agent}-{number}")

        found = [entry async for entry in bench.bus.entries(mine)]
        rest = [entry async for entry in bench.bus.entries(mine, after=found[-3].sequence)]

        assert [int(entry.message.body) for entry in found] == [n for n in range(600) if n % 3 != 2]
        assert found == sorted(found, key=lambda entry: entry.sequence)
        assert rest == found[-2:]
        assert {entry.message.subject for entry in found} == {mine}
        assert found[0].message.headers["traceparent"] == TRACE["traceparent"]
        assert before - 0.5 <= found[0].stored_at <= found[-1].stored_at <= bench.bus.now() + 0.5
        assert [entry async for entry in bench.bus.entries(subjects.dead(DataClass.RESTRICTED, bench.agent))] == []

    async def test_a_message_of_a_stream_is_found_and_removed_by_its_number(self, bench):
        subject = subjects.dead(DataClass.INTERNAL, bench.agent)
        await bench.bus.append(subject, b"dead", {}, message_id=bench.agent)
        (entry,) = [entry async for entry in bench.bus.entries(subject)]

        assert (await bench.bus.entry(DEAD.name, entry.sequence)).message.body == b"dead"
        assert await bench.bus.remove(DEAD.name, entry.sequence) is True
        assert await bench.bus.remove(DEAD.name, entry.sequence) is False
        assert await bench.bus.entry(DEAD.name, entry.sequence) is None
        assert await bench.bus.entry(DEAD.name, entry.sequence + 1_000_000) is None

    async def test_an_announcement_is_seen_by_whoever_watches_and_kept_by_nobody(self, bench, new_address, until):
        address, seen = new_address(), []
        watch = await bench.bus.watch(subjects.any_cancelled(), seen.append)

        await bench.bus.announce(subjects.cancelled(address), b"word")
        await until(lambda: _holds(bool(seen)))

        assert [(m.subject, m.body) for m in seen] == [(subjects.cancelled(address), b"word")]
        await watch.stop()

    async def test_a_full_log_is_overloaded(self, bench):
        await bench.bus.append(subjects.dead(DataClass.INTERNAL, bench.agent), b"first", {}, message_id=f"{bench.agent}-1")
        await bench.fill(DEAD)

        with pytest.raises(ContractError) as refused:
            await bench.bus.append(subjects.dead(DataClass.INTERNAL, bench.agent), b"second", {}, message_id=f"{bench.agent}-2")

        assert refused.value.info.code is ErrorCode.OVERLOADED

    async def test_the_broker_has_one_time_for_everybody(self, bench, new_address, soon):
        consumer = await bench.consumer()
        came = asyncio.Queue()
        taking = await bench.bus.consume(consumer, came.put, slots=1)
        if isinstance(bench.bus, NatsBus):
            await bench.bus.check_consumer(consumer)

        before = bench.bus.now()
        await bench.bus.store(subjects.work(bench.agent, Lane.INTERACTIVE, new_address()), b"")
        delivery = await soon(came.get())

        assert before - 0.5 <= delivery.arrived_at <= bench.bus.now() + 0.5
        await delivery.ack()
        await soon(taking.stop())


async def _absent(bus, subject):
    return await bus.read(subject) is None


async def _holds(truth):
    return truth


class TestStoringInMemory(Storing):
    @pytest.fixture
    def bench(self, memory_bench):
        return memory_bench


class TestStoringInNats(Storing):
    @pytest.fixture
    def bench(self, nats_bench):
        return nats_bench

    async def test_a_body_over_the_brokers_limit_is_too_long(self, bench, new_address):
        with pytest.raises(ContractError) as refused:
            await bench.bus.store(subjects.done(new_address()), b"x" * (5 * 1024 * 1024))

        assert refused.value.info.code is ErrorCode.TOO_LONG
