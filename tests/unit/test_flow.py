"""The flow: a plan driven over the bus, with agents that say what they were told to."""

import asyncio

import pytest

from smallmesh_contracts import (
    Answer,
    ContractError,
    DataClass,
    ErrorCode,
    EscalationStep,
    Evidence,
    Lane,
    Status,
    Step,
    StepResult,
    Task,
    decode,
    digest_of,
    subjects,
)
from smallmesh_orchestrator import flow
from tests.support.patience import until
from tests.support.town import ANSWERS, COMPLEX, SUMMARY, TEXT, Town, failed

ANALYSED = Task(text=TEXT, wanted=("sentiment", "analysis"), instruction="Who is liable?")


@pytest.fixture
async def town():
    built = Town()
    yield built
    await built.close()


async def test_a_whole_task_has_every_answer_that_was_wanted_and_no_other(town, new_address):
    await town.hire()
    address, task = new_address(), Task(text=TEXT, wanted=("summary", "sentiment"), metadata={"ticket": 7})

    result = await (await town.flow()).run(town.job(address, task))

    assert result.status is Status.COMPLETED
    assert list(result.answers) == ["summary", "sentiment"]
    assert result.answers["summary"] == ANSWERS["summary"]
    assert (result.task_id, result.tenant, result.data_class) == (address.task_id, address.tenant, address.data_class)
    assert (result.metadata, result.digest) == ({"ticket": 7}, digest_of(task.to_bytes()))
    assert town.bus.steps() == ["sentiment", "summarizer"]


async def test_local_steps_are_all_published_before_any_is_answered(town, new_address):
    running = asyncio.create_task((await town.flow()).run(town.job(new_address(), Task(text=TEXT))))

    await until(lambda: len(town.bus.steps()) == 4, "four steps")

    assert not running.done()
    await town.hire()
    assert (await running).status is Status.COMPLETED


async def test_a_step_carries_the_input_the_digest_and_what_is_left_of_the_budget(town, new_address):
    address, task = new_address(), Task(text=TEXT, instruction="Be brief.", wanted=("sentiment",), timeout_s=20.0)
    job = town.job(address, task, lane=Lane.BULK)
    town.bus.ahead_s = 5.0  # it has waited for five seconds
    running = asyncio.create_task((await town.flow()).run(job))
    subject = subjects.work("sentiment", Lane.BULK, address)

    message = await until(lambda: town.bus.read(subject), "the step")

    step = decode(Step, message.body)
    assert (step.request.text, step.request.instruction, step.digest) == (TEXT, "Be brief.", job.digest)
    assert step.timeout_s == pytest.approx(15.0, abs=1.0)
    running.cancel()


async def test_a_step_that_failed_makes_the_task_partial_and_keeps_its_error(town, new_address):
    await town.hire()
    town.answers["entities"] = failed(ErrorCode.MODEL_FAILED, "ner")

    result = await (await town.flow()).run(town.job(new_address(), Task(text=TEXT)))

    assert result.status is Status.PARTIAL
    assert result.answers["entities"].error.code is ErrorCode.MODEL_FAILED
    assert result.answers["sentiment"].error is None


async def test_agents_that_do_not_answer_in_time_are_expired_each_by_name(town, new_address):
    result = await (await town.flow()).run(town.job(new_address(), Task(text=TEXT, timeout_s=0.05)))

    assert result.status is Status.EXPIRED
    assert {a.error.step for a in result.answers.values()} == {"sentiment", "ner", "summarizer", "complexity_router"}
    assert {a.error.code for a in result.answers.values()} == {ErrorCode.EXPIRED}


async def test_one_agent_too_late_leaves_the_others_answers(town, new_address):
    await town.hire("sentiment")

    result = await (await town.flow()).run(town.job(new_address(), Task(text=TEXT, wanted=("sentiment", "entities"), timeout_s=0.2)))

    assert result.status is Status.PARTIAL
    assert result.answers["entities"].error.code is ErrorCode.EXPIRED


async def test_a_budget_that_is_used_up_on_arrival_publishes_nothing(town, new_address):
    job = town.job(new_address(), Task(text=TEXT))
    town.bus.ahead_s = 3600.0

    result = await (await town.flow()).run(job)

    assert result.status is Status.EXPIRED
    assert town.bus.tried == []


