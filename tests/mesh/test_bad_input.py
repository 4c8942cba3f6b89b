"""What is not a task, through the whole mesh: a typed error to whoever asked, and nothing lost of what was submitted."""

import json

import pytest
from nats.js.errors import NoStreamResponseError

from smallmesh_contracts import Address, DataClass, ErrorCode, Lane, Status, Task, headers, limits, subjects
from tests.support.client import new_address
from tests.support.meshes import pids

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]


def body_of(**fields: object) -> bytes:
    return json.dumps({"text": "Hello from Lisbon.", **fields}).encode()


NO_RUN = "another id in the body"
"""A run's id is the orchestrator's own: one in its body says nothing."""
BAD = {
    "empty": (b"", ErrorCode.INVALID_REQUEST),
    "half a JSON": (b'{"text": "Hello', ErrorCode.INVALID_REQUEST),
    "invalid UTF-8": (b'{"text": "Hello \xff\xfe"}', ErrorCode.INVALID_REQUEST),
    "a lone surrogate": (b'{"text": "\\ud800"}', ErrorCode.INVALID_REQUEST),
    "a list": (b'["Hello"]', ErrorCode.INVALID_REQUEST),
    "a nest of 200,000": (b'{"text": "Hello", "metadata": ' + b"[" * 200_000, ErrorCode.INVALID_REQUEST),
    "not a number": (b'{"text": "Hello", "timeout_s": NaN}', ErrorCode.INVALID_REQUEST),
    "no text": (b"{}", ErrorCode.INVALID_REQUEST),
    "an empty text": (body_of(text=""), ErrorCode.INVALID_REQUEST),
    "a blank text": (body_of(text=" \n\t"), ErrorCode.INVALID_REQUEST),
    "a text of another type": (body_of(text=5), ErrorCode.INVALID_REQUEST),
    "wanted of another type": (body_of(wanted="summary"), ErrorCode.INVALID_REQUEST),
    "nothing wanted": (body_of(wanted=[]), ErrorCode.INVALID_REQUEST),
    "an unsafe answer": (body_of(wanted=["summary.>"]), ErrorCode.INVALID_REQUEST),
    "a budget of nothing": (body_of(timeout_s=0), ErrorCode.INVALID_REQUEST),
    "an unknown answer": (body_of(wanted=["summary", "horoscope"]), ErrorCode.UNKNOWN_ANSWER),
    "a text over the limit": (body_of(text="word " * (limits.KIB * 32 // 5 + 1)), ErrorCode.TOO_LONG),
    "a long instruction": (body_of(instruction="x" * 8193), ErrorCode.TOO_LONG),
    "much metadata": (body_of(metadata={"key": "x" * 8192}), ErrorCode.TOO_LONG),
    "another tenant in the body": (body_of(tenant="somebody-else"), ErrorCode.INVALID_REQUEST),
    "another class in the body": (body_of(data_class="restricted"), ErrorCode.INVALID_REQUEST),
    "another lane in the body": (body_of(lane="bulk"), ErrorCode.INVALID_REQUEST),
    NO_RUN: (body_of(id="another"), ErrorCode.INVALID_REQUEST),
    "an unknown major version": (body_of(version="2.0"), ErrorCode.UNSUPPORTED_VERSION),
}
UNSAFE = ["no!", "näh", "a/b", "x" * 65, "$SYS"]


async def assert_failed(client, address, body, code, lane=Lane.INTERACTIVE):
    """The task failed with this code, and is a dead letter with payload, reason and origin."""
    origin = subjects.submit(lane, address)
    done = await client.done(address)
    ((reason, letter),) = await client.dead_letters(origin)

    assert (done.status, done.error.code) == (Status.FAILED, code)
    assert {answer.error.code for answer in done.answers.values()} <= {code}
    assert (done.task_id, done.tenant, done.data_class) == (address.task_id, address.tenant, address.data_class)
    assert (letter.subject, letter.data or b"") == (subjects.dead(address.data_class, "orchestrator"), body)
    assert (reason.code, letter.headers[headers.DELIVERIES]) == (code, "1")


@pytest.mark.parametrize(("body", "code"), BAD.values(), ids=BAD.keys())
async def test_what_is_no_task_fails_and_is_a_dead_letter_and_no_process_dies(customer, real, body, code):
    address, before = new_address(DataClass.INTERNAL), pids(real)

    assert await customer.submit(address, body)

    await assert_failed(customer, address, body, code)
    await customer.idle()
    assert pids(real) == before


@pytest.mark.parametrize("name", [name for name in BAD if name != NO_RUN])
async def test_whoever_runs_it_gets_the_typed_error(customer, name):
    body, code = BAD[name]

    result = await customer.run(body, DataClass.INTERNAL)

    assert (result.status, result.error.code, result.answers) == (Status.FAILED, code, {})


@pytest.mark.parametrize("task_id", UNSAFE)
async def test_an_id_that_is_not_subject_safe_fails_under_that_id(customer, task_id):
    address = Address(new_address().tenant, DataClass.PUBLIC, task_id)

    assert await customer.submit(address, body_of())

    await assert_failed(customer, address, body_of(), ErrorCode.INVALID_REQUEST)


async def test_restricted_text_stays_restricted_as_a_dead_letter(customer):
    address = new_address(DataClass.RESTRICTED)

    assert await customer.submit(address, body_of(text=""), Lane.BULK)

    await assert_failed(customer, address, body_of(text=""), ErrorCode.INVALID_REQUEST, Lane.BULK)


@pytest.mark.parametrize(
    "subject",
    [
        "slm.v2.submit.interactive.tests.public.one",
        "slm.v1.submit.urgent.tests.public.one",
        "slm.v1.submit.interactive.tests.secret.one",
        "slm.v1.submit.interactive.tests.public",
    ],
)
async def test_a_subject_of_another_version_class_or_lane_is_refused_at_publish(customer, subject):
    with pytest.raises(NoStreamResponseError):
        await customer.js.publish(subject, body_of())


async def test_a_submission_repeated_afterwards_changes_nothing(customer):
    address = new_address()
    first = await customer.whole(address, Task(text="Hello from Lisbon.", wanted=("summary",)))
    stored = await customer.sequence(subjects.done(address))

    assert await customer.submit(address, b'{"wanted": ["summary"], "text":    "Hello from Lisbon."}')
    await customer.idle()

    assert await customer.done(address) == first
    assert await customer.sequence(subjects.done(address)) == stored


async def test_another_body_under_the_same_id_is_a_conflict_and_changes_nothing(customer):
    address, task = new_address(), Task(text="Hello from Lisbon.", wanted=("summary",))
    origin = subjects.submit(Lane.INTERACTIVE, address)
    first = await customer.whole(address, task)
    await customer.idle()
    stored, other = await customer.sequence(subjects.done(address)), Task(text="Hello from Faro.", wanted=("summary",))

    assert await customer.submit(address, other)
    await customer.idle()

    ((reason, letter),) = await customer.dead_letters(origin)
    assert (reason.code, letter.data) == (ErrorCode.ID_CONFLICT, other.to_bytes())
    assert await customer.done(address) == first
    assert await customer.sequence(subjects.done(address)) == stored


async def test_a_repetition_is_refused_while_the_first_is_in_the_mesh(backend, gate):
    address, task = new_address(), Task(text=f"Hello {gate.word}", wanted=("sentiment",))
    assert await backend.submit(address, task)

    again = [await backend.submit(address, task), await backend.submit(address, Task(text="Another."))]
    gate.open()

    done = await backend.done(address)
    assert again == [False, False]
    assert (done.status, gate.entered) == (Status.COMPLETED, 1)
