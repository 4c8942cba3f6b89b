"""Cancelling: of a result and a cancellation only one is first, and everybody obeys it."""

import asyncio

import pytest

from smallmesh.bus import ServiceSpec
from smallmesh_contracts import (
    Address,
    CancelReply,
    CancelRequest,
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
    subjects,
)
from smallmesh_orchestrator import arrivals
from smallmesh_orchestrator.cancelling import Cancelling
from tests.support.patience import until
from tests.support.town import AGENTS, ANSWERS, COMPLEX, SUMMARY, TEXT, Town, failed


class Desk:
    """A town with somebody who answers requests to cancel."""

    def __init__(self, town):
        self.town = town
        self.announced = []

    async def open(self):
        cancelling = Cancelling(self.town.bus, self.town.planner)
        await self.town.bus.serve(ServiceSpec("orchestrator", "1.0.0", "cancels", endpoints=cancelling.endpoints(DataClass)))
        await self.town.bus.watch(subjects.any_cancelled(), self.announced.append)

    async def ask(self, address: Address, body: bytes | None = None) -> CancelReply:
        sent = body if body is not None else CancelRequest(task_id=address.task_id).to_bytes()
        reply = await self.town.bus.request(subjects.cancel(address.tenant, address.data_class), sent, timeout_s=10.0)
        return decode(CancelReply, reply.body)

    async def result(self, address: Address) -> TaskResult:
        return decode(TaskResult, (await self.town.bus.read(subjects.done(address))).body)

    async def store(self, address: Address, body: bytes, *answers: str) -> None:
        """Store the results of some answers, about a body."""
        for answer in answers:
            name = next(agent for agent, gives in {**AGENTS, "escalation": "analysis"}.items() if gives == answer)
            stored = StepResult(digest=digest_of(body), answer=self.town.answers[answer])
            await self.town.bus.store(subjects.result(address, name, answer), stored.to_bytes())


@pytest.fixture
async def town():
    built = Town()
    yield built
    await built.close()


@pytest.fixture
async def desk(town):
    opened = Desk(town)
    await opened.open()
    return opened


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("data_class", list(DataClass))
async def test_a_queued_task_is_cancelled_and_never_worked_on(desk, town, new_address, data_class, lane):
    address, task = new_address(data_class), Task(text=TEXT, metadata={"n": 1}, replay_of="first")
    body = await town.submit(address, task, lane)

    reply = await desk.ask(address)
    await town.hire()
    await town.orchestrate()
    await town.settled(address)
    result = await town.done(address)

    assert (reply.status, reply.error, reply.task_id) == (Status.CANCELLED, None, address.task_id)
    assert (result.status, result.digest) == (Status.CANCELLED, digest_of(body))
    assert (result.metadata, result.replay_of) == ({"n": 1}, "first")
    assert (town.worked, town.leases) == ([], [])


async def test_a_queued_task_that_could_not_be_deleted_is_acknowledged_by_whoever_takes_it(desk, town, new_address, monkeypatch):
    async def away(*_):
        raise ContractError(ErrorCode.UNAVAILABLE, "away")

    monkeypatch.setattr(town.bus, "remove", away)
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    assert (await desk.ask(address)).status is Status.CANCELLED
    town.bus.ahead_s = 2.0  # it is not fresh any more
    await town.orchestrate()

    assert (await town.done(address)).status is Status.CANCELLED
    assert not any(".work." in s for s in town.bus.tried)


async def test_a_fresh_task_whose_cancellation_passed_by_before_it_came_is_not_begun(town, new_address):
    await town.orchestrate()
    address, task = new_address(), Task(text=TEXT)
    ended = TaskResult(**town.named(address), status=Status.CANCELLED, digest=digest_of(task.to_bytes()), took_ms=1.0)
    await town.bus.store(subjects.done(address), ended.to_bytes())
    await town.bus.announce(subjects.cancelled(address))

    await town.submit(address, task)
    await town.settled(address)

    assert not any(".work." in s for s in town.bus.tried)


