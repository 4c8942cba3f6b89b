"""Whole tasks through the real mesh: every shipped agent with its own model, a real broker, every process on its own."""

import json

import pytest
from nats.js.errors import NoStreamResponseError

from smallmesh.bus.layout import ESCALATE
from smallmesh_contracts import (
    DEFAULT_WANTED,
    AnalysisResult,
    ComplexityResult,
    DataClass,
    EntitiesResult,
    ErrorCode,
    Lane,
    SentimentResult,
    Status,
    StepInput,
    SummaryResult,
    Task,
    digest_of,
    subjects,
)
from tests.support.client import new_address, new_trace, trace_of
from tests.support.meshes import SERVICES, log_of, records
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

TEXT = "Contoso opened an office in Lisbon on Monday. Anna Weber is thrilled with the new team. The rent is lower than in Paris."
RESULTS = {"sentiment": SentimentResult, "entities": EntitiesResult, "summary": SummaryResult, "complexity": ComplexityResult}
DEMO = [json.loads(line) for line in (SERVICES.parent / "scripts" / "demo_documents.jsonl").read_text(encoding="utf-8").splitlines()]
REQUESTS = [StepInput(text=d["text"], instruction=d["instruction"]) for d in DEMO if d.get("instruction")]
"""The demo's requests for an analysis, of all degrees of difficulty."""
ANALYSIS = (*DEFAULT_WANTED, "analysis")
CLOCK_ERROR_MS = 5.0
"""A task's time counts by the broker's clock, which is known to half a round trip; an agent's work by its own."""


async def first_request(client, *, marked: bool) -> StepInput:
    """Return the first of the demo's requests that the router marks complex, or does not."""
    for request in REQUESTS:
        answer, _ = await client.ask("complexity_router", request.to_bytes())
        if answer.marked is marked:
            return request
    raise AssertionError(f"the router gives all {len(REQUESTS)} requests the same verdict")


def assert_answered(answers):
    assert tuple(answers) == DEFAULT_WANTED
    for name, answer in answers.items():
        assert answer.error is None, name
        assert type(answer.value_as(RESULTS[name])) is RESULTS[name]
        assert answer.provenance.sha256


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("data_class", DataClass)
async def test_a_submitted_task_gets_its_four_default_answers(customer, data_class, lane):
    address, task = new_address(data_class), Task(text=TEXT, metadata={"ticket": 4711, "tags": ["a", {"b": None}]})

    done = await customer.whole(address, task, lane)

    assert_answered(done.answers)
    assert (done.status, done.error) == (Status.COMPLETED, None)
    assert (done.task_id, done.tenant, done.data_class) == (address.task_id, address.tenant, data_class)
    assert (done.metadata, done.digest) == (task.metadata, digest_of(task.to_bytes()))
    assert done.took_ms > max(answer.provenance.worked_ms for answer in done.answers.values()) - CLOCK_ERROR_MS


async def test_the_models_understand_the_text(customer):
    done = await customer.whole(new_address(), Task(text=TEXT))

    entities = done.answers["entities"].value_as(EntitiesResult).entities
    assert done.answers["sentiment"].value_as(SentimentResult).label == "positive"
    assert ("Lisbon", "LOCATION") in {(found.text, found.type) for found in entities}
    assert all(found.text == TEXT[found.start : found.end] for found in entities)
    assert done.answers["summary"].value_as(SummaryResult).summary in TEXT


@pytest.mark.parametrize("data_class", DataClass)
async def test_a_run_gives_the_same_answers_and_leaves_nothing_behind(customer, data_class):
    task, tenant = Task(text=TEXT), new_address().tenant
    done = await customer.whole(new_address(data_class), task)

    ran = await customer.run(task, data_class, tenant)

    assert_answered(ran.answers)
    assert {name: a.value for name, a in ran.answers.items()} == {name: a.value for name, a in done.answers.items()}
    assert await customer.kept("SLM_DONE", subjects.any_done(data_class, tenant)) == []
    assert await customer.kept("SLM_RESULTS", f"slm.v1.result.{tenant}.>") == []


async def test_only_what_is_wanted_is_answered(customer, real):
    address = new_address()

    done = await customer.whole(address, Task(text=TEXT, wanted=("summary",)))

    assert tuple(done.answers) == ("summary",)
    assert records(real, "sentiment", "model_call", task_id=address.task_id) == []


