"""Steps in hand: what the broker does not take is held, and signs of life are given while something gets on."""

import asyncio

import pytest

from smallmesh.bus.memory import MemoryBus, MemoryDelivery
from smallmesh.serving.in_hand import InHand
from smallmesh.serving.movement import Movement
from smallmesh.tasks import end
from smallmesh_contracts import Answer, ContractError, DataClass, ErrorCode, StepResult, decode
from tests.support.patience import until
from tests.support.step_bench import ANSWER, OLD_S, StepBench

ACK_WAIT_S = 0.3
"""Ten heartbeats of a bench: a busy machine may hold up the event loop for some of them."""


@pytest.fixture
def bench(new_address):
    return StepBench(new_address(DataClass.PUBLIC))


async def test_an_answer_that_no_stream_takes_is_held_in_hand_and_never_computed_again(bench):
    bench.bus.full.add("SLM_RESULTS")
    await bench.publish()
    tried = bench.tries_to_store()

    async with bench.working(ack_wait_s=ACK_WAIT_S):
        await until(lambda: len(tried) >= 6, "several tries, over more than one ack wait")
        bench.bus.full.clear()
        await bench.acknowledged()

    assert decode(StepResult, (await bench.bus.read(bench.result)).body).answer == ANSWER
    assert (bench.deliveries, len(bench.calls)) == ([1], 1)


async def test_an_answer_that_no_stream_takes_before_its_deadline_has_expired(bench):
    bench.bus.full.add("SLM_RESULTS")
    await bench.publish()
    tried = bench.tries_to_store()

    async with bench.working():
        await until(lambda: len(tried) >= 2, "it is held")
        bench.bus.ahead_s = 60.0
        await until(lambda: bench.deliveries == [1, 2], "it is handed back")
        bench.bus.full.clear()
        await bench.acknowledged()

    result = decode(StepResult, (await bench.bus.read(bench.result)).body)
    assert result.answer.error.code is ErrorCode.EXPIRED
    assert (len(bench.calls), bench.dead()) == (1, [])


async def test_a_dead_letter_that_the_broker_does_not_take_is_held_in_hand(bench, monkeypatch):
    append, refused = bench.bus.append, []

    async def refuse_twice(subject, body, carried, *, message_id):
        if len(refused) < 2:
            refused.append(message_id)
            raise ContractError(ErrorCode.UNAVAILABLE, "no broker")
        await append(subject, body, carried, message_id=message_id)

    monkeypatch.setattr(bench.bus, "append", refuse_twice)
    bench.fail_with(ContractError(ErrorCode.INVALID_OUTPUT, "m"))
    await bench.publish()

    result = await bench.to_the_end()

    assert (bench.deliveries, len(bench.calls), len(refused)) == ([1], 1, 2)
    assert result.answer.error.code is ErrorCode.INVALID_OUTPUT
    assert len(bench.dead()) == 1


async def test_a_broker_that_cannot_be_read_just_now_costs_no_delivery(bench, monkeypatch):
    read, failed = bench.bus.read, []

    async def fail_once(subject):
        if not failed:
            failed.append(subject)
            raise ContractError(ErrorCode.UNAVAILABLE, "no broker")
        return await read(subject)

    monkeypatch.setattr(bench.bus, "read", fail_once)
    await bench.publish()
    bench.bus.ahead_s = OLD_S

    assert (await bench.to_the_end()).answer == ANSWER
    assert (bench.deliveries, len(failed)) == ([1], 1)


async def test_a_result_that_the_worker_may_not_store_is_a_dead_letter_at_once(bench, monkeypatch):
    store = bench.bus.store

    async def deny(subject, body, carried=None, *, ttl_s=None):
        if b'"value":{' in body:
            raise ContractError(ErrorCode.UNAUTHORIZED, "not permitted")
        return await store(subject, body, carried, ttl_s=ttl_s)

    await bench.publish()
    monkeypatch.setattr(bench.bus, "store", deny)

    result = await bench.to_the_end()

    assert (bench.deliveries, result.answer.error.code) == ([1], ErrorCode.UNAUTHORIZED)
    assert len(bench.dead()) == 1


async def test_a_stopped_worker_hands_an_answer_back_that_it_cannot_store(bench):
    bench.bus.full.add("SLM_RESULTS")
    await bench.publish()
    tried = bench.tries_to_store()
    async with bench.working(ack_wait_s=3600.0):
        await until(lambda: tried, "it is held")
    bench.bus.full.clear()

    await bench.to_the_end(ack_wait_s=3600.0)

    assert (bench.deliveries, len(bench.calls)) == ([1, 2], 2)


async def test_a_long_step_gives_signs_of_life_and_stays_with_its_worker(bench):
    async def work_for_three_windows():
        await asyncio.sleep(2 * ACK_WAIT_S)
        return ANSWER

    bench.respond = work_for_three_windows
    await bench.publish()

    await bench.to_the_end(ack_wait_s=ACK_WAIT_S, slots=2)

    assert bench.deliveries == [1]


