"""Leases: whatever happens, an acknowledged submission has one terminal result."""

import asyncio
import json

import pytest

from smallmesh_contracts import (
    Address,
    Answer,
    ContractError,
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
from smallmesh_orchestrator import arrivals
from tests.support.patience import until
from tests.support.town import AGENTS, ANSWERS, COMPLEX, TEXT, Town, failed


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


async def test_a_replica_that_was_stopped_in_between_reads_what_others_have_done_since(town, new_address, monkeypatch):
    monkeypatch.setattr(arrivals.Arrivals, "was_away", True)
    address, task = new_address(), Task(text=TEXT)
    stored = StepResult(digest=digest_of(task.to_bytes()), answer=Answer(value={"label": "from others"}))
    await town.bus.store(subjects.result(address, "sentiment", "sentiment"), stored.to_bytes())
    await town.hire()
    await town.orchestrate()

    result = await town.whole(address, task)

    assert result.answers["sentiment"].value == {"label": "from others"}
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
    town.bus.kept[subjects.submit(Lane.INTERACTIVE, address)].deliveries = 1
    await town.orchestrate()

    await town.settled(address)

    assert decode(TaskResult, (await town.bus.read(subjects.done(address))).body) == first
    assert not any(".work." in subject for subject in town.bus.tried)


async def test_two_replicas_that_both_believe_they_own_a_task_make_one_result(town, new_address):
    held = town.hold("summary")
    await town.hire()
    await town.orchestrate(ack_wait_s=0.1, slots=1)  # and nobody renews in time
    address = new_address()
    await town.submit(address, Task(text=TEXT))
    await until(lambda: town.leases, "a first owner")
    await town.orchestrate()

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


async def test_an_overloaded_stream_of_work_delays_a_task_and_costs_no_delivery(town, new_address):
    await town.hire()
    await town.orchestrate()
    town.bus.full.add("SLM_WORK")
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    await until(lambda: sum(".work." in s for s in town.bus.tried) >= 3, "more than one try")
    assert await town.bus.read(subjects.done(address)) is None
    town.bus.full.clear()

    assert (await town.done(address)).status is Status.COMPLETED
    assert (town.dead(), town.leases) == ([], [1])


async def test_a_result_that_finds_no_room_is_held_until_there_is_some_however_long_that_takes(town, new_address):
    await town.hire()
    await town.orchestrate(max_deliveries=2)
    town.bus.full.add("SLM_DONE")
    address = new_address()
    await town.submit(address, Task(text=TEXT, timeout_s=0.1))

    await until(lambda: sum(".done." in s for s in town.bus.tried) >= 5, "more tries than a submission may have deliveries")
    assert await town.bus.read(subjects.submit(Lane.INTERACTIVE, address)) is not None
    town.bus.full.clear()

    assert (await town.done(address)).status is Status.COMPLETED
    assert town.leases == [1]


async def test_a_dead_letter_that_finds_no_room_is_held_and_the_result_with_it(town, new_address):
    await town.orchestrate(max_deliveries=1)
    town.bus.full.add("SLM_DEAD")
    address = new_address()
    await town.submit(address, b"[]")

    await until(lambda: town.leases, "it is taken")
    assert await town.bus.read(subjects.done(address)) is None
    town.bus.full.clear()

    assert (await town.done(address)).status is Status.FAILED
    assert (len(town.dead()), town.leases) == (1, [1])


async def test_a_result_that_is_too_large_for_the_broker_fails_the_task(town, new_address, monkeypatch):
    await town.hire()
    await town.orchestrate()
    store = town.bus.store

    async def small(subject, body, *rest, **named):
        if ".done." in subject and b"entities" in body:
            raise ContractError(ErrorCode.TOO_LONG, "too many bytes")
        return await store(subject, body, *rest, **named)

    monkeypatch.setattr(town.bus, "store", small)

    result = await town.whole(new_address(), Task(text=TEXT))

    assert (result.status, result.error.code) == (Status.FAILED, ErrorCode.TOO_LONG)
    assert [code for _, _, code in town.dead()] == [ErrorCode.TOO_LONG]


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

    def break_for_one(self, wanted):
        if wanted == ("summary",):
            raise RuntimeError("a defect")
        return first(self, wanted)

    monkeypatch.setattr(type(town.planner), "first", break_for_one)
    await town.orchestrate(max_deliveries=2)

    result = await town.whole(broken, Task(text=TEXT, wanted=("summary",)))

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


async def test_a_submission_that_comes_again_to_the_replica_that_has_it_is_worked_on_once(town, new_address):
    held = town.hold("summary")
    await town.hire()
    await town.orchestrate(ack_wait_s=0.1, slots=2)
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    await until(lambda: len(town.leases) >= 2, "it comes again")
    held.set()

    assert (await town.done(address)).status is Status.COMPLETED
    assert sum(".work." in s for s in town.bus.tried) == 4
    assert sum(".done." in s for s in town.bus.tried) == 1


async def test_a_fresh_repeat_at_another_replica_ends_as_soon_as_that_one_has_looked(town, new_address, monkeypatch):
    monkeypatch.setattr(arrivals, "FIRST_LOOK_S", {Lane.INTERACTIVE: 0.0, Lane.BULK: 60.0})
    monkeypatch.setattr(arrivals, "TICK_S", 0.02)
    await town.hire()
    address, task = new_address(), Task(text=TEXT)
    first = TaskResult(**town.named(address), status=Status.COMPLETED, digest=digest_of(task.to_bytes()), took_ms=1.0)
    await town.bus.store(subjects.done(address), first.to_bytes())
    for name, answer in AGENTS.items():
        await town.bus.store(subjects.result(address, name, answer), b"there already, and so never announced")
    await town.orchestrate()

    await town.submit(address, task)

    assert await town.done(address) == first


@pytest.mark.parametrize("body", [b"[]", b'{"text": "a", "wanted": ["mood"]}'])
async def test_a_repeat_of_what_failed_is_no_second_dead_letter(town, new_address, body):
    address = new_address()
    for _ in range(2):  # each time at a replica that knows nothing of it
        stop = await town.orchestrate()
        first = await town.whole(address, body)
        await stop()

    assert len(town.dead()) == 1
    assert await town.done(address) == first


async def test_a_bulk_submission_asks_first_whether_it_is_over(town, new_address):
    await town.hire()
    address, task = new_address(), Task(text=TEXT)
    for _ in range(2):
        stop = await town.orchestrate()
        await town.whole(address, task, Lane.BULK)
        await stop()

    assert sum(".work." in s for s in town.bus.tried) == 4


async def test_an_interactive_task_does_not_wait_for_bulk_ones_to_begin(town, new_address, monkeypatch):
    await town.hire()
    store = town.bus.store

    async def no_room_for_bulk(subject, *rest, **named):
        if ".work." in subject and ".bulk." in subject:
            raise ContractError(ErrorCode.OVERLOADED, "full")
        return await store(subject, *rest, **named)

    monkeypatch.setattr(town.bus, "store", no_room_for_bulk)
    await town.orchestrate()
    for _ in range(8):
        await town.submit(new_address(), Task(text=TEXT), Lane.BULK)
    await until(lambda: len(town.leases) == 8, "all are taken")

    assert (await town.whole(new_address(), Task(text=TEXT))).status is Status.COMPLETED


async def test_every_wanted_answer_of_a_refused_task_says_that_it_was_refused(town, new_address):
    await town.orchestrate()

    result = await town.whole(new_address(), Task(text=TEXT, wanted=("sentiment", "mood"), metadata={"n": 1}, replay_of="first"))

    assert {name: (a.error.code, a.error.step) for name, a in result.answers.items()} == {
        "sentiment": (ErrorCode.UNKNOWN_ANSWER, "sentiment"),
        "mood": (ErrorCode.UNKNOWN_ANSWER, None),
    }
    assert (result.metadata, result.replay_of) == ({"n": 1}, "first")


async def both_lanes(town, address, *, older=Lane.BULK, **wanted):
    """Submit two texts under one id; return the body of each lane."""
    lanes = (older, next(lane for lane in Lane if lane is not older))
    return {lane: await town.submit(address, Task(text=f"The {lane.value} text.", **wanted), lane) for lane in lanes}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"text": "", "replay_of": "first"}', "first"),
        (b'{"text": "", "replay_of": "a.b"}', None),
        (b'{"text": "", "replay_of": 5}', None),
    ],
)
async def test_a_replay_that_is_refused_says_what_it_repeats_as_far_as_it_can_be_read(town, new_address, body, told):
    await town.orchestrate()

    assert (await town.whole(new_address(), body)).replay_of == told


