"""Runs: a whole task while its caller waits, by asks, with nothing stored that need not be."""

import asyncio
import json

import pytest

from smallmesh.bus import Endpoint, Reply, ServiceSpec
from smallmesh_contracts import ContractError, DataClass, ErrorCode, Lane, Status, Task, TaskResult, decode, digest_of, limits, subjects
from smallmesh_orchestrator import runs
from smallmesh_orchestrator.runs import Runs
from tests.support.patience import until
from tests.support.town import AGENTS, ANSWERS, COMPLEX, SUMMARY, TEXT, Town, failed

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
SERVED = (DataClass.PUBLIC, DataClass.RESTRICTED)


class Door:
    """A town whose agents answer asks, with an orchestrator that answers runs."""

    def __init__(self, town):
        self.town = town
        self.calls = []
        self.silent = set()

    async def open(self, *absent):
        door = Runs(self.town.bus, await self.town.flow())
        await self.town.bus.serve(door.service(SERVED, "1.0.0"))
        for name, answer in AGENTS.items():
            if answer not in absent:
                endpoint = Endpoint("ask", subjects.ask(name), self._asked(answer))
                await self.town.bus.serve(ServiceSpec(name, "1.0.0", name, endpoints=(endpoint,)))

    def _asked(self, answer):
        async def reply(call):
            self.calls.append((answer, call))
            if answer in self.silent:
                await asyncio.Event().wait()
            given = self.town.answers[answer]
            return Reply(given.to_bytes(), given.error.code.value if given.error else None)

        return reply

    async def run(self, body, data_class=DataClass.PUBLIC, carried=None):
        sent = body if isinstance(body, bytes) else body.to_bytes()
        reply = await self.town.bus.request(subjects.run("acme", data_class), sent, carried, timeout_s=10.0)
        return decode(TaskResult, reply.body), reply


@pytest.fixture
async def door():
    town = Town()
    yield Door(town)
    await town.close()


async def test_a_run_asks_each_agent_and_stores_nothing(door):
    await door.open()
    task = Task(text=TEXT, instruction="Be brief.", metadata={"n": 1})

    result, reply = await door.run(task)

    assert result.status is Status.COMPLETED
    assert result.answers == {a: ANSWERS[a] for a in ("sentiment", "entities", "summary", "complexity")}
    assert (result.tenant, result.data_class, result.metadata) == ("acme", DataClass.PUBLIC, {"n": 1})
    assert result.digest == digest_of(task.to_bytes())
    assert [json.loads(call.body) for _, call in door.calls] == [{"text": TEXT, "instruction": "Be brief."}] * 4
    assert (door.town.bus.tried, door.town.bus.log) == ([], {})
    assert "Nats-Service-Error-Code" not in reply.headers


async def test_two_runs_of_one_body_are_two_tasks(door):
    await door.open()

    (first, _), (second, _) = await asyncio.gather(door.run(Task(text=TEXT)), door.run(Task(text=TEXT)))

    assert first.task_id != second.task_id


async def test_an_agent_that_is_not_there_makes_a_run_partial(door):
    await door.open("entities")

    result, _ = await door.run(Task(text=TEXT))

    error = result.answers["entities"].error
    assert result.status is Status.PARTIAL
    assert (error.code, error.step, error.retryable) == (ErrorCode.UNAVAILABLE, "ner", True)


async def test_an_agents_own_error_is_the_answers_error(door):
    await door.open()
    door.town.answers["summary"] = failed(ErrorCode.INVALID_OUTPUT, "summarizer")

    result, _ = await door.run(Task(text=TEXT))

    assert (result.status, result.answers["summary"].error.code) == (Status.PARTIAL, ErrorCode.INVALID_OUTPUT)


