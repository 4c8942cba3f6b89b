"""The mover: what the broker has given up becomes a dead letter, and whoever waits for it is told."""

import json
from types import SimpleNamespace

import pytest

from smallmesh.bus.layout import ESCALATE, TASKS, WORK, stream_of
from smallmesh.retry import RetryPolicy
from smallmesh_contracts import (
    Answer,
    ContractError,
    DataClass,
    ErrorCode,
    ErrorInfo,
    EscalationStep,
    Evidence,
    Lane,
    Status,
    Step,
    StepInput,
    StepResult,
    Task,
    TaskResult,
    decode,
    digest_of,
    headers,
    subjects,
)
from smallmesh_orchestrator.mover import Mover
from tests.support.town import WatchedBus, catalogue

DIGEST = "d" * 64
STEP = Step(digest=DIGEST, timeout_s=60.0, request=StepInput(text="The parcel."))


class Advisory:
    """One advisory in hand."""

    def __init__(self, body, deliveries=1):
        self.subject = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.SLM_WORK.a"
        self.body = body
        self.deliveries = deliveries
        self.sequence = 4711
        self.fate = None

    async def ack(self):
        self.fate = "acknowledged"

    async def retry(self, delay_s):
        self.fate = delay_s


class Bench:
    """A bus with messages that nobody is handed any more, and their mover."""

    def __init__(self):
        self.bus = WatchedBus()
        self.mover = Mover(self.bus, catalogue(), RetryPolicy(base_s=0.5, jitter=lambda: 0.0))

    async def give_up(self, subject, body, carried=None) -> Advisory:
        """Store a message and return the advisory that the broker has given it up."""
        await self.bus.store(subject, body, carried)
        return self.advisory(stream_of(subject).name, (await self.bus.read(subject)).sequence)

    def advisory(self, stream, sequence) -> Advisory:
        told = {"type": "…", "stream": stream, "consumer": "a", "stream_seq": sequence, "deliveries": 100, "more": 1}
        return Advisory(json.dumps(told).encode())

    async def result(self, subject) -> StepResult | None:
        found = await self.bus.read(subject)
        return decode(StepResult, found.body) if found else None

    def letters(self):
        return list(self.bus.log.values())


@pytest.fixture
def bench():
    return Bench()


async def test_a_step_becomes_a_dead_letter_and_its_answer_an_error(bench, new_address):
    address = new_address(DataClass.INTERNAL)
    subject = subjects.work("ner", Lane.BULK, address)
    advisory = await bench.give_up(subject, STEP.to_bytes(), {"traceparent": "00-x"})

    await bench.mover.handle(advisory)

    result = await bench.result(subjects.result(address, "ner", "entities"))
    assert (result.digest, result.answer.error.code, result.answer.error.step) == (DIGEST, ErrorCode.INTERNAL, "ner")
    (letter,) = bench.letters()
    assert (letter.subject, letter.body) == (subjects.dead(DataClass.INTERNAL, "orchestrator"), STEP.to_bytes())
    assert (letter.headers[headers.ORIGIN], letter.headers[headers.DELIVERIES], letter.headers["traceparent"]) == (subject, "100", "00-x")
    assert decode(ErrorInfo, letter.headers[headers.REASON].encode()).code is ErrorCode.INTERNAL
    assert await bench.bus.read(subject) is None
    assert advisory.fate == "acknowledged"


async def test_an_escalation_ends_as_an_error_too(bench, new_address):
    address = new_address(DataClass.PUBLIC)
    body = EscalationStep(digest=DIGEST, timeout_s=60.0, request=StepInput(text="a"), evidence=Evidence(agent="a", answer="b")).to_bytes()

    await bench.mover.handle(await bench.give_up(subjects.escalate(Lane.INTERACTIVE, address, "analysis"), body))

    result = await bench.result(subjects.result(address, "escalation", "analysis"))
    assert (result.digest, result.answer.error.step) == (DIGEST, "escalation")


async def test_a_submission_ends_as_failed(bench, new_address):
    address, body = new_address(), Task(text="a").to_bytes()

    await bench.mover.handle(await bench.give_up(subjects.submit(Lane.INTERACTIVE, address), body))

    done = decode(TaskResult, (await bench.bus.read(subjects.done(address))).body)
    assert (done.status, done.error.code, done.task_id, done.digest) == (
        Status.FAILED,
        ErrorCode.INTERNAL,
        address.task_id,
        digest_of(body),
    )
    assert len(bench.letters()) == 1


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]"])
async def test_a_step_that_cannot_be_read_is_moved_all_the_same(bench, new_address, body):
    address = new_address()

    await bench.mover.handle(await bench.give_up(subjects.work("ner", Lane.BULK, address), body))

    assert (await bench.result(subjects.result(address, "ner", "entities"))).digest == digest_of(body)
    assert [letter.body for letter in bench.letters()] == [body]


