"""The durable door of every agent: one stored result a step, or a dead letter and an error."""

import asyncio

import pytest

from smallmesh.serving.steps import FRESH_S
from smallmesh_contracts import (
    Address,
    Answer,
    DataClass,
    ErrorCode,
    Lane,
    Status,
    Step,
    StepInput,
    StepResult,
    TaskResult,
    headers,
    subjects,
)
from tests.behaviour.conftest import GARBAGE, GATED_AGENT
from tests.support.client import DIGEST, new_address, new_trace, trace_of
from tests.support.meshes import records
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

TEXT = "Contoso opened an office in Lisbon on Monday. Anna Weber is thrilled with the new team. The rent is lower than in Paris."


def step_of(text: str) -> bytes:
    return Step(digest=DIGEST, timeout_s=60.0, request=StepInput(text=text)).to_bytes()


INVALID = {
    "half a JSON": (b'{"digest": "quagga', ErrorCode.INVALID_REQUEST),
    "invalid UTF-8": (step_of("quagga \x01").replace(b"\\u0001", b"\xff"), ErrorCode.INVALID_REQUEST),
    "an empty text": (step_of(" "), ErrorCode.INVALID_REQUEST),
    "a number for a text": (step_of("quagga").replace(b'"quagga"', b"5"), ErrorCode.INVALID_REQUEST),
    "no request": (b'{"digest": "quagga", "timeout_s": 60}', ErrorCode.INVALID_REQUEST),
    "a list": (b"[]", ErrorCode.INVALID_REQUEST),
    "a text over the limit": (step_of("quagga " * 5000), ErrorCode.TOO_LONG),
}


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("data_class", DataClass)
async def test_a_step_of_any_lane_and_class_is_answered_and_stored(agent, client, lane, data_class):
    address = new_address(data_class)

    await client.step(agent.agent.name, address, TEXT, lane=lane)

    result, _ = await client.result(address, agent.agent.name, agent.agent.answer)
    assert result.digest == DIGEST
    assert type(result.answer.value_as(agent.agent.result)) is agent.agent.result
    assert result.answer.provenance.answered_by == agent.agent.name
    assert await client.dead_letters(subjects.work(agent.agent.name, lane, address)) == []


async def test_both_doors_give_the_same_answer(agent, client):
    address = new_address()
    asked, _ = await client.ask(agent.agent.name, {"text": TEXT})

    await client.step(agent.agent.name, address, TEXT)

    result, _ = await client.result(address, agent.agent.name, agent.agent.answer)
    assert result.answer.value == asked.value
    assert result.answer.marked == asked.marked


@pytest.mark.parametrize(("body", "code"), INVALID.values(), ids=INVALID.keys())
async def test_an_invalid_step_is_a_dead_letter_and_an_error_at_the_first_try(agent, client, body, code):
    name, address = agent.agent.name, new_address(DataClass.INTERNAL)
    origin = subjects.work(name, Lane.INTERACTIVE, address)

    await client.step(name, address, body)

    result, _ = await client.result(address, name, agent.agent.answer)
    ((reason, letter),) = await client.dead_letters(origin)
    assert (result.answer.value, result.answer.error.code, result.answer.error.step) == (None, code, name)
    assert (letter.subject, letter.data) == (f"slm.v1.dead.internal.{name}", body)
    assert (reason.code, letter.headers[headers.DELIVERIES]) == (code, "1")
    assert "quagga" not in reason.message


async def test_the_same_step_twice_is_one_result(agent, client):
    name, address = agent.agent.name, new_address()
    subject = subjects.result(address, name, agent.agent.answer)
    announced = []
    watch = await client.bus.watch(subjects.stored(subject), announced.append)
    try:
        at_once = await asyncio.gather(*(client.step(name, address, TEXT) for _ in range(3)))
        await client.stored(subject)
        first = await client.sequence(subject)
        await client.step(name, address, TEXT)
        await client.idle()
    finally:
        await watch.stop()

    assert any(at_once)
    assert await client.sequence(subject) == first
    assert len(announced) == 1


async def test_a_step_whose_time_is_up_expires_without_inference(agent, client, mesh):
    name, address = agent.agent.name, new_address()

    await client.step(name, address, TEXT, timeout_s=0.000_001)

    result, _ = await client.result(address, name, agent.agent.answer)
    assert (result.answer.value, result.answer.error.code) == (None, ErrorCode.EXPIRED)
    assert records(mesh, name, "model_call", task_id=address.task_id) == []
    assert await client.dead_letters(subjects.work(name, Lane.INTERACTIVE, address)) == []


async def test_a_trace_goes_through_a_step_into_log_and_result(agent, client, mesh):
    name, address = agent.agent.name, new_address()
    trace_id, carried = new_trace()

    await client.step(name, address, TEXT, carried=carried)

    _, message = await client.result(address, name, agent.agent.answer)
    (call,) = records(mesh, name, "model_call", task_id=address.task_id)
    assert trace_of(message.headers) == trace_id
    assert (call["trace_id"], call["tenant"]) == (trace_id, address.tenant)


async def test_an_unsafe_id_still_gets_its_result(agent, client):
    address = Address("tests", DataClass.PUBLIC, f"{new_address().task_id}!é")

    await client.step(agent.agent.name, address, TEXT)

    result, _ = await client.result(address, agent.agent.name, agent.agent.answer)
    assert result.answer.error is None


@pytest.mark.parametrize("name", GARBAGE)
async def test_output_that_does_not_fit_its_type_is_a_dead_letter_and_never_a_result(client, name):
    address = new_address()

    await client.step(name, address, "anything")

    result, _ = await client.result(address, name, name)
    ((reason, _),) = await client.dead_letters(subjects.work(name, Lane.INTERACTIVE, address))
    assert (result.answer.value, result.answer.error.code) == (None, ErrorCode.INVALID_OUTPUT)
    assert reason.code is ErrorCode.INVALID_OUTPUT


async def test_a_step_that_waited_is_dropped_without_inference_if_its_task_is_over_or_it_is_answered(client, gates):
    first, second, third = gates(), gates(), gates()
    over, answered = new_address(), new_address()
    end = TaskResult(
        task_id=over.task_id, tenant=over.tenant, data_class=over.data_class, status=Status.CANCELLED, digest=DIGEST, took_ms=1.0
    )
    result = StepResult(digest=DIGEST, answer=Answer(value={"said": "before"}))
    await client.step(GATED_AGENT, new_address(), f"Hello {first.word}")
    await until(lambda: first.entered == 1, "the agent has something in hand")

    await client.step(GATED_AGENT, over, f"Hello {second.word}")
    await client.step(GATED_AGENT, answered, f"Hello {third.word}")
    await client.bus.store(subjects.done(over), end.to_bytes())
    await client.bus.store(subjects.result(answered, GATED_AGENT, GATED_AGENT), result.to_bytes())
    published = client.bus.now()
    await until(lambda: client.bus.now() - published > FRESH_S, "nobody can take the steps for fresh ones")
    first.open()
    await client.idle()

    assert (second.entered, third.entered) == (0, 0)
    assert await client.bus.read(subjects.result(over, GATED_AGENT, GATED_AGENT)) is None
    assert (await client.result(answered, GATED_AGENT, GATED_AGENT))[0] == result