async def test_an_answer_that_nobody_gives_is_said_so_with_what_there_is(town, new_address):
    with pytest.raises(ContractError) as refused:
        await (await town.flow()).run(town.job(new_address(), Task(text=TEXT, wanted=("sentiment", "mood"))))

    assert refused.value.info.code is ErrorCode.UNKNOWN_ANSWER
    assert "mood" in refused.value.info.message
    assert "summary" in refused.value.info.message
    assert town.bus.tried == []


async def test_a_step_that_finds_no_room_is_held_until_there_is_some(town, new_address):
    await town.hire()
    town.bus.full.add("SLM_WORK")
    running = asyncio.create_task((await town.flow()).run(town.job(new_address(), Task(text=TEXT))))

    await until(lambda: len(town.bus.tried) >= 3, "more than one try")
    assert town.bus.took == []
    town.bus.full.clear()

    assert (await running).status is Status.COMPLETED


async def test_a_step_that_finds_no_room_in_its_time_is_expired_and_says_why(town, new_address):
    town.bus.full.add("SLM_WORK")

    result = await (await town.flow()).run(town.job(new_address(), Task(text=TEXT, timeout_s=0.1)))

    assert result.status is Status.EXPIRED
    assert {a.error.step for a in result.answers.values()} == {"sentiment", "ner", "summarizer", "complexity_router"}
    assert "SLM_WORK is full" in result.answers["sentiment"].error.message


async def test_a_step_that_had_to_wait_for_room_has_only_the_time_that_is_left(town, new_address, monkeypatch):
    monkeypatch.setattr(flow, "STALE_S", 0.0)
    address, task = new_address(), Task(text=TEXT, wanted=("sentiment",), timeout_s=20.0)
    town.bus.full.add("SLM_WORK")
    running = asyncio.create_task((await town.flow()).run(town.job(address, task)))
    await until(lambda: town.bus.tried, "a first try")

    town.bus.ahead_s = 5.0
    town.bus.full.clear()
    message = await until(lambda: town.bus.read(subjects.work("sentiment", Lane.INTERACTIVE, address)), "the step")

    assert decode(Step, message.body).timeout_s == pytest.approx(15.0, abs=1.0)
    running.cancel()


async def test_a_step_that_may_not_be_published_is_an_error_of_its_own_answer_only(town, new_address, monkeypatch):
    await town.hire()
    store = town.bus.store

    async def denied(subject, *rest, **named):
        if ".work.ner." in subject:
            raise ContractError(ErrorCode.UNAUTHORIZED, "not permitted")
        return await store(subject, *rest, **named)

    monkeypatch.setattr(town.bus, "store", denied)

    result = await (await town.flow()).run(town.job(new_address(), Task(text=TEXT)))

    assert result.status is Status.PARTIAL
    assert (result.answers["entities"].error.code, result.answers["entities"].error.step) == (ErrorCode.UNAUTHORIZED, "ner")
    assert result.answers["sentiment"].error is None


async def test_a_task_seen_before_reads_what_is_stored_and_publishes_only_what_is_missing(town, new_address):
    address, task = new_address(), Task(text=TEXT)
    job = town.job(address, task, seen_before=True)
    stored = StepResult(digest=job.digest, answer=Answer(value={"label": "from before"}))
    await town.bus.store(subjects.result(address, "sentiment", "sentiment"), stored.to_bytes())
    await town.hire()

    result = await (await town.flow()).run(job)

    assert result.answers["sentiment"].value == {"label": "from before"}
    assert town.bus.steps() == ["complexity_router", "ner", "summarizer"]


async def test_a_step_that_still_waits_is_not_published_twice(town, new_address):
    address, task = new_address(), Task(text=TEXT, wanted=("sentiment",))
    job = town.job(address, task, seen_before=True)
    first = asyncio.create_task((await town.flow()).run(job))
    second = asyncio.create_task((await town.flow()).run(job))
    await until(lambda: len([s for s in town.bus.tried if ".work." in s]) == 2, "both replicas' steps")
    await town.hire()

    assert (await first).answers == (await second).answers
    assert town.worked == ["sentiment"]