async def test_a_running_task_is_cancelled_and_its_lease_ends_at_once(desk, town, new_address):
    town.hold("summary")
    await town.hire()
    await town.orchestrate()
    address = new_address()
    body = await town.submit(address, Task(text=TEXT, timeout_s=3600.0))
    await until(lambda: len([s for s in town.bus.took if ".result." in s]) == 3, "three answers")

    reply = await desk.ask(address)
    result = await town.done(address)
    await until(lambda: not town.in_hand(), "the lease has ended")

    assert (reply.status, result.status, result.digest) == (Status.CANCELLED, Status.CANCELLED, digest_of(body))
    assert (result.answers["summary"].error.code, result.answers["summary"].error.step) == (ErrorCode.CANCELLED, "summarizer")
    assert {n: a for n, a in result.answers.items() if n != "summary"} == {n: ANSWERS[n] for n in ("sentiment", "entities", "complexity")}
    assert (len([s for s in town.bus.took if ".done." in s]), town.dead()) == (1, [])


async def test_a_lease_whose_holder_heard_nothing_ends_at_its_next_look(desk, town, new_address, monkeypatch):
    monkeypatch.setattr(arrivals, "FIRST_LOOK_S", dict.fromkeys(Lane, 0.05))
    monkeypatch.setattr(arrivals, "TICK_S", 0.02)

    async def unheard(*_):
        pass

    monkeypatch.setattr(town.bus, "announce", unheard)
    await town.orchestrate()
    address = new_address()
    await town.submit(address, Task(text=TEXT, timeout_s=3600.0))
    await until(lambda: len(town.bus.steps()) == 4, "the steps are published")

    assert (await desk.ask(address)).status is Status.CANCELLED

    await until(lambda: not town.in_hand(), "the lease has ended")


async def test_a_result_that_came_first_wins(desk, town, new_address):
    await town.hire()
    await town.orchestrate()
    address = new_address()
    first = await town.whole(address, Task(text=TEXT))

    reply = await desk.ask(address)

    assert (reply.status, reply.error) == (Status.COMPLETED, None)
    assert await town.done(address) == first
    assert desk.announced == []


async def test_a_task_that_ends_while_it_is_being_cancelled_has_ended(desk, town, new_address, monkeypatch):
    address = new_address()
    body = await town.submit(address, Task(text=TEXT))
    ended = TaskResult(**town.named(address), status=Status.PARTIAL, digest=digest_of(body), took_ms=1.0)
    store = town.bus.store

    async def a_moment_later(subject, sent, *rest, **named):
        await store(subject, ended.to_bytes())
        return await store(subject, sent, *rest, **named)

    monkeypatch.setattr(town.bus, "store", a_moment_later)

    assert (await desk.ask(address)).status is Status.PARTIAL
    assert await desk.result(address) == ended


async def test_a_task_that_ends_between_two_looks_has_ended(desk, town, new_address, monkeypatch):
    address, read = new_address(), town.bus.read
    ended = TaskResult(**town.named(address), status=Status.COMPLETED, digest="0" * 64, took_ms=1.0)

    async def read_and_end(subject):
        found = await read(subject)
        if ".submit." in subject:
            await town.bus.store(subjects.done(address), ended.to_bytes())
        return found

    monkeypatch.setattr(town.bus, "read", read_and_end)

    assert (await desk.ask(address)).status is Status.COMPLETED


async def test_cancelling_twice_is_the_same_as_once_and_is_announced_again(desk, town, new_address):
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    replies = [await desk.ask(address) for _ in range(2)]

    assert replies[0] == replies[1]
    assert replies[0].status is Status.CANCELLED
    await until(lambda: len(desk.announced) == 2, "both announcements")
    assert [s for s in town.bus.took if ".done." in s] == [subjects.done(address)]


async def test_ten_at_once_cancel_once_and_are_told_the_same(desk, town, new_address):
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    replies = await asyncio.gather(*(desk.ask(address) for _ in range(10)))

    assert {reply.status for reply in replies} == {Status.CANCELLED}
    assert [s for s in town.bus.took if ".done." in s] == [subjects.done(address)]


async def test_an_unknown_id_is_no_task_and_leaves_nothing_behind(desk, town, new_address):
    address = new_address()

    reply = await desk.ask(address)

    assert (reply.status, reply.error.code, reply.task_id) == (None, ErrorCode.INVALID_REQUEST, address.task_id)
    assert "no such task" in reply.error.message
    assert (town.bus.tried, desk.announced) == ([], [])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"task_id": 5}', b'{"task_id": "a b"}', b'{"task_id": "*"}', b'{"task_id": ">"}'])
