"""Durable steps: what becomes of a work message, whatever happens while it is in hand."""

import asyncio

import pytest

from smallmesh.bus.layout import step_consumers
from smallmesh.bus.memory import MemoryBus, MemoryDelivery
from smallmesh.retry import RetryPolicy
from smallmesh.serving import steps
from smallmesh.serving.steps import StepWorker
from smallmesh_contracts import (
    Answer,
    ContractError,
    DataClass,
    ErrorCode,
    ErrorInfo,
    Lane,
    Step,
    StepInput,
    StepResult,
    decode,
    digest_of,
    headers,
    subjects,
)
from tests.support.patience import until

DIGEST = "d" * 64
ANSWER = Answer(value={"label": "neutral"})
OLD_S = steps.FRESH_S + 1


class Bench:
    """One agent's worker over a bus in memory, and one step for it."""

    def __init__(self, address, **retry):
        self.bus = MemoryBus(stop_grace_s=0.0)
        self.address = address
        self.work = subjects.work("sentiment", Lane.INTERACTIVE, address)
        self.result = subjects.result(address, "sentiment", "sentiment")
        self.calls = []
        self.deliveries = []
        self.respond = self.answer
        policy = RetryPolicy(**({"max_deliveries": 3, "base_s": 0.01, "jitter": lambda: 0.0} | retry))
        self.worker = StepWorker(self.bus, "sentiment", Step, lambda _: self.result, self._respond, policy, heartbeat_s=0.03)

    async def answer(self):
        return ANSWER

    async def _respond(self, _delivery, address, lane, step, left_s):
        self.calls.append((address, lane, step.request.text, left_s))
        return await self.respond()

    def fail_with(self, *errors):
        """Raise each of these, one a call, then answer."""
        waiting = list(errors)

        async def fail():
            if waiting:
                raise waiting.pop(0)
            return ANSWER

        self.respond = fail

    async def publish(self, *, timeout_s=30.0, body=None):
        step = Step(digest=DIGEST, timeout_s=timeout_s, request=StepInput(text="hello"))
        assert await self.bus.store(self.work, body if body is not None else step.to_bytes())

    async def start(self, ack_wait_s=30.0, slots=1):
        async def handle(delivery):
            self.deliveries.append(delivery.deliveries)

            async def decoded():
                await self.worker.work(delivery, decode(Step, delivery.body))

            await self.worker.guard(delivery, decoded)

        return await self.bus.consume(step_consumers("sentiment", ack_wait_s)[Lane.INTERACTIVE], handle, slots=slots)

    async def to_the_end(self, **started):
        """Work until the message is acknowledged; return the stored result, if there is one."""
        taking = await self.start(**started)
        await until(lambda: self.work not in self.bus.kept, "an acknowledgement")
        await taking.stop()
        found = await self.bus.read(self.result)
        return None if found is None else decode(StepResult, found.body)

    def dead(self):
        return [(m.subject, m.body, decode(ErrorInfo, m.headers[headers.REASON].encode()).code) for m in self.bus.log.values()]


@pytest.fixture
def bench(new_address):
    return Bench(new_address(DataClass.PUBLIC))


async def test_a_step_is_answered_stored_once_and_acknowledged(bench):
    await bench.publish()

    result = await bench.to_the_end()

    assert (result.digest, result.answer) == (DIGEST, ANSWER)
    ((address, lane, text, left_s),) = bench.calls
    assert (address, lane, text) == (bench.address, Lane.INTERACTIVE, "hello")
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
    other = Bench(new_address())
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
    bench = Bench(new_address(), base_s=10.0)
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


async def test_a_message_is_kept_for_as_long_as_no_result_can_be_stored(bench):
    bench.bus.full.add("SLM_RESULTS")
    bench.fail_with(*[ContractError(ErrorCode.INVALID_OUTPUT, "no label")] * 9)
    await bench.publish()
    taking = await bench.start()

    await until(lambda: len(bench.deliveries) >= 5, "more tries than are allowed")
    assert bench.work in bench.bus.kept
    bench.bus.full.clear()
    await until(lambda: bench.work not in bench.bus.kept, "an acknowledgement")
    await taking.stop()

    assert await bench.bus.read(bench.result) is not None
    assert len(bench.dead()) == 1


async def test_a_stream_of_results_that_says_when_to_come_back_is_left_alone_until_then(bench, soon, monkeypatch):
    bench.bus.full.add("SLM_RESULTS")
    waits = asyncio.Queue()
    retry = MemoryDelivery.retry

    async def remember(delivery, delay_s):
        waits.put_nowait(delay_s)
        await retry(delivery, delay_s)

    monkeypatch.setattr(MemoryDelivery, "retry", remember)
    await bench.publish()
    taking = await bench.start()

    assert await soon(waits.get()) == 5.0
    assert bench.work in bench.bus.kept
    await taking.stop()


async def test_a_message_is_kept_where_its_dead_letter_is_not(bench, monkeypatch):
    append, refused = bench.bus.append, []

    async def refuse_once(subject, body, carried, *, message_id):
        if not refused:
            refused.append(message_id)
            raise ContractError(ErrorCode.UNAVAILABLE, "no broker")
        await append(subject, body, carried, message_id=message_id)

    monkeypatch.setattr(bench.bus, "append", refuse_once)
    bench.fail_with(*[ContractError(ErrorCode.INVALID_OUTPUT, "m")] * 2)
    await bench.publish()

    result = await bench.to_the_end()

    assert bench.deliveries == [1, 2]
    assert result.answer.error.code is ErrorCode.INVALID_OUTPUT
    assert len(bench.dead()) == 1


async def test_a_worker_that_is_stopped_hands_its_message_to_another_at_once(bench, soon):
    began = asyncio.Event()

    async def hang():
        began.set()
        await asyncio.Event().wait()

    bench.respond = hang
    await bench.publish()
    taking = await bench.start(ack_wait_s=3600.0)
    await soon(began.wait())
    await taking.stop()
    bench.respond = bench.answer

    result = await bench.to_the_end(ack_wait_s=3600.0)

    assert (bench.deliveries, result.answer) == ([1, 2], ANSWER)
    assert bench.dead() == []


async def test_a_long_step_gives_signs_of_life_and_stays_with_its_worker(bench):
    async def work_for_three_windows():
        await asyncio.sleep(0.45)
        return ANSWER

    bench.respond = work_for_three_windows
    await bench.publish()

    await bench.to_the_end(ack_wait_s=0.15, slots=2)

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


async def test_after_its_deadline_a_wedged_step_gives_no_sign_of_life(bench, soon, monkeypatch):
    signs, wedged = [], asyncio.Event()

    async def sign(_self):
        signs.append(bench.bus.now())

    async def wedge():
        await wedged.wait()
        return ANSWER

    monkeypatch.setattr(MemoryDelivery, "in_progress", sign)
    bench.respond = wedge
    await bench.publish()
    taking = await bench.start(ack_wait_s=3600.0)
    await until(lambda: signs, "a sign of life")
    bench.bus.ahead_s = 60.0
    before = len(signs)
    await asyncio.sleep(0.15)  # five heartbeats

    assert len(signs) <= before + 1
    wedged.set()
    await soon(taking.stop())