async def test_a_stored_result_about_another_text_is_never_used(town, new_address):
    address, task = new_address(), Task(text=TEXT, wanted=("sentiment",))
    await town.bus.store(
        subjects.result(address, "sentiment", "sentiment"), StepResult(digest="0" * 64, answer=ANSWERS["sentiment"]).to_bytes()
    )

    result = await (await town.flow()).run(town.job(address, task, seen_before=True))

    assert result.answers["sentiment"].value is None
    assert result.answers["sentiment"].error.code is ErrorCode.ID_CONFLICT


async def test_a_replay_says_in_its_result_what_it_repeats(town, new_address):
    await town.hire()

    result = await (await town.flow()).run(town.job(new_address(), Task(text=TEXT, replay_of="first")))

    assert result.replay_of == "first"


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"digest": 1}'])
async def test_a_stored_result_that_is_none_is_invalid_output(town, new_address, body):
    address = new_address()
    await town.bus.store(subjects.result(address, "sentiment", "sentiment"), body)

    result = await (await town.flow()).run(town.job(address, Task(text=TEXT, wanted=("sentiment",)), seen_before=True))

    assert result.answers["sentiment"].error.code is ErrorCode.INVALID_OUTPUT


async def test_the_local_summary_stands_in_for_the_analysis_of_a_simple_request(town, new_address):
    await town.hire()

    result = await (await town.flow()).run(town.job(new_address(DataClass.PUBLIC), ANALYSED))

    assert result.status is Status.COMPLETED
    assert result.answers["analysis"].value["text"] == SUMMARY
    assert result.answers["analysis"].value["source"] == "local_summary"
    assert list(result.answers) == ["sentiment", "analysis"]
    assert "escalation" not in town.bus.steps()


async def test_a_wanted_summary_is_had_once_and_stands_in_too(town, new_address):
    await town.hire()

    result = await (await town.flow()).run(town.job(new_address(), Task(text=TEXT, wanted=("summary", "analysis"))))

    assert result.answers["analysis"].value["text"] == result.answers["summary"].value["summary"]
    assert town.bus.steps() == ["complexity_router", "summarizer"]


@pytest.mark.parametrize("data_class", [DataClass.PUBLIC, DataClass.INTERNAL])
async def test_a_complex_request_is_escalated_with_its_evidence(town, new_address, data_class):
    await town.hire("sentiment", "complexity")
    town.answers["complexity"] = COMPLEX
    address = new_address(data_class)
    job = town.job(address, ANALYSED)
    running = asyncio.create_task((await town.flow()).run(job))

    message = await until(lambda: town.bus.read(subjects.escalate(Lane.INTERACTIVE, address, "analysis")), "an escalation")
    await town.hire("analysis")
    result = await running

    step = decode(EscalationStep, message.body)
    assert step.evidence == Evidence(agent="complexity_router", answer="complexity")
    assert (step.digest, step.request.text, step.request.instruction) == (job.digest, TEXT, "Who is liable?")
    assert result.answers["analysis"].value["source"] == "frontier"
    assert result.status is Status.COMPLETED


async def test_a_complex_restricted_request_is_forbidden_and_nothing_is_ever_published_to_escalation(town, new_address):
    await town.hire()
    town.answers["complexity"] = COMPLEX

    result = await (await town.flow()).run(town.job(new_address(DataClass.RESTRICTED), ANALYSED))

    assert result.status is Status.PARTIAL
    assert result.answers["analysis"].error.code is ErrorCode.CLASS_FORBIDDEN
    assert result.answers["sentiment"].error is None
    assert not any("escalate" in subject for subject in town.bus.tried)


async def test_an_unavailable_frontier_leaves_the_local_answers(town, new_address):
    await town.hire()
    town.answers |= {"complexity": COMPLEX, "analysis": failed(ErrorCode.UNAVAILABLE, "escalation")}

    result = await (await town.flow()).run(town.job(new_address(DataClass.PUBLIC), ANALYSED))

    assert result.status is Status.PARTIAL
    assert result.answers["analysis"].error.code is ErrorCode.UNAVAILABLE
    assert result.answers["sentiment"] == ANSWERS["sentiment"]


async def test_no_verdict_means_no_escalation(town, new_address):
    await town.hire()
    town.answers["complexity"] = failed(ErrorCode.MODEL_FAILED, "complexity_router")

    result = await (await town.flow()).run(town.job(new_address(DataClass.PUBLIC), ANALYSED))

    assert result.answers["analysis"].error.step == "complexity_router"
    assert "escalation" not in town.bus.steps()
