"""A paid answer is claimed first: two deliveries at once make one call, and a crash costs one more at most."""

import pytest

from smallmesh.bus.memory import MemoryBus
from smallmesh.frontier import FrontierError
from smallmesh.retry import NotYetError
from smallmesh.serving import claims
from smallmesh.serving.claims import Claims
from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, Lane, StepResult, decode, subjects
from tests.support.escalation_bench import EscalationBench, shipped_service
from tests.support.patience import until

SUBJECT = subjects.claim(Address("acme", DataClass.PUBLIC, "t-1"), "analysis")
CALL_S = 0.1
"""What a call may take here, and how much longer its claim lasts."""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    return shipped_service(tmp_path_factory.mktemp("agents"))


@pytest.fixture
def bench(service, new_address, monkeypatch):
    said = service.respond.__func__.__globals__
    monkeypatch.setitem(said, "LONGEST_CALL_S", CALL_S)
    monkeypatch.setitem(said, "CLAIM_RESERVE_S", CALL_S)
    monkeypatch.setattr(claims, "AGAIN_S", 0.02)
    return EscalationBench(service, new_address(DataClass.PUBLIC))


async def test_a_claim_is_there_while_the_call_is_made_and_gone_after_its_answer_is_stored(bench):
    bench.frontier.gate.clear()
    await bench.publish()
    async with bench.replica():
        await until(lambda: bench.frontier.calls, "the call is made")
        assert await bench.bus.read(bench.claim) is not None
        bench.frontier.gate.set()
        answer = await bench.acknowledged()

    assert answer.value["text"] == "Both have a point."
    assert await bench.bus.read(bench.claim) is None


async def test_two_deliveries_at_once_make_one_call(bench):
    bench.frontier.gate.clear()
    await bench.publish()
    async with bench.replica(ack_wait_s=0.05, beats=False), bench.replica(ack_wait_s=30.0):
        await until(lambda: len(bench.deliveries) >= 2, "both replicas have it")
        bench.frontier.gate.set()
        await bench.acknowledged()

    assert bench.frontier.calls == 1


async def test_whoever_waits_for_a_claim_takes_no_slot_and_spends_no_delivery(bench, new_address):
    await Claims(bench.bus).make(bench.claim, CALL_S)  # by a process that is dead
    other = subjects.escalate(Lane.BULK, new_address(DataClass.PUBLIC), "analysis")
    await bench.publish()
    async with bench.replica(ack_wait_s=0.05):
        await until(lambda: bench.deliveries, "it is in hand")
        await bench.bus.store(other, b"{")
        await until(lambda: other not in bench.bus.kept, "another message is seen to beside it")
        waiting = bench.frontier.calls == 0
        await bench.acknowledged()

    assert waiting
    assert bench.deliveries == [1, 1]
    assert bench.frontier.calls == 1


async def test_a_claim_of_a_dead_process_costs_one_call_more_and_that_after_it_has_run_out(bench):
    dead = Claims(bench.bus)
    await bench.publish()
    await dead.make(bench.claim, CALL_S)
    until_s = dead._made[bench.claim].until
    bench.frontier.calls = 1  # the call that the dead process had made
    async with bench.replica():
        await until(lambda: bench.frontier.calls == 2, "the call is made again")
        called_at = bench.bus.now()
        await bench.acknowledged()

    assert called_at >= until_s
    assert bench.frontier.calls == 2


@pytest.mark.parametrize(
    ("failure", "calls"),
    [
        (FrontierError(ErrorCode.UNAVAILABLE, "no room"), 2),  # may be tried again at once
        (FrontierError(ErrorCode.FRONTIER_FAILED, "broken off"), 1),  # may be booked: this is the answer
    ],
)
async def test_a_failed_call_lets_go_of_its_claim(bench, failure, calls):
    bench.frontier.outcomes = [failure]
    await bench.publish()
    async with bench.replica():
        answer = await bench.acknowledged()

    assert (answer.error is None, bench.frontier.calls) == (calls == 2, calls)
    assert await bench.bus.read(bench.claim) is None


async def test_a_replica_that_is_stopped_in_mid_call_lets_go_of_its_claim(bench):
    bench.frontier.gate.clear()
    await bench.publish()
    async with bench.replica(ack_wait_s=3600.0):
        await until(lambda: bench.frontier.calls, "the call is made")

    assert await bench.bus.read(bench.claim) is None
    bench.frontier.gate.set()
    async with bench.replica(ack_wait_s=3600.0):
        await bench.acknowledged()
    assert bench.deliveries == [1, 2]