async def test_a_request_that_names_no_task_is_refused(desk, new_address, body):
    reply = await desk.ask(new_address(), body)

    assert (reply.status, reply.error.code, reply.task_id) == (None, ErrorCode.INVALID_REQUEST, None)


async def test_where_no_result_can_be_stored_nothing_is_cancelled(desk, town, new_address):
    town.bus.full.add("SLM_DONE")
    address = new_address()
    await town.submit(address, Task(text=TEXT))

    reply = await desk.ask(address)

    assert (reply.status, reply.error.code, reply.error.retryable) == (None, ErrorCode.OVERLOADED, True)
    assert await town.bus.read(subjects.submit(Lane.INTERACTIVE, address)) is not None
    assert desk.announced == []


async def test_a_body_that_cannot_be_read_can_be_cancelled_too(desk, town, new_address):
    address = new_address()
    await town.submit(address, b"[]")

    assert (await desk.ask(address)).status is Status.CANCELLED

    result = await desk.result(address)
    assert (result.status, result.answers, result.digest) == (Status.CANCELLED, {}, digest_of(b"[]"))


async def test_results_about_another_text_and_broken_ones_are_not_in_a_cancelled_result(desk, town, new_address):
    address = new_address()
    body = await town.submit(address, Task(text=TEXT))
    await desk.store(address, b"another", "sentiment")
    await desk.store(address, body, "summary")
    await town.bus.store(subjects.result(address, "ner", "entities"), b"broken")

    await desk.ask(address)

    result = await desk.result(address)
    assert [name for name, a in result.answers.items() if a.error is None] == ["summary"]
    assert {a.error.code for a in result.answers.values() if a.error} == {ErrorCode.CANCELLED}


async def test_an_agents_own_error_stays_its_error(desk, town, new_address):
    address = new_address()
    town.answers["summary"] = failed(ErrorCode.MODEL_FAILED, "summarizer")
    body = await town.submit(address, Task(text=TEXT))
    await desk.store(address, body, "summary")

    await desk.ask(address)

    assert (await desk.result(address)).answers["summary"] == town.answers["summary"]


ANALYSED = Task(text=TEXT, wanted=("sentiment", "analysis"))


async def test_an_analysis_that_the_stored_summary_stands_in_for_is_there(desk, town, new_address):
    address = new_address()
    body = await town.submit(address, ANALYSED)
    await desk.store(address, body, "complexity", "summary")

    await desk.ask(address)

    answers = (await desk.result(address)).answers
    assert (answers["analysis"].value["text"], answers["analysis"].value["source"]) == (SUMMARY, "local_summary")
    assert list(answers) == ["sentiment", "analysis"]


async def test_an_analysis_that_was_paid_for_is_there(desk, town, new_address):
    address = new_address()
    town.answers["complexity"] = COMPLEX
    body = await town.submit(address, ANALYSED)
    await desk.store(address, body, "complexity", "analysis")

    await desk.ask(address)

    assert (await desk.result(address)).answers["analysis"] == ANSWERS["analysis"]


async def test_an_analysis_of_which_only_the_verdict_is_there_is_cancelled(desk, town, new_address):
    address = new_address()
    town.answers["complexity"] = COMPLEX
    body = await town.submit(address, ANALYSED)
    await desk.store(address, body, "complexity")

    await desk.ask(address)

    error = (await desk.result(address)).answers["analysis"].error
    assert (error.code, error.step) == (ErrorCode.CANCELLED, "escalation")


async def test_the_time_a_cancelled_task_took_counts_from_its_arrival(desk, town, new_address):
    address = new_address()
    await town.submit(address, Task(text=TEXT))
    town.bus.ahead_s = 7.0

    await desk.ask(address)

    assert (await desk.result(address)).took_ms == pytest.approx(7000, abs=1000)


async def test_of_two_texts_under_one_id_the_older_is_cancelled_and_the_younger_is_a_conflict(desk, town, new_address):
    address = new_address()
    older = await town.submit(address, Task(text="The older."), Lane.BULK)
    younger = await town.submit(address, Task(text="The younger."), Lane.INTERACTIVE)

    assert (await desk.ask(address)).status is Status.CANCELLED
    await town.orchestrate()
    await town.settled(address)

    assert (await town.done(address)).digest == digest_of(older)
    assert [(body, code) for _, body, code in town.dead()] == [(younger, ErrorCode.ID_CONFLICT)]