@pytest.mark.parametrize("older", list(Lane))
async def test_two_texts_under_one_id_in_both_lanes_have_one_result_with_answers_to_one_of_them(town, new_address, older, monkeypatch):
    monkeypatch.setattr(arrivals, "FIRST_LOOK_S", dict.fromkeys(Lane, 0.05))
    monkeypatch.setattr(arrivals, "TICK_S", 0.02)
    town.about_text = True
    await town.hire()
    for _ in range(2):
        await town.orchestrate()
    address = new_address()

    bodies = await both_lanes(town, address, older=older)
    result = await town.done(address)

    of = {digest_of(body): lane for lane, body in bodies.items()}
    winner = of[result.digest]
    told = {a.value["about"] for a in result.answers.values() if a.value is not None}
    assert told <= {f"The {winner.value} text."}
    assert len(dones(town)) == 1
    loser = next(lane for lane in Lane if lane is not winner)
    assert town.dead() == [(subjects.dead(address.data_class, "orchestrator"), bodies[loser], ErrorCode.ID_CONFLICT)]


async def test_the_younger_of_two_texts_gives_way_to_the_older_whose_result_is_in_its_way(town, new_address):
    address = new_address()
    bodies = await both_lanes(town, address, older=Lane.BULK, wanted=("sentiment", "entities"))
    older = StepResult(digest=digest_of(bodies[Lane.BULK]), answer=ANSWERS["sentiment"])
    await town.bus.store(subjects.result(address, "sentiment", "sentiment"), older.to_bytes())
    for lane in Lane:
        town.bus.kept[subjects.submit(lane, address)].deliveries = 1  # both were in somebody's hands before
    town.hold("entities")
    await town.hire("sentiment")
    await town.orchestrate()

    await until(lambda: len(town.leases) == 2, "both are taken")
    assert await town.bus.read(subjects.done(address)) is None
    await town.hire("entities")
    town.held["entities"].set()
    result = await town.done(address)

    assert result.digest == digest_of(bodies[Lane.BULK])
    assert [(body, code) for _, body, code in town.dead()] == [(bodies[Lane.INTERACTIVE], ErrorCode.ID_CONFLICT)]


async def test_many_tasks_at_once_have_one_result_each(town, new_address):
    await town.hire()
    for _ in range(2):
        await town.orchestrate()
    addresses = [new_address() for _ in range(30)]

    results = await asyncio.gather(*(town.whole(a, Task(text=TEXT, metadata={"n": i})) for i, a in enumerate(addresses)))

    assert [r.metadata["n"] for r in results] == list(range(30))
    assert sorted(dones(town)) == sorted(map(subjects.done, addresses))