async def test_a_request_that_is_not_complex_is_analysed_by_the_local_summary_and_says_so(customer):
    request, before = await first_request(customer, marked=False), await customer.ever_stored(ESCALATE.name)
    task = Task(text=request.text, instruction=request.instruction, wanted=ANALYSIS)

    for result in (await customer.whole(new_address(), task), await customer.run(task)):
        analysis = result.answers["analysis"].value_as(AnalysisResult)
        summary = result.answers["summary"].value_as(SummaryResult)
        assert result.status is Status.COMPLETED
        assert (analysis.source, analysis.text) == ("local_summary", summary.summary)

    assert await customer.ever_stored(ESCALATE.name) == before


async def test_without_a_key_a_complex_request_ends_as_unavailable_beside_its_local_answers(customer):
    request = await first_request(customer, marked=True)
    task = Task(text=request.text, instruction=request.instruction, wanted=ANALYSIS)

    for result in (await customer.whole(new_address(), task), await customer.run(task)):
        analysis = result.answers.pop("analysis")
        assert result.status is Status.PARTIAL
        assert (analysis.value, analysis.error.code, analysis.error.step) == (None, ErrorCode.UNAVAILABLE, "escalation")
        assert "ANTHROPIC_API_KEY" in analysis.error.message
        assert_answered(result.answers)


async def test_restricted_text_is_never_escalated_however_complex(customer):
    request, before = await first_request(customer, marked=True), await customer.ever_stored(ESCALATE.name)
    task = Task(text=request.text, instruction=request.instruction, wanted=ANALYSIS)
    seen = []
    watch = await customer.bus.watch("slm.v1.escalate.>", seen.append)
    address = new_address(DataClass.RESTRICTED)

    for result in (await customer.whole(address, task), await customer.run(task, DataClass.RESTRICTED)):
        analysis = result.answers.pop("analysis")
        assert result.status is Status.PARTIAL
        assert (analysis.value, analysis.error.code) == (None, ErrorCode.CLASS_FORBIDDEN)
        assert_answered(result.answers)

    await watch.stop()
    assert seen == [], "not even tried"
    assert await customer.ever_stored(ESCALATE.name) == before
    assert (await customer.result(address, "complexity_router", "complexity"))[0].answer.marked


@pytest.mark.parametrize("lane", Lane)
async def test_the_broker_itself_refuses_an_escalation_of_restricted_text(customer, lane):
    with pytest.raises(NoStreamResponseError):
        await customer.js.publish(subjects.escalate(lane, new_address(DataClass.RESTRICTED), "analysis"), b"{}")


async def test_a_task_without_time_expires(customer):
    done = await customer.whole(new_address(), Task(text=TEXT, timeout_s=0.000_001))

    assert done.status is Status.EXPIRED
    assert {answer.error.code for answer in done.answers.values()} == {ErrorCode.EXPIRED}


async def test_one_trace_goes_from_the_client_to_the_terminal_result(customer, real):
    address, (trace_id, carried) = new_address(), new_trace()

    await customer.submit(address, Task(text=TEXT), carried=carried)

    done = await customer.stored(subjects.done(address))
    assert trace_of(done.headers) == trace_id
    (finished,) = await until(lambda: records(real, "orchestrator", "task_done", task_id=address.task_id), "the orchestrator's log")
    assert finished["trace_id"] == trace_id
    givers = {"sentiment": "sentiment", "ner": "entities", "summarizer": "summary", "complexity_router": "complexity"}
    for agent, answer in givers.items():
        (call,) = records(real, agent, "model_call", task_id=address.task_id)
        _, result = await customer.result(address, agent, answer)
        assert (call["trace_id"], trace_of(result.headers)) == (trace_id, trace_id)


async def test_no_word_of_a_task_stands_in_any_log(customer, real):
    secret, address = "quagga" + new_address().task_id, new_address()

    await customer.whole(address, Task(text=f"{secret} lives in Lisbon.", instruction=secret, metadata={"note": secret}, wanted=ANALYSIS))
    await customer.whole(new_address(), f'{{"text": "{secret}", "wanted": ["{secret}"], "version": 1}}'.encode())

    logs = {info.name: log_of(real, info.name) for info in real.processes if info.name != "broker"}
    assert any(address.task_id in log for log in logs.values())
    assert [name for name, log in logs.items() if secret in log] == []
