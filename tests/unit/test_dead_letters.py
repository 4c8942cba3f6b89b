"""Dead letters: what is kept of a message, what is read of it, and which task it becomes, once."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from smallmesh.bus import ServiceSpec
from smallmesh.bus.layout import DEAD, TASKS
from smallmesh.bus.provision import DEAD_LETTER_ROOM
from smallmesh.dead_letters import bury
from smallmesh.dead_letters.many import AT_ONCE, for_each, results
from smallmesh.dead_letters.reading import Wanted, find, forget, letters
from smallmesh.dead_letters.repeating import replay_id
from smallmesh.dead_letters.replaying import Givers, Planner, Replayer, State
from smallmesh_contracts import (
    Address,
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
    Task,
    TaskResult,
    decode,
    digest_of,
    headers,
    subjects,
)
from tests.support.rules import write_agent

ORDER = Address("shop", DataClass.INTERNAL, "order-1")
TEXT = "Two pallets are missing."
NO = ErrorInfo(code=ErrorCode.MODEL_FAILED, message="RuntimeError in ner", step="ner")
CAME_AT = datetime(2026, 3, 2, 9, 14, 7, 250_000, UTC).timestamp()
AGENTS = {"ner": "entities", "sentiment": "sentiment"}


@dataclass
class Delivered:
    """As much of a delivery as is kept."""

    subject: str
    body: bytes
    sequence: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    deliveries: int = 5
    arrived_at: float = CAME_AT


def submitted(body=None, *, address=ORDER, lane=Lane.BULK, **changed):
    return Delivered(subjects.submit(lane, address), Task(text=TEXT).to_bytes() if body is None else body, **changed)


def step(agent, *, address=ORDER, lane=Lane.BULK, text=TEXT, instruction=None, **changed):
    body = Step(digest="d", timeout_s=7.5, request=StepInput(text=text, instruction=instruction)).to_bytes()
    return Delivered(subjects.work(agent, lane, address), body, **changed)


def escalated(answer="analysis", **changed):
    evidence = Evidence(agent="complexity_router", answer="complexity")
    body = EscalationStep(digest="d", timeout_s=7.5, request=StepInput(text=TEXT), evidence=evidence).to_bytes()
    return Delivered(subjects.escalate(Lane.BULK, ORDER, answer), body, **changed)


async def buried(bus, *delivered, origin="ner", error=NO):
    """Bury some messages; return the letters with their payloads."""
    for number, one in enumerate(delivered, len(bus.log) + 1):
        await bury(bus, replace(one, sequence=number), origin, error)
    return [one async for one in letters(bus, Wanted())]


@pytest.fixture
def givers(bus, tmp_path):
    for agent, answer in AGENTS.items():
        write_agent(tmp_path / "agents", agent, answer)
    return Givers(bus, [tmp_path / "agents"])


@pytest.fixture
def planned(bus, givers):
    """Plan a replay of all letters, or of those of some numbers."""

    async def plan(*numbers):
        planner = Planner(givers)
        async for letter, payload in letters(bus, Wanted()):
            if not numbers or letter.number in numbers:
                await planner.add(letter, payload)
        return planner

    return plan


@pytest.fixture
def replayed(bus, givers, planned):
    """Replay all letters, or those of some numbers."""

    async def replay(*numbers, keep=False):
        replayer = Replayer(bus, givers, keep=keep)
        return [await replayer.replay(plan) for plan in (await planned(*numbers)).plans()]

    return replay


@pytest.fixture
def hesitant(bus, monkeypatch):
    """Let everybody else have a turn at every question to the bus, as a broker does."""

    def hesitating(asked):
        async def later(*given, **named):
            await asyncio.sleep(0)
            return await asked(*given, **named)

        return later

    for name in ("read", "store", "entry", "remove"):
        monkeypatch.setattr(bus, name, hesitating(getattr(bus, name)))


def address_of(number, task_id=ORDER.task_id):
    return replace(ORDER, task_id=f"{task_id}-r{number}")


async def task_at(bus, address, lane=Lane.BULK):
    return decode(Task, (await bus.read(subjects.submit(lane, address))).body)


async def finish(bus, address, lane=Lane.BULK, **changed):
    """Do what an orchestrator does at the end of a task."""
    body = (await bus.read(subjects.submit(lane, address))).body
    answers = {name: Answer(value={}) for name in decode(Task, body).wanted}
    told = {"status": Status.COMPLETED, "answers": answers, "digest": digest_of(body), "took_ms": 1.0} | changed
    result = TaskResult(task_id=address.task_id, tenant=address.tenant, data_class=address.data_class, **told)
    await bus.store(subjects.done(address), result.to_bytes())
    await bus.drop(subjects.submit(lane, address))
    return result


def submissions(bus):
    return sorted(subject for subject in bus.kept if ".submit." in subject)


# ---------------------------------------------------------------- keeping


async def test_a_letter_keeps_payload_headers_reason_deliveries_origin_and_when_it_came(bus):
    carried = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "X-Shop": "North"}

    ((letter, payload),) = await buried(bus, step("ner", headers=carried))

    assert (letter.subject, letter.origin, letter.deliveries, letter.reason) == (subjects.work("ner", Lane.BULK, ORDER), "ner", 5, NO)
    assert (letter.address, letter.lane, letter.data_class) == (ORDER, Lane.BULK, DataClass.INTERNAL)
    assert (letter.arrived_at, letter.died_at) == (CAME_AT, pytest.approx(bus.now(), abs=60))
    assert (letter.carried, letter.trace_id, letter.size) == (carried, "a" * 32, len(payload))
    assert payload == step("ner").body


async def test_what_a_header_may_not_be_called_is_kept_under_a_name_that_it_may(bus):
    odd = {"X{odd}": "kept", "été": "kept", " ": "nothing", "Nats-Rollup": "all", headers.REASON: "forged", "Status": "503"}

    ((letter, _),) = await buried(bus, step("ner", headers=odd))

    assert letter.carried == {"X_odd_": "kept", "_t_": "kept", "_Status": "503"}
    assert letter.reason == NO


@pytest.mark.parametrize("message", ["naïve “quotes”\nand \x00 lines", "x" * 100_000, "\U0001f4a5" * 5000, "\\" * 5000])
async def test_what_a_letter_adds_is_ascii_and_fits_into_the_room_that_queues_leave(bus, message):
    ((letter, _),) = await buried(bus, step("ner"), error=ErrorInfo(code=ErrorCode.INTERNAL, message=message))

    (kept,) = bus.log.values()
    assert kept.headers[headers.REASON].isascii()
    assert kept.headers[headers.REASON].isprintable()
    assert sum(len(name) + len(value) + 4 for name, value in kept.headers.items()) < DEAD_LETTER_ROOM
    assert letter.reason.message[:500] == message[:500]


async def test_what_was_no_utf8_on_the_wire_does_not_outgrow_the_message(bus):
    odd_id = "\\xff" * 3900

    await buried(bus, Delivered(f"slm.v1.submit.bulk.shop.public.{odd_id}", b"", headers={"X-Bytes": "\ufffd" * 30_000}))

    (kept,) = bus.log.values()
    assert sum(len(f"{name}: {value}\r\n".encode()) for name, value in kept.headers.items()) < 30_000 + DEAD_LETTER_ROOM


async def test_a_message_that_names_no_task_is_kept_as_restricted(bus):
    ((letter, payload),) = await buried(bus, Delivered("slm.v1.submit.bulk.shop.secret.x", b"?"), origin="orchestrator")

    assert (letter.data_class, letter.address, letter.lane, payload) == (DataClass.RESTRICTED, None, None, b"?")


async def test_a_message_buried_at_every_delivery_is_one_letter(bus):
    for deliveries in (1, 2, 3):
        await bury(bus, step("ner", deliveries=deliveries), "ner", NO)

    assert [letter.deliveries async for letter, _ in letters(bus, Wanted())] == [1]


async def test_a_message_of_the_same_number_in_a_stream_that_was_made_anew_is_another_letter(bus):
    await bury(bus, step("ner"), "ner", NO)
    await bury(bus, step("ner", arrived_at=CAME_AT + 60), "ner", NO)

    assert len([letter async for letter in letters(bus, Wanted())]) == 2


async def test_where_no_more_letters_fit_it_is_told_so_that_the_message_stays(bus):
    bus.full.add(DEAD.name)

    with pytest.raises(ContractError) as raised:
        await bury(bus, step("ner"), "ner", NO)

    assert raised.value.info.code is ErrorCode.OVERLOADED
    assert bus.log == {}


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), [1, 2, 3]),
        (Wanted(reasons=frozenset({ErrorCode.INTERNAL, ErrorCode.EXPIRED})), [2]),
        (Wanted(origin="orchestrator"), [3]),
        (Wanted(tenant="web"), [2]),
        (Wanted(data_class=DataClass.RESTRICTED), [3]),
        (Wanted(origin="ner", tenant="shop"), [1]),
        (Wanted(since=1e12), []),
        (Wanted(until=1.0), []),
        (Wanted(since=1.0, until=1e12), [1, 2, 3]),
    ],
)
async def test_letters_are_looked_for_by_what_they_say(bus, wanted, found):
    await bury(bus, step("ner"), "ner", NO)
    await bury(bus, step("ner", address=Address("web", DataClass.PUBLIC, "x"), sequence=2), "ner", ErrorInfo(code="internal", message=""))
    await bury(bus, Delivered("slm.v1.submit.bulk.a.b.c", b"", sequence=3), "orchestrator", NO)

    assert [letter.number async for letter, _ in letters(bus, wanted)] == found


async def test_a_letter_that_says_nothing_can_be_read_all_the_same(bus):
    told = {
        headers.REASON: "no json",
        headers.ARRIVED: "yesterday",
        headers.DELIVERIES: "9" * 5000,
        headers.ORIGIN: "slm.v1.result.a.public.b",
    }
    await bus.append(subjects.dead(DataClass.PUBLIC, "ner"), b"x", {}, message_id="1")
    await bus.append(subjects.dead(DataClass.PUBLIC, "ner"), b"x", told, message_id="2")

    bare, odd = [letter async for letter, _ in letters(bus, Wanted())]

    assert (bare.reason, bare.arrived_at, bare.deliveries, bare.subject, bare.address, bare.trace_id) == (None, None, None, "", None, None)
    assert (odd.reason, odd.arrived_at, odd.deliveries, odd.lane) == (None, None, None, None)


async def test_a_letter_is_found_and_forgotten_by_its_number(bus):
    await buried(bus, step("ner"), step("sentiment"))

    letter, payload = await find(bus, 2)

    assert (letter.number, payload) == (2, step("sentiment").body)
    assert [await forget(bus, 2), await forget(bus, 2), await find(bus, 2)] == [True, False, None]
    assert await find(bus, 1) is not None


async def test_a_letter_that_the_broker_does_not_remove_is_not_called_gone(bus, monkeypatch):
    await buried(bus, step("ner"))

    async def refuse(*_):
        return False

    monkeypatch.setattr(bus, "remove", refuse)

    with pytest.raises(ContractError, match="does not remove"):
        await forget(bus, 1)


# ---------------------------------------------------------------- ids


@pytest.mark.parametrize("length", [1, 60, 61, 62, 63, 64])
@pytest.mark.parametrize("number", [1, 12, 999])
def test_a_replay_is_called_as_its_task_with_a_number_as_far_as_that_fits(length, number):
    task_id = "x" * length

    called = replay_id(task_id, number)

    assert replace(ORDER, task_id=called).is_valid()
    assert called.endswith(f"-r{number}")
    assert called == replay_id(task_id, number)
    if length + len(f"-r{number}") <= 64:
        assert called == f"{task_id}-r{number}"


def test_long_ids_that_begin_alike_stay_two():
    assert replay_id("x" * 63 + "a", 1) != replay_id("x" * 63 + "b", 1)


# ---------------------------------------------------------------- what is submitted


async def test_a_dead_submission_is_submitted_again_as_it_was(bus, replayed):
    body = {"text": TEXT, "wanted": ["mood"], "metadata": {"queue": 7}, "timeout_s": 9.0, "some_day": {"a": 1}}
    await buried(bus, submitted(json.dumps(body).encode(), headers={"traceparent": "00-t", "X{": "y"}), origin="orchestrator")

    (done,) = await replayed()

    message = await bus.read(subjects.submit(Lane.BULK, address_of(1)))
    assert (done.state, done.address) == (State.SUBMITTED, address_of(1))
    assert json.loads(message.body) == {**body, "replay_of": "order-1"}
    assert message.headers == {"traceparent": "00-t", "X_": "y"}
    assert await find(bus, 1) is None


async def test_a_body_that_names_its_own_address_names_the_replays(bus, replayed):
    told = {"id": "order-1", "tenant": "shop", "data_class": "internal", "lane": "bulk", "text": TEXT}
    await buried(bus, submitted(json.dumps(told).encode()))

    await replayed()

    message = await bus.read(subjects.submit(Lane.BULK, address_of(1)))
    assert json.loads(message.body) == {**told, "id": "order-1-r1", "replay_of": "order-1"}


@pytest.mark.parametrize(
    ("delivered", "code"),
    [
        (submitted(b'{"text": '), ErrorCode.INVALID_REQUEST),
        (submitted(b'{"text": "\xff"}'), ErrorCode.INVALID_REQUEST),
        (submitted(b'{"text": "x", "other": NaN}'), ErrorCode.INVALID_REQUEST),
        (submitted(b'{"text": "x", "id": "another"}'), ErrorCode.INVALID_REQUEST),
        (submitted(b'{"text": "x", "version": "2.0"}'), ErrorCode.UNSUPPORTED_VERSION),
        (submitted(Task(text="x" * 33_000).to_bytes(), lane=Lane.INTERACTIVE), ErrorCode.TOO_LONG),
        (submitted(address=replace(ORDER, task_id="a b")), ErrorCode.INVALID_REQUEST),
        (step("ner", text=" "), ErrorCode.INVALID_REQUEST),
        (replace(step("ner"), body=b"?"), ErrorCode.INVALID_REQUEST),
        (step("stranger"), ErrorCode.UNKNOWN_ANSWER),
        (Delivered("slm.v1.submit.bulk.a.b.c", b"{}"), ErrorCode.INVALID_REQUEST),
        (Delivered("slm.v1.work.ner", b"{}"), ErrorCode.INVALID_REQUEST),
    ],
)
async def test_what_makes_no_task_is_refused_with_its_reason_and_stays(bus, planned, delivered, code):
    await buried(bus, delivered)

    planner = await planned()

    ((number, error),) = [(one.number, one.error) for one in planner.refused]
    assert (number, error.code, planner.plans()) == (1, code, [])
    assert await find(bus, 1) is not None


async def test_dead_steps_of_one_task_become_one_task_that_wants_them_all(bus, replayed):
    await buried(bus, step("sentiment", instruction="Be brief."), step("ner", instruction="Be brief."), escalated())

    (first, second) = await replayed()

    task = await task_at(bus, address_of(1))
    assert (task.text, task.instruction, task.wanted, task.replay_of) == (TEXT, "Be brief.", ("entities", "sentiment"), "order-1")
    assert (task.timeout_s, task.metadata) == (None, {})
    assert (first.plan.numbers, first.address) == ((1, 2), address_of(1))
    assert (await task_at(bus, address_of(2))).wanted == ("analysis",)  # it was asked without the instruction: another request
    assert second.plan.numbers == (3,)
    assert [letter async for letter in letters(bus, Wanted())] == []


async def test_steps_of_two_texts_two_lanes_or_two_tasks_are_not_one_task(bus, planned):
    other = replace(ORDER, task_id="order-2")

    await buried(bus, step("ner"), step("sentiment", text="x"), step("sentiment", lane=Lane.INTERACTIVE), step("sentiment", address=other))

    assert [plan.numbers for plan in (await planned()).plans()] == [(1,), (2,), (3,), (4,)]


async def test_tenant_class_and_lane_stay(bus, replayed):
    address = Address("web", DataClass.RESTRICTED, "x")
    await buried(bus, step("ner", address=address, lane=Lane.INTERACTIVE))

    await replayed()

    assert submissions(bus) == ["slm.v1.submit.interactive.web.restricted.x-r1"]


async def test_an_agent_that_runs_elsewhere_says_itself_what_it_gives(bus, replayed):
    await bus.serve(ServiceSpec("haiku", "1", "writes", {"answer": "poem"}))
    await buried(bus, step("haiku"))

    await replayed()

    assert (await task_at(bus, address_of(1))).wanted == ("poem",)


async def test_a_broken_folder_of_agents_is_no_reason_to_refuse_what_those_who_run_can_say(bus, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "agent.py").write_text("raise ValueError", encoding="utf-8")
    await bus.serve(ServiceSpec("ner", "1", "reads", {"answer": "entities"}))

    assert await Givers(bus, [tmp_path]).answer("ner") == "entities"


# ---------------------------------------------------------------- once


async def test_a_letter_replayed_twice_is_one_task_wherever_that_task_is(bus, replayed):
    await buried(bus, step("ner"))

    states = [(await replayed(keep=True))[0].state]
    states.append((await replayed(keep=True))[0].state)
    await finish(bus, address_of(1))
    states.append((await replayed())[0].state)

    assert states == [State.SUBMITTED, State.ALREADY_THERE, State.ALREADY_THERE]
    assert submissions(bus) == []
    assert await find(bus, 1) is None


@pytest.mark.usefixtures("hesitant")
@pytest.mark.parametrize("together", [2, 5])
async def test_a_letter_replayed_by_several_at_once_is_one_task(bus, givers, planned, together):
    await buried(bus, step("ner"), step("sentiment"), submitted())
    plans = (await planned()).plans()

    done = await asyncio.gather(*(Replayer(bus, givers).replay(plan) for plan in plans for _ in range(together)))

    assert submissions(bus) == [subjects.submit(Lane.BULK, address_of(n)) for n in (1, 2)]
    assert [one.state for one in done].count(State.SUBMITTED) == 2
    assert bus.log == {}


@pytest.mark.parametrize("ended", [False, True])
async def test_after_a_crash_that_left_some_of_its_letters_a_replay_is_the_same_task(bus, replayed, ended):
    await buried(bus, step("ner"), step("sentiment"))
    await replayed(keep=True)
    await forget(bus, 1)  # the process died here
    if ended:
        await finish(bus, address_of(1), status=Status.PARTIAL)

    (done,) = await replayed()

    assert (done.state, done.address, done.plan.numbers) == (State.ALREADY_THERE, address_of(1), (2,))
    assert await bus.read(subjects.submit(Lane.BULK, address_of(2))) is None
    assert bus.log == {}


async def test_letters_that_go_while_they_are_replayed_are_wanted_all_the_same(bus, givers, planned):
    """Whoever took them has planned the same: with fewer answers it would be another task."""
    await buried(bus, step("ner"), step("sentiment"))
    (plan,) = (await planned()).plans()
    await forget(bus, 1)

    done = await Replayer(bus, givers).replay(plan)

    assert (done.state, (await task_at(bus, address_of(1))).wanted) == (State.SUBMITTED, ("entities", "sentiment"))


async def test_letters_that_all_went_meanwhile_are_replayed_by_nobody(bus, givers, planned):
    await buried(bus, step("ner"))
    (plan,) = (await planned()).plans()
    await forget(bus, 1)

    done = await Replayer(bus, givers).replay(plan)

    assert (done.state, done.address, submissions(bus)) == (State.GONE, None, [])


async def test_a_step_that_dies_later_is_another_replay(bus, replayed):
    await buried(bus, step("ner"))
    await replayed()
    await buried(bus, step("sentiment", sequence=2))

    (done,) = await replayed()

    assert (done.state, done.address) == (State.SUBMITTED, address_of(2))


@pytest.mark.parametrize("lane", Lane)
async def test_another_task_of_that_name_is_left_alone(bus, replayed, lane):
    await bus.store(subjects.submit(lane, address_of(1)), b'{"text": "another"}')
    await bus.store(subjects.submit(lane, address_of(2)), b'{"text": "a third"}')
    await finish(bus, address_of(2), lane)
    await buried(bus, step("ner"))

    (done,) = await replayed()

    assert (done.state, done.address) == (State.SUBMITTED, address_of(3))


@pytest.mark.usefixtures("hesitant")
async def test_two_texts_under_one_id_and_in_two_lanes_become_two_tasks(bus, givers, planned):
    await buried(bus, submitted(), submitted(b'{"text": "another"}', lane=Lane.INTERACTIVE))
    replayer = Replayer(bus, givers)

    done = await asyncio.gather(*map(replayer.replay, (await planned()).plans()))

    assert sorted(one.address.task_id for one in done) == ["order-1-r1", "order-1-r2"]


async def test_a_replay_that_dies_is_replayed_as_any_other_task(bus, replayed):
    body = Task(text=TEXT, replay_of="order-1").to_bytes()
    await buried(bus, submitted(body, address=address_of(1)))

    (done,) = await replayed()

    assert done.address.task_id == "order-1-r1-r1"
    assert (await task_at(bus, done.address)).replay_of == "order-1-r1"


async def test_what_the_broker_did_not_take_keeps_its_letters(bus, givers, planned, monkeypatch):
    await buried(bus, step("ner"))
    (plan,) = (await planned()).plans()

    async def away(*_, **__):
        raise ContractError(ErrorCode.UNAVAILABLE, "the broker does not answer")

    monkeypatch.setattr(bus, "store", away)

    with pytest.raises(ContractError):
        await Replayer(bus, givers).replay(plan)

    assert await find(bus, 1) is not None


async def test_what_is_refused_at_the_last_moment_keeps_its_letters_and_holds_up_no_other(bus, givers, planned, monkeypatch):
    await buried(bus, step("ner"))
    (plan,) = (await planned()).plans()

    async def refuse(*_, **__):
        raise ContractError(ErrorCode.TOO_LONG, "more than the broker takes")

    monkeypatch.setattr(bus, "store", refuse)

    done = await Replayer(bus, givers).replay(plan)

    assert (done.state, done.error.code, await find(bus, 1) is not None) == (State.REFUSED, ErrorCode.TOO_LONG, True)


async def test_a_full_queue_is_waited_for(bus, givers, planned, monkeypatch):
    await buried(bus, step("ner"))
    (plan,) = (await planned()).plans()
    bus.full.add(TASKS.name)
    told = []

    async def soon(_):
        bus.full.clear()

    monkeypatch.setattr("smallmesh.dead_letters.replaying.asyncio.sleep", soon)

    done = await Replayer(bus, givers, full=told.append).replay(plan)

    assert (done.state, told) == (State.SUBMITTED, [5.0])


async def test_a_result_that_cannot_be_read_under_the_id_is_no_replay(bus, givers, planned):
    await buried(bus, step("ner"))
    await bus.store(subjects.done(address_of(1)), b"?")
    (plan,) = (await planned()).plans()

    done = await Replayer(bus, givers).replay(plan)

    assert (done.state, await find(bus, 1) is not None) == (State.REFUSED, True)


# ---------------------------------------------------------------- many


async def test_many_are_done_a_few_at_once_and_all_are_told():
    most = in_hand = 0

    async def work(number):
        nonlocal most, in_hand
        in_hand += 1
        most = max(most, in_hand)
        await asyncio.sleep(0)
        in_hand -= 1
        return number

    came = []
    await for_each(range(100), work, came.append)

    assert (sorted(came), most) == (list(range(100)), AT_ONCE)


async def test_the_first_that_fails_ends_the_rest():
    begun = []

    async def work(number):
        begun.append(number)
        if number == 3:
            raise ContractError(ErrorCode.UNAVAILABLE, "away")
        await asyncio.Event().wait()

    with pytest.raises(ContractError):
        await for_each(range(1000), work, lambda _: None)

    assert len(begun) <= 2 * AT_ONCE


async def test_results_are_waited_for(bus, soon):
    addresses = [address_of(n) for n in (1, 2)]
    came = []
    waiting = asyncio.ensure_future(results(bus, addresses, came.append))
    for address in addresses:
        await asyncio.sleep(0)
        await bus.store(subjects.submit(Lane.BULK, address), Task(text=TEXT).to_bytes())
        await finish(bus, address)

    await soon(waiting)

    assert {one.task_id for one in came} == {"order-1-r1", "order-1-r2"}