async def test_a_sign_of_life_that_is_lost_is_not_the_last(bench, soon, monkeypatch):
    signs, third = [], asyncio.Event()

    async def lose(_self):
        signs.append(1)
        if len(signs) == 3:
            third.set()
        raise ConnectionError

    async def until_the_third():
        await third.wait()
        return ANSWER

    monkeypatch.setattr(MemoryDelivery, "in_progress", lose)
    bench.respond = until_the_third
    await bench.publish()

    assert (await soon(bench.to_the_end())).answer == ANSWER


async def test_after_its_deadline_a_wedged_step_gives_no_sign_of_life(bench, monkeypatch):
    signs, wedged = [], asyncio.Event()

    async def sign(_self):
        signs.append(bench.bus.now())

    async def wedge():
        await wedged.wait()
        return ANSWER

    monkeypatch.setattr(MemoryDelivery, "in_progress", sign)
    bench.respond = wedge
    await bench.publish()
    async with bench.working(ack_wait_s=3600.0):
        await until(lambda: signs, "a sign of life")
        bench.bus.ahead_s = 60.0
        before = len(signs)
        await bench.looks(5)

        assert len(signs) <= before + 1
        wedged.set()
        await bench.acknowledged()


@pytest.fixture
def signs(monkeypatch):
    """Count signs of life."""
    given, sign = [], MemoryDelivery.in_progress

    async def remember(delivery):
        given.append(delivery.deliveries)
        await sign(delivery)

    monkeypatch.setattr(MemoryDelivery, "in_progress", remember)
    return given


async def test_a_step_whose_model_stands_still_goes_to_another_replica_and_its_late_answer_changes_nothing(bench, signs):
    hang, other = asyncio.Event(), bench.beside()

    async def stand_still():
        bench.turn = 7
        await hang.wait()
        return Answer(value={"label": "late"})

    bench.respond = stand_still
    await bench.publish()
    async with bench.working(ack_wait_s=ACK_WAIT_S):
        await until(lambda: bench.calls, "the first replica has it")
        async with other.working(ack_wait_s=ACK_WAIT_S):
            await bench.acknowledged()
            hang.set()
            bench.turn = None
            await until(lambda: not bench.in_hand._held, "the first replica has answered too")

    assert (len(bench.calls), len(other.calls)) == (1, 1)
    assert signs.count(1) <= 1  # of the first delivery; the second is another replica's, which gets on
    assert decode(StepResult, (await bench.bus.read(bench.result)).body).answer == ANSWER


async def test_a_step_queued_behind_others_gives_signs_of_life_while_the_model_gets_on(bench, signs):
    done = asyncio.Event()

    async def queue():
        await done.wait()
        return ANSWER

    def next_turn():
        bench.turn = (bench.turn or 0) + 1
        return bench.turn

    bench.in_hand.movement._turn = next_turn
    bench.respond = queue
    await bench.publish()
    async with bench.working(ack_wait_s=ACK_WAIT_S):
        await until(lambda: len(signs) >= 15, "signs of life for longer than an ack wait")
        done.set()
        await bench.acknowledged()

    assert bench.deliveries == [1]


async def test_a_step_that_waits_for_no_model_gives_signs_of_life_although_it_stands_still_for_others(bench, signs):
    bench.bus.full.add("SLM_RESULTS")
    bench.turn = 7
    await bench.publish()
    async with bench.working(ack_wait_s=ACK_WAIT_S):
        await until(lambda: len(signs) >= 15, "signs of life for longer than an ack wait while its answer is held")
        bench.bus.full.clear()
        await bench.acknowledged()

    assert bench.deliveries == [1]


async def test_a_step_delivered_again_to_the_replica_that_has_it_is_not_begun_twice(bench, monkeypatch):
    go, signs_off = asyncio.Event(), []

    async def no_sign(delivery):
        signs_off.append(delivery.deliveries)

    async def wait():
        await go.wait()
        return ANSWER

    monkeypatch.setattr(MemoryDelivery, "in_progress", no_sign)
    bench.respond = wait
    await bench.publish()
    async with bench.working(ack_wait_s=0.05, slots=2):
        await until(lambda: len(bench.deliveries) >= 2, "it is delivered again")
        go.set()
        await bench.acknowledged()

    assert len(bench.calls) == 1


async def test_a_model_that_stands_still_for_long_is_said_to_be_stuck_whether_or_not_a_step_waits_for_it(soon):
    stuck = asyncio.Event()
    in_hand = InHand(MemoryBus(), Movement(lambda: 7))

    beating = asyncio.create_task(in_hand.beat(0.001, stuck.set))

    await soon(stuck.wait())
    await end(beating)


async def test_a_step_whose_model_was_abandoned_is_handed_back(bench):
    bench.fail_with(ContractError(ErrorCode.UNAVAILABLE, "the model does not move any more"))
    await bench.publish()

    assert (await bench.to_the_end()).answer == ANSWER
    assert (bench.deliveries, bench.dead()) == ([1, 2], [])
