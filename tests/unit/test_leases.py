"""Leases: whatever happens, an acknowledged submission has one terminal result."""

import asyncio
import json

import pytest

from smallmesh_contracts import (
    Address,
    Answer,
    DataClass,
    ErrorCode,
    Lane,
    Status,
    StepResult,
    Task,
    TaskResult,
    decode,
    digest_of,
    limits,
    subjects,
)
from tests.support.patience import until
from tests.support.town import ANSWERS, COMPLEX, TEXT, Town, failed


@pytest.fixture
async def town():
    built = Town()
    yield built
    await built.close()


def dones(town):
    return [subject for subject in town.bus.took if ".done." in subject]


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("data_class", list(DataClass))
async def test_a_submission_of_any_lane_and_class_is_worked_out_and_acknowledged(town, new_address, lane, data_class):
    await town.hire()
    await town.orchestrate()
    address = new_address(data_class)

    result = await town.whole(address, Task(text=TEXT, metadata={"ticket": 7}), lane)

    assert (result.status, result.metadata, result.data_class) == (Status.COMPLETED, {"ticket": 7}, data_class)
    assert result.answers == {name: ANSWERS[name] for name in ("sentiment", "entities", "summary", "complexity")}
    assert await town.bus.read(subjects.submit(lane, address)) is None
    assert town.dead() == []


async def test_the_submission_is_kept_until_the_result_is_stored(town, new_address):
    await town.hire()
    held = town.hold("summary")
    await town.orchestrate()
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    await until(lambda: "summarizer" in town.worked, "the step that is held")
    assert await town.bus.read(subjects.submit(Lane.INTERACTIVE, address)) is not None
    assert await town.bus.read(subjects.done(address)) is None
    held.set()

    assert (await town.done(address)).status is Status.COMPLETED


async def test_a_failed_step_makes_a_partial_result_and_no_dead_letter_of_the_task(town, new_address):
    await town.hire()
    town.answers["entities"] = failed(ErrorCode.MODEL_FAILED, "ner")
    await town.orchestrate()

    result = await town.whole(new_address(), Task(text=TEXT))

    assert result.status is Status.PARTIAL
    assert town.dead() == []


async def test_a_task_that_nobody_works_on_expires(town, new_address):
    await town.orchestrate()

    result = await town.whole(new_address(), Task(text=TEXT, timeout_s=0.05))

    assert result.status is Status.EXPIRED


async def test_the_time_a_submission_waited_for_an_orchestrator_counts(town, new_address):
    await town.hire()
    address = new_address()
    await town.submit(address, Task(text=TEXT, timeout_s=5.0))
    town.bus.ahead_s = 6.0
    await town.orchestrate()

    result = await town.done(address)

    assert result.status is Status.EXPIRED
    assert result.took_ms >= 6000
    assert town.worked == []


async def test_an_unknown_answer_fails_and_is_a_dead_letter(town, new_address):
    await town.orchestrate()
    address = new_address()

    body = await town.submit(address, Task(text=TEXT, wanted=("mood",)))
    result = await town.done(address)

    assert (result.status, result.error.code) == (Status.FAILED, ErrorCode.UNKNOWN_ANSWER)
    assert town.dead() == [(subjects.dead(address.data_class, "orchestrator"), body, ErrorCode.UNKNOWN_ANSWER)]


BROKEN = {
    "bad UTF-8": (b'{"text": "\xff"}', ErrorCode.INVALID_REQUEST),
    "bad JSON": (b'{"text": "a', ErrorCode.INVALID_REQUEST),
    "nothing": (b"", ErrorCode.INVALID_REQUEST),
    "a list": (b"[]", ErrorCode.INVALID_REQUEST),
    "no text": (b'{"wanted": ["summary"]}', ErrorCode.INVALID_REQUEST),
    "an empty text": (b'{"text": " "}', ErrorCode.INVALID_REQUEST),
    "a number for the text": (b'{"text": 5}', ErrorCode.INVALID_REQUEST),
    "another id in the body": (b'{"text": "a", "id": "another"}', ErrorCode.INVALID_REQUEST),
    "another class in the body": (b'{"text": "a", "data_class": "public"}', ErrorCode.INVALID_REQUEST),
    "an endless nest": (b'{"metadata": ' + b"[" * 100_000, ErrorCode.INVALID_REQUEST),
    "a text over the limit": (json.dumps({"text": "a" * (limits.TEXT_BYTES[Lane.INTERACTIVE] + 1)}).encode(), ErrorCode.TOO_LONG),
    "another major version": (b'{"text": "a", "version": "2.0"}', ErrorCode.UNSUPPORTED_VERSION),
}


