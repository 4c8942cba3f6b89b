"""Taking work: one behaviour of the bus seam, held to by the double and by NATS."""

import asyncio

import pytest

from smallmesh_contracts import Lane, subjects

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
SOON_S = 0.4
"""An acknowledgement window that a test can wait for."""


class Consuming:
    @pytest.fixture
    def publish(self, bench, new_address):
        """Publish a step for this test's agent; return its subject."""

        async def step(body=b"", lane=Lane.INTERACTIVE, headers=None):
            subject = subjects.work(bench.agent, lane, new_address())
            assert await bench.bus.store(subject, body, headers)
            return subject

        return step

    async def test_a_message_comes_with_its_body_its_headers_and_its_place(self, bench, publish, soon):
        came = asyncio.Queue()
        taking = await bench.bus.consume(await bench.consumer(), came.put, slots=1)

        subject = await publish(b"body", headers=TRACE)
        delivery = await soon(came.get())

        assert (delivery.subject, delivery.body, delivery.deliveries) == (subject, b"body", 1)
        assert delivery.headers["traceparent"] == TRACE["traceparent"]
        assert delivery.sequence > 0
        await delivery.ack()
        await soon(taking.stop())

    async def test_an_acknowledged_message_is_gone_and_cannot_be_handed_back(self, bench, publish, soon, until):
        seen = asyncio.Queue()

        async def finish(delivery):
            await delivery.ack()
            await delivery.retry(0.0)
            seen.put_nowait(delivery.subject)

        first = await publish()
        taking = await bench.bus.consume(await bench.consumer(), finish, slots=1)
        assert await soon(seen.get()) == first
        await until(lambda: _absent(bench.bus, first))
        second = await publish()

        assert await soon(seen.get()) == second
        await soon(taking.stop())

    async def test_deliveries_count_up_and_the_arrival_time_stays(self, bench, publish, soon):
        came = asyncio.Queue()

        async def hand_back_twice(delivery):
            came.put_nowait(delivery)
            await (delivery.retry(0.0) if delivery.deliveries < 3 else delivery.ack())

        await publish()
        taking = await bench.bus.consume(await bench.consumer(), hand_back_twice, slots=1)
        deliveries = [await soon(came.get()) for _ in range(3)]

        assert [d.deliveries for d in deliveries] == [1, 2, 3]
        assert len({d.arrived_at for d in deliveries}) == 1
        assert len({d.sequence for d in deliveries}) == 1
        await soon(taking.stop())

    async def test_a_message_handed_back_for_later_does_not_come_sooner(self, bench, publish, soon):
        clock = asyncio.get_running_loop().time
        came = asyncio.Queue()

        async def hand_back_once(delivery):
            came.put_nowait(clock())
            await (delivery.retry(SOON_S) if delivery.deliveries == 1 else delivery.ack())

        await publish()
        taking = await bench.bus.consume(await bench.consumer(), hand_back_once, slots=1)
        first, second = await soon(came.get()), await soon(came.get())

        assert second - first >= SOON_S * 0.9
        await soon(taking.stop())

    async def test_what_a_stopped_consumer_left_unacknowledged_goes_to_another(self, bench, publish, soon):
        consumer = await bench.consumer(ack_wait_s=SOON_S)
        silent, other = asyncio.Queue(), asyncio.Queue()
        subject = await publish()
        dead = await bench.bus.consume(consumer, silent.put, slots=1)
        await soon(silent.get())
        await soon(dead.stop())

        living = await bench.bus.consume(consumer, other.put, slots=1)
        delivery = await soon(other.get())

        assert (delivery.subject, delivery.deliveries) == (subject, 2)
        await delivery.ack()
        await soon(living.stop())

    async def test_what_its_handler_forgot_comes_again_after_the_acknowledgement_window(self, bench, publish, soon):
        came = asyncio.Queue()

        async def forget_once(delivery):
            came.put_nowait(delivery.deliveries)
            if delivery.deliveries > 1:
                await delivery.ack()

        await publish()
        taking = await bench.bus.consume(await bench.consumer(ack_wait_s=SOON_S), forget_once, slots=1)

        assert [await soon(came.get()), await soon(came.get())] == [1, 2]
        await soon(taking.stop())

    async def test_signs_of_life_keep_a_message_with_its_holder_beyond_the_window(self, bench, publish, soon):
        held = []
        ended = asyncio.Event()

        async def work_for_two_windows(delivery):
            held.append(delivery.deliveries)
            for _ in range(10):
                await delivery.in_progress()
                await asyncio.sleep(SOON_S / 5)
            await delivery.ack()
            ended.set()

        await publish()
        taking = await bench.bus.consume(await bench.consumer(ack_wait_s=SOON_S), work_for_two_windows, slots=2)
        await soon(ended.wait())

        assert held == [1]
        await soon(taking.stop())

    async def test_slots_bound_what_is_in_hand(self, bench, publish, soon):
        began = asyncio.Queue()
        go_on = asyncio.Semaphore(0)
        in_hand, most = 0, 0

        async def hold(delivery):
            nonlocal in_hand, most
            in_hand += 1
            most = max(most, in_hand)
            began.put_nowait(delivery.subject)
            await go_on.acquire()
            in_hand -= 1
            await delivery.ack()

        wanted = {await publish() for _ in range(5)}
        taking = await bench.bus.consume(await bench.consumer(), hold, slots=2)
        seen = {await soon(began.get()), await soon(began.get())}
        await bench.bus.read(next(iter(wanted)))  # a round trip, in which a third would have come
        assert began.empty()
        for _ in range(5):
            go_on.release()
        seen |= {await soon(began.get()) for _ in range(3)}

        assert most == 2
        assert seen == wanted
        await soon(taking.stop())

    async def test_two_consumers_of_one_queue_share_its_messages(self, bench, publish, soon):
        consumer = await bench.consumer()
        came = asyncio.Queue()

        async def finish(delivery):
            came.put_nowait(delivery.subject)
            await delivery.ack()

        replicas = [await bench.bus.consume(consumer, finish, slots=4) for _ in range(2)]
        wanted = sorted([await publish() for _ in range(20)])
        seen = sorted([await soon(came.get()) for _ in range(20)])

        assert seen == wanted
        assert came.empty()
        for replica in replicas:
            await soon(replica.stop())

    async def test_a_consumer_of_one_lane_leaves_the_other_alone(self, bench, publish, soon):
        came = asyncio.Queue()
        taking = await bench.bus.consume(await bench.consumer(Lane.BULK), came.put, slots=4)

        interactive, bulk = await publish(lane=Lane.INTERACTIVE), await publish(lane=Lane.BULK)
        delivery = await soon(came.get())

        assert delivery.subject == bulk
        assert came.empty()
        assert await bench.bus.read(interactive) is not None
        await delivery.ack()
        await soon(taking.stop())

    async def test_what_was_published_before_anybody_took_it_is_delivered_oldest_first(self, bench, publish, soon):
        wanted = [await publish() for _ in range(3)]
        came = asyncio.Queue()

        async def finish(delivery):
            came.put_nowait(delivery.subject)
            await delivery.ack()

        taking = await bench.bus.consume(await bench.consumer(), finish, slots=1)

        assert [await soon(came.get()) for _ in range(3)] == wanted
        await soon(taking.stop())

    async def test_a_stop_cancels_what_does_not_end_so_that_it_can_hand_its_message_back(self, bench, publish, soon):
        consumer = await bench.consumer()
        began, came = asyncio.Event(), asyncio.Queue()

        async def hang(delivery):
            try:
                began.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await delivery.retry(0.0)
                raise

        await publish()
        stopping = await bench.bus.consume(consumer, hang, slots=1)
        await soon(began.wait())
        await soon(stopping.stop())
        other = await bench.bus.consume(consumer, came.put, slots=1)
        delivery = await soon(came.get())

        assert delivery.deliveries == 2
        await delivery.ack()
        await soon(other.stop())

    async def test_a_consumer_can_be_stopped_at_the_very_moment_its_work_ends(self, bench, publish, soon):
        consumer = await bench.consumer()

        for _ in range(5):
            ended = asyncio.Event()

            async def finish(delivery, ended=ended):
                await delivery.ack()
                ended.set()

            await publish()
            taking = await bench.bus.consume(consumer, finish, slots=1)
            await soon(ended.wait())
            await soon(taking.stop())


async def _absent(bus, subject):
    return await bus.read(subject) is None


class TestConsumingInMemory(Consuming):
    @pytest.fixture
    def bench(self, memory_bench):
        return memory_bench


class TestConsumingInNats(Consuming):
    @pytest.fixture
    def bench(self, nats_bench):
        return nats_bench