async def test_an_agent_that_does_not_answer_in_time_is_expired(door):
    await door.open()
    door.silent.add("sentiment")

    result, _ = await door.run(Task(text=TEXT, wanted=("sentiment", "summary"), timeout_s=0.1))

    assert (result.status, result.answers["sentiment"].error.code) == (Status.PARTIAL, ErrorCode.EXPIRED)
    assert result.answers["summary"].error is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", ErrorCode.INVALID_REQUEST),
        (b"\xff", ErrorCode.INVALID_REQUEST),
        (b'{"text": ""}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "a", "tenant": "another"}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "a", "wanted": ["mood"]}', ErrorCode.UNKNOWN_ANSWER),
        (b'{"text": "a", "version": "9.0"}', ErrorCode.UNSUPPORTED_VERSION),
        (json.dumps({"text": "a" * (limits.TEXT_BYTES[Lane.INTERACTIVE] + 1)}).encode(), ErrorCode.TOO_LONG),
    ],
)
async def test_what_cannot_be_run_is_told_to_the_caller_and_is_no_dead_letter(door, body, code):
    await door.open()

    result, reply = await door.run(body)

    assert (result.status, result.error.code) == (Status.FAILED, code)
    assert reply.headers["Nats-Service-Error-Code"] == code.value
    assert (door.calls, door.town.bus.log) == ([], {})


async def test_a_defect_of_our_own_is_told_to_the_caller_without_the_text(door, monkeypatch):
    await door.open()

    def break_down(_self, task):
        raise RuntimeError(task.text)

    monkeypatch.setattr(type(door.town.planner), "first", break_down)

    result, reply = await door.run(Task(text=TEXT))

    assert result.status is Status.FAILED
    assert TEXT.encode() not in reply.body


async def test_a_class_that_is_not_served_is_unavailable(door):
    await door.open()

    with pytest.raises(ContractError) as refused:
        await door.run(Task(text=TEXT), DataClass.INTERNAL)

    assert refused.value.info.code is ErrorCode.UNAVAILABLE


async def test_the_verdict_of_a_run_that_wants_an_analysis_goes_through_the_durable_door(door):
    await door.open("complexity")
    await door.town.hire("complexity")

    result, _ = await door.run(Task(text=TEXT, wanted=("sentiment", "analysis")))

    assert (result.answers["analysis"].value["text"], result.status) == (SUMMARY, Status.COMPLETED)
    assert door.town.bus.steps() == ["complexity_router"]
    assert sorted(answer for answer, _ in door.calls) == ["sentiment", "summary"]


async def test_a_complex_run_is_escalated_on_stored_evidence(door):
    await door.open()
    await door.town.hire("complexity", "analysis")
    door.town.answers["complexity"] = COMPLEX

    result, _ = await door.run(Task(text=TEXT, wanted=("sentiment", "analysis")))

    assert result.answers["analysis"].value["source"] == "frontier"
    assert door.town.bus.steps() == ["complexity_router", "escalation"]
    stored = [s for s in door.town.bus.took if s.endswith(".complexity_router.complexity")]
    assert [result.task_id in s for s in stored] == [True]


async def test_a_complex_restricted_run_never_publishes_to_escalation(door):
    await door.open()
    await door.town.hire("complexity", "analysis")
    door.town.answers["complexity"] = COMPLEX

    result, _ = await door.run(Task(text=TEXT, wanted=("sentiment", "analysis")), DataClass.RESTRICTED)

    assert (result.status, result.answers["analysis"].error.code) == (Status.PARTIAL, ErrorCode.CLASS_FORBIDDEN)
    assert not any("escalate" in subject for subject in door.town.bus.tried)


async def test_the_callers_trace_goes_on_in_every_ask(door):
    await door.open()

    await door.run(Task(text=TEXT), carried=TRACE)

    assert {call.headers["traceparent"].split("-")[1] for _, call in door.calls} == {TRACE_ID}


async def test_the_orchestrator_says_which_classes_it_runs(door):
    await door.open()

    (found,) = [s for s in await door.town.bus.services(0.1) if s.name == "orchestrator"]

    assert found.metadata["classes"] == "public,restricted"
    assert found.subjects == tuple(subjects.any_run(c) for c in SERVED)


async def test_a_run_beyond_those_in_hand_gets_a_failed_result_that_says_to_come_back_later(door, monkeypatch):
    monkeypatch.setattr(runs, "RUN_SLOTS", 1)
    door.silent.add("summary")
    await door.open()
    first = asyncio.create_task(door.run(Task(text=TEXT, wanted=("summary",))))
    await until(lambda: door.calls, "the first run is in hand")

    result, _ = await door.run(Task(text=TEXT))

    first.cancel()
    assert (result.status, result.error.code, result.error.retryable) == (Status.FAILED, ErrorCode.OVERLOADED, True)
    assert (result.tenant, result.data_class, result.answers) == ("acme", DataClass.PUBLIC, {})