@pytest.mark.parametrize(("body", "code"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_body_has_a_failed_result_at_the_id_of_its_subject_and_a_dead_letter(town, new_address, body, code):
    await town.orchestrate()
    address = new_address(DataClass.INTERNAL)

    result = await town.whole(address, body)

    assert (result.status, result.error.code, result.task_id) == (Status.FAILED, code, address.task_id)
    assert result.digest == digest_of(body)
    assert town.dead() == [(subjects.dead(DataClass.INTERNAL, "orchestrator"), body, code)]


@pytest.mark.parametrize("task_id", ["x" * 65, "straße", "a:b", "a b"])
async def test_an_id_that_is_not_safe_in_a_subject_is_refused_at_that_id(town, task_id):
    await town.orchestrate()
    address = Address("tenant", DataClass.PUBLIC, task_id)

    result = await town.whole(address, Task(text=TEXT))

    assert (result.error.code, result.task_id) == (ErrorCode.INVALID_REQUEST, task_id)


async def test_a_repeat_after_the_result_is_acknowledged_and_changes_nothing(town, new_address):
    await town.hire()
    await town.orchestrate()
    address, task = new_address(), Task(text=TEXT)
    first = await town.whole(address, task)
    took = len(town.bus.took)

    await town.submit(address, task)
    await town.settled(address)

    assert town.bus.took[took:] == [subjects.submit(Lane.INTERACTIVE, address)]
    assert await town.done(address) == first
    assert town.dead() == []


async def test_another_body_under_the_same_id_is_a_conflict_and_no_second_result(town, new_address):
    await town.hire()
    await town.orchestrate()
    address = new_address()
    first = await town.whole(address, Task(text=TEXT))

    other = await town.submit(address, Task(text="Another text."))
    await town.settled(address)

    assert town.dead() == [(subjects.dead(address.data_class, "orchestrator"), other, ErrorCode.ID_CONFLICT)]
    assert await town.done(address) == first
    assert len(dones(town)) == 1


async def test_the_order_of_keys_and_white_space_make_no_other_body(town, new_address):
    await town.hire()
    await town.orchestrate()
    address = new_address()
    await town.whole(address, b'{"text": "a", "wanted": ["summary"]}')

    await town.submit(address, b'{ "wanted": ["summary"],\n"text": "a"}')
    await town.settled(address)

    assert town.dead() == []


async def test_after_a_replica_died_another_reads_what_is_stored_and_publishes_only_the_rest(town, new_address):
    address, task = new_address(), Task(text=TEXT)
    stored = StepResult(digest=digest_of(task.to_bytes()), answer=Answer(value={"label": "from before"}))
    await town.submit(address, task)
    await town.bus.store(subjects.result(address, "sentiment", "sentiment"), stored.to_bytes())
    town.bus.kept[subjects.submit(Lane.INTERACTIVE, address)].deliveries = 1  # it was in the hands of one that died
    await town.hire()
    await town.orchestrate()

    result = await town.done(address)

    assert result.answers["sentiment"].value == {"label": "from before"}
    assert sorted(town.worked) == ["complexity_router", "ner", "summarizer"]


async def test_a_result_that_was_stored_before_the_acknowledgement_was_lost_is_acknowledged_only(town, new_address):
    address, task = new_address(), Task(text=TEXT)
    first = TaskResult(
        task_id=address.task_id,
        tenant=address.tenant,
        data_class=address.data_class,
        status=Status.COMPLETED,
        digest=digest_of(task.to_bytes()),
        took_ms=1.0,
    )
    await town.bus.store(subjects.done(address), first.to_bytes())
    await town.submit(address, task)
    await town.orchestrate()

    await town.settled(address)

    assert decode(TaskResult, (await town.bus.read(subjects.done(address))).body) == first
    assert not any(".work." in subject for subject in town.bus.tried)


async def test_two_replicas_that_both_believe_they_own_a_task_make_one_result(town, new_address):
    held = town.hold("summary")
    await town.hire()
    for _ in range(2):
        await town.orchestrate(ack_wait_s=0.1)  # and nobody renews in time
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    await until(lambda: len(town.leases) >= 2, "a second owner")
    held.set()
    result = await town.done(address)
    await until(lambda: len([s for s in town.bus.tried if ".done." in s]) >= 2, "the other owner's result")

    assert result.status is Status.COMPLETED
    assert dones(town) == [subjects.done(address)]
    assert sorted(town.worked) == ["complexity_router", "ner", "sentiment", "summarizer"]


async def test_a_lease_that_is_renewed_has_one_owner_however_long_it_takes(town, new_address):
    held = town.hold("summary")
    await town.hire()
    await town.orchestrate(renew_s=0.03, ack_wait_s=0.2)
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    asyncio.get_running_loop().call_later(0.6, held.set)  # three windows
    await town.done(address)

    assert town.leases == [1]


async def test_a_replica_that_stops_hands_its_lease_on_at_once(town, new_address):
    held = town.hold("summary")
    await town.hire()
    stop = await town.orchestrate(ack_wait_s=3600.0)
    address = new_address()
    await town.submit(address, Task(text=TEXT))
    await until(lambda: "summarizer" in town.worked, "the step that is held")

    await stop()
    await town.orchestrate()
    held.set()

    assert (await town.done(address)).status is Status.COMPLETED
    assert town.leases == [1, 2]


async def test_an_overloaded_stream_of_work_delays_a_task_and_loses_nothing(town, new_address):
    await town.hire()
    await town.orchestrate()
    town.bus.full.add("SLM_WORK")
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    await until(lambda: len(town.leases) >= 2, "a second try")
    assert await town.bus.read(subjects.done(address)) is None
    town.bus.full.clear()

    assert (await town.done(address)).status is Status.COMPLETED
    assert town.dead() == []


async def test_a_result_that_cannot_be_stored_keeps_its_lease(town, new_address):
    await town.hire()
    await town.orchestrate(max_deliveries=2)
    town.bus.full.add("SLM_DONE")
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    await until(lambda: len(town.leases) >= 4, "more tries than are allowed")
    assert await town.bus.read(subjects.submit(Lane.INTERACTIVE, address)) is not None
    town.bus.full.clear()

    assert (await town.done(address)).error.code is ErrorCode.INTERNAL
    assert len(dones(town)) == 1


async def test_a_submission_that_every_replica_dies_of_is_given_up_by_the_next(town, new_address):
    address = new_address()
    body = await town.submit(address, Task(text=TEXT))
    town.bus.kept[subjects.submit(Lane.INTERACTIVE, address)].deliveries = 3
    await town.orchestrate(max_deliveries=3)

    result = await town.done(address)

    assert (result.status, result.error.code) == (Status.FAILED, ErrorCode.INTERNAL)
    assert town.dead() == [(subjects.dead(address.data_class, "orchestrator"), body, ErrorCode.INTERNAL)]
    assert town.bus.steps() == []


async def test_a_defect_of_our_own_is_tried_again_and_then_fails_the_task_alone(town, new_address, monkeypatch):
    await town.hire()
    broken, sound = new_address(), new_address()
    first = type(town.planner).first

    def break_for_one(self, task):
        if task.text == "break":
            raise RuntimeError("a defect")
        return first(self, task)

    monkeypatch.setattr(type(town.planner), "first", break_for_one)
    await town.orchestrate(max_deliveries=2)

    result = await town.whole(broken, Task(text="break"))

    assert (result.status, result.error.code) == (Status.FAILED, ErrorCode.INTERNAL)
    assert town.leases == [1, 2, 3]
    assert (await town.whole(sound, Task(text=TEXT))).status is Status.COMPLETED


async def test_complex_restricted_text_is_never_published_to_escalation_by_a_submission_either(town, new_address):
    town.answers["complexity"] = COMPLEX
    await town.hire()
    await town.orchestrate()

    result = await town.whole(new_address(DataClass.RESTRICTED), Task(text=TEXT, wanted=("sentiment", "analysis")))

    assert (result.status, result.answers["analysis"].error.code) == (Status.PARTIAL, ErrorCode.CLASS_FORBIDDEN)
    assert not any("escalate" in subject for subject in town.bus.tried)


async def test_many_tasks_at_once_have_one_result_each(town, new_address):
    await town.hire()
    for _ in range(2):
        await town.orchestrate()
    addresses = [new_address() for _ in range(30)]

    results = await asyncio.gather(*(town.whole(a, Task(text=TEXT, metadata={"n": i})) for i, a in enumerate(addresses)))

    assert [r.metadata["n"] for r in results] == list(range(30))
    assert sorted(dones(town)) == sorted(map(subjects.done, addresses))
