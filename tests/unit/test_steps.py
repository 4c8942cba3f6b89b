"""Durable steps: what becomes of a work message, whatever happens while it is in hand."""

import asyncio

import pytest

from smallmesh.bus.memory import MemoryDelivery
from smallmesh_contracts import Answer, ContractError, DataClass, ErrorCode, Step, StepInput, StepResult, digest_of, headers, subjects
from tests.support.step_bench import ANSWER, DIGEST, OLD_S, StepBench


@pytest.fixture
def bench(new_address):
    return StepBench(new_address(DataClass.PUBLIC))


async def test_a_step_is_answered_stored_once_and_acknowledged(bench):
    await bench.publish()

    result = await bench.to_the_end()

    assert (result.digest, result.answer) == (DIGEST, ANSWER)
    ((address, text, left_s),) = bench.calls
    assert (address, text) == (bench.address, "hello")
    assert 29.0 < left_s <= 30.0
    assert bench.dead() == []


async def test_a_result_outlives_its_deadline_by_an_hour(bench, monkeypatch):
    kept = []
    store = bench.bus.store

    async def remember(subject, body, carried=None, *, ttl_s=None):
        kept.append((subject, ttl_s))
        return await store(subject, body, carried)

    await bench.publish(timeout_s=30.0)
    monkeypatch.setattr(bench.bus, "store", remember)
    await bench.to_the_end()

    ((subject, ttl_s),) = kept
    assert subject == bench.result
    assert ttl_s == pytest.approx(3630.0, abs=1.0)


@pytest.mark.parametrize("what", ["done", "result"])
@pytest.mark.parametrize("why", ["it was delivered before", "it has waited"])
async def test_a_step_that_is_over_is_acknowledged_without_work(bench, what, why):
    await bench.publish()
    await bench.bus.store(
        subjects.done(bench.address) if what == "done" else bench.result, StepResult(digest=DIGEST, answer=ANSWER).to_bytes()
    )
    if why == "it has waited":
        bench.bus.ahead_s = OLD_S
    else:
        bench.bus.kept[bench.work].deliveries = 1

    await bench.to_the_end()

    assert bench.calls == []
    assert bench.dead() == []


async def test_a_second_answer_never_replaces_the_first(bench):
    first = StepResult(digest=DIGEST, answer=Answer(value={"label": "first"}))
    await bench.bus.store(bench.result, first.to_bytes())
    await bench.publish()

    assert await bench.to_the_end() == first


async def test_a_step_that_comes_too_late_is_not_worked_on(bench):
    await bench.publish(timeout_s=5.0)
    bench.bus.ahead_s = 6.0

    result = await bench.to_the_end()

    assert bench.calls == []
    assert (result.answer.error.code, result.answer.error.step) == (ErrorCode.EXPIRED, "sentiment")
    assert bench.dead() == []


async def test_a_step_that_runs_out_of_time_is_expired_and_nobody_has_to_look_into_it(bench):
    bench.fail_with(TimeoutError())
    await bench.publish()

    result = await bench.to_the_end()

    assert result.answer.error.code is ErrorCode.EXPIRED
    assert (len(bench.calls), bench.dead()) == (1, [])


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b'{"digest": "d", "timeout_s": 5.0}'])
async def test_an_invalid_body_is_a_dead_letter_with_its_payload_and_a_typed_result(bench, body):
    await bench.publish(body=body)

    result = await bench.to_the_end()

    assert result.answer.error.code is ErrorCode.INVALID_REQUEST
    assert bench.dead() == [(subjects.dead(DataClass.PUBLIC, "sentiment"), body, ErrorCode.INVALID_REQUEST)]
    assert bench.deliveries == [1]


async def test_what_was_read_of_a_broken_body_still_ties_the_result_to_its_task(bench, new_address):
    other = StepBench(new_address())
    await bench.publish(body=b'{"digest": "%s", "timeout_s": 5.0}' % DIGEST.encode())
    await other.publish(body=b"{")

    assert (await bench.to_the_end()).digest == DIGEST
    assert (await other.to_the_end()).digest == digest_of(b"{")