async def test_a_step_of_an_agent_that_is_not_known_here_is_a_dead_letter_only(bench, new_address):
    subject = subjects.work("nobody", Lane.BULK, new_address())
    advisory = await bench.give_up(subject, STEP.to_bytes())

    await bench.mover.handle(advisory)

    assert len(bench.letters()) == 1
    assert await bench.bus.read(subject) is None
    assert advisory.fate == "acknowledged"


@pytest.mark.parametrize("stream", [TASKS, WORK, ESCALATE])
async def test_a_message_that_is_gone_needs_nothing(bench, stream):
    advisory = bench.advisory(stream.name, 99)

    await bench.mover.handle(advisory)

    assert (bench.letters(), bench.bus.tried, advisory.fate) == ([], [], "acknowledged")


async def test_a_step_whose_result_is_there_was_only_never_acknowledged(bench, new_address):
    address = new_address()
    first = StepResult(digest=DIGEST, answer=Answer(value={"x": 1}))
    await bench.bus.store(subjects.result(address, "ner", "entities"), first.to_bytes())
    subject = subjects.work("ner", Lane.BULK, address)

    await bench.mover.handle(await bench.give_up(subject, STEP.to_bytes()))

    assert await bench.result(subjects.result(address, "ner", "entities")) == first
    assert (bench.letters(), await bench.bus.read(subject)) == ([], None)


async def test_a_step_whose_place_is_taken_by_another_text_is_a_dead_letter(bench, new_address):
    address = new_address()
    other = StepResult(digest="e" * 64, answer=Answer(value={"x": 1}))
    await bench.bus.store(subjects.result(address, "ner", "entities"), other.to_bytes())

    await bench.mover.handle(await bench.give_up(subjects.work("ner", Lane.BULK, address), STEP.to_bytes()))

    assert len(bench.letters()) == 1
    assert await bench.result(subjects.result(address, "ner", "entities")) == other


OPERATIONS = ("entry", "read", "append", "store", "remove")


@pytest.mark.parametrize("dies_at", OPERATIONS)
async def test_a_mover_that_dies_anywhere_leaves_nothing_undone_and_nothing_twice(bench, new_address, monkeypatch, dies_at):
    address = new_address()
    subject = subjects.work("ner", Lane.BULK, address)
    advisory = await bench.give_up(subject, STEP.to_bytes())

    class Died(BaseException):
        """As a process does: nothing after it is run."""

    async def die(*_, **__):
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(bench.bus, dies_at, die)
        with pytest.raises(Died):
            await bench.mover.handle(advisory)
    assert advisory.fate is None
    await bench.mover.handle(advisory)

    assert (await bench.result(subjects.result(address, "ner", "entities"))).answer.error.code is ErrorCode.INTERNAL
    assert (len(bench.letters()), await bench.bus.read(subject), advisory.fate) == (1, None, "acknowledged")


@pytest.mark.parametrize("fails_at", OPERATIONS)
async def test_what_the_broker_refuses_is_tried_again_later(bench, new_address, monkeypatch, fails_at):
    advisory = await bench.give_up(subjects.work("ner", Lane.BULK, new_address()), STEP.to_bytes())

    async def refuse(*_, **__):
        raise ContractError(ErrorCode.OVERLOADED, "full")

    monkeypatch.setattr(bench.bus, fails_at, refuse)
    await bench.mover.handle(advisory)

    assert advisory.fate == 0.5


async def test_an_advisory_that_cannot_be_read_is_let_go(bench):
    advisory = Advisory(b"{}")

    await bench.mover.handle(advisory)

    assert advisory.fate == "acknowledged"


async def test_an_error_is_kept_for_as_long_as_somebody_may_wait_for_it(bench, new_address, monkeypatch):
    kept = SimpleNamespace(ttl_s=None)
    store = bench.bus.store

    async def noted(subject, *rest, ttl_s=None):
        kept.ttl_s = ttl_s
        return await store(subject, *rest, ttl_s=ttl_s)

    advisory = await bench.give_up(subjects.work("ner", Lane.BULK, new_address()), STEP.to_bytes())
    monkeypatch.setattr(bench.bus, "store", noted)
    await bench.mover.handle(advisory)

    assert kept.ttl_s == pytest.approx(3600 + 60, abs=5)