async def test_a_replica_that_is_stopped_hands_back_what_waits_for_a_claim(bench):
    await Claims(bench.bus).make(bench.claim, 3600.0)
    await bench.publish()
    async with bench.replica(ack_wait_s=3600.0):
        await until(lambda: bench.deliveries, "it waits")
    await bench.bus.drop(bench.claim)

    async with bench.replica(ack_wait_s=3600.0):
        await bench.acknowledged()

    assert (bench.deliveries, bench.frontier.calls) == ([1, 2], 1)


async def test_an_escalation_that_waits_for_a_claim_is_let_go_when_its_task_is_cancelled(bench):
    await Claims(bench.bus).make(bench.claim, 3600.0)
    await bench.publish()
    async with bench.replica():
        await until(lambda: bench.deliveries, "it waits")
        await bench.bus.store(subjects.done(bench.address), b'{"digest": "%s"}' % (b"d" * 64))
        await bench.bus.announce(subjects.cancelled(bench.address))
        await until(lambda: bench.work not in bench.bus.kept, "an acknowledgement")

    assert bench.frontier.calls == 0
    assert await bench.bus.read(bench.result) is None


async def test_an_escalation_waits_for_a_claim_no_longer_than_its_budget(bench):
    await Claims(bench.bus).make(bench.claim, 3600.0)
    await bench.publish(timeout_s=0.2)
    async with bench.replica():
        answer = await bench.acknowledged()

    assert (answer.error.code, bench.frontier.calls) == (ErrorCode.EXPIRED, 0)


async def test_an_answer_that_was_stored_between_the_look_and_the_claim_is_not_paid_for_again(bench, monkeypatch):
    store = bench.bus.store

    async def another_answers_first(subject, body, carried=None, *, ttl_s=None):
        if subject == bench.claim:
            await store(bench.result, StepResult(digest="d" * 64, answer=decode(StepResult, MARKED).answer).to_bytes())
        return await store(subject, body, carried, ttl_s=ttl_s)

    await bench.publish()
    monkeypatch.setattr(bench.bus, "store", another_answers_first)
    async with bench.replica():
        await bench.acknowledged()

    assert bench.frontier.calls == 0
    assert await bench.bus.read(bench.claim) is None


MARKED = b'{"digest": "%s", "answer": {"value": {"text": "first", "source": "frontier"}}}' % (b"d" * 64)


async def test_nothing_is_called_whose_claim_the_broker_does_not_take(bench):
    bench.bus.full.add("SLM_CLAIMS")
    await bench.publish()
    async with bench.replica():
        await until(lambda: bench.deliveries, "it is in hand")
        await bench.bus.store(subjects.escalate(Lane.BULK, Address("t", DataClass.PUBLIC, "other"), "analysis"), b"{")
        assert bench.frontier.calls == 0
        bench.bus.full.clear()
        await bench.acknowledged()

    assert (bench.frontier.calls, bench.deliveries[0]) == (1, 1)


async def test_who_comes_second_is_told_when_the_claim_will_have_run_out():
    bus = MemoryBus()
    await Claims(bus).make(SUBJECT, 60.0)

    with pytest.raises(NotYetError) as told:
        await Claims(bus).make(SUBJECT, 60.0)

    assert told.value.after_s == pytest.approx(60.0, abs=1.0)


async def test_a_claim_that_was_stored_though_the_broker_said_it_was_there_is_ones_own(monkeypatch):
    bus = MemoryBus()
    store = bus.store

    async def stored_twice(subject, body, carried=None, *, ttl_s=None):
        await store(subject, body, carried, ttl_s=ttl_s)
        return await store(subject, body, carried, ttl_s=ttl_s)

    monkeypatch.setattr(bus, "store", stored_twice)
    mine = Claims(bus)

    await mine.make(SUBJECT, 60.0)
    await mine.drop(SUBJECT)

    assert await bus.read(SUBJECT) is None


async def test_nobody_drops_what_another_has_claimed():
    bus = MemoryBus()
    late, other = Claims(bus), Claims(bus)
    await late.make(SUBJECT, 5.0)
    bus.ahead_s = 6.0
    await bus.drop(SUBJECT)  # it has run out
    await other.make(SUBJECT, 60.0)

    await late.drop(SUBJECT)

    assert await bus.read(SUBJECT) is not None


async def test_a_claim_that_cannot_be_dropped_is_left_to_run_out(monkeypatch):
    bus = MemoryBus()
    mine = Claims(bus)
    await mine.make(SUBJECT, 60.0)

    async def away(_subject):
        raise ContractError(ErrorCode.UNAVAILABLE, "no broker")

    monkeypatch.setattr(bus, "drop", away)

    await mine.drop(SUBJECT)

    assert mine._made == {}