@pytest.mark.parametrize("error", [RuntimeError("llama_decode"), ContractError(ErrorCode.OVERLOADED, "full"), MemoryError()])
async def test_a_failure_that_may_be_cured_is_tried_again(bench, error):
    bench.fail_with(error)
    await bench.publish()

    result = await bench.to_the_end()

    assert result.answer == ANSWER
    assert bench.deliveries == [1, 2]
    assert bench.dead() == []


async def test_a_failure_that_lasts_is_a_dead_letter_after_its_last_delivery(bench):
    bench.fail_with(*[RuntimeError()] * 9)
    await bench.publish()

    result = await bench.to_the_end()

    assert bench.deliveries == [1, 2, 3]
    assert (result.answer.error.code, result.answer.error.step) == (ErrorCode.MODEL_FAILED, "sentiment")
    ((_, _, code),) = bench.dead()
    assert code is ErrorCode.MODEL_FAILED


async def test_a_permanent_failure_is_a_dead_letter_on_the_first_try(bench):
    bench.fail_with(ContractError(ErrorCode.INVALID_OUTPUT, "no label"))
    await bench.publish()

    result = await bench.to_the_end()

    assert (bench.deliveries, result.answer.error.code) == ([1], ErrorCode.INVALID_OUTPUT)
    assert len(bench.dead()) == 1


async def test_there_is_no_second_try_where_the_time_would_be_over_before_it(new_address):
    bench = StepBench(new_address(), base_s=10.0)
    bench.fail_with(RuntimeError())
    await bench.publish(timeout_s=5.0)

    result = await bench.to_the_end()

    assert (bench.deliveries, result.answer.error.code) == ([1], ErrorCode.MODEL_FAILED)


async def test_a_message_that_kills_whoever_holds_it_is_given_up_by_the_next_without_work(bench):
    await bench.publish()
    bench.bus.kept[bench.work].deliveries = 3  # three have died of it

    result = await bench.to_the_end()

    assert bench.calls == []
    assert result.answer.error.code is ErrorCode.INTERNAL
    ((_, _, code),) = bench.dead()
    assert code is ErrorCode.INTERNAL


async def test_a_dead_letter_keeps_payload_headers_origin_and_count(bench):
    bench.fail_with(ContractError(ErrorCode.INVALID_OUTPUT, "naïve"))
    step = Step(digest=DIGEST, timeout_s=30.0, request=StepInput(text="hello"))
    await bench.bus.store(bench.work, step.to_bytes(), {"traceparent": "00-aa-bb-01", "Nats-Msg-Id": "1"})
    await bench.to_the_end()

    (letter,) = bench.bus.log.values()

    assert (letter.subject, letter.body) == (subjects.dead(DataClass.PUBLIC, "sentiment"), step.to_bytes())
    assert letter.headers["traceparent"] == "00-aa-bb-01"
    assert (letter.headers[headers.ORIGIN], letter.headers[headers.DELIVERIES]) == (bench.work, "1")
    assert letter.headers[headers.REASON].isascii()
    assert "Nats-Msg-Id" not in letter.headers


async def test_a_worker_that_is_stopped_hands_its_message_to_another_at_once(bench, soon):
    began = asyncio.Event()

    async def hang():
        began.set()
        await asyncio.Event().wait()

    bench.respond = hang
    await bench.publish()
    async with bench.working(ack_wait_s=3600.0):
        await soon(began.wait())
    bench.respond = bench.answer

    result = await bench.to_the_end(ack_wait_s=3600.0)

    assert (bench.deliveries, result.answer) == ([1, 2], ANSWER)
    assert bench.dead() == []


async def test_an_acknowledgement_that_is_lost_costs_no_second_inference(bench, monkeypatch):
    ack, lost = MemoryDelivery.ack, []

    async def lose_the_first(delivery):
        if not lost:
            lost.append(1)
            raise ConnectionError
        await ack(delivery)

    monkeypatch.setattr(MemoryDelivery, "ack", lose_the_first)
    await bench.publish()

    result = await bench.to_the_end(ack_wait_s=0.05)

    assert (result.answer, bench.deliveries, len(bench.calls)) == (ANSWER, [1, 2], 1)
