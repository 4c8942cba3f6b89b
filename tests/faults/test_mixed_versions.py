"""Replicas of two minor versions beside each other understand one another; another major version is refused, never guessed at."""

import asyncio
import json

import nats.errors
import pytest
import pytest_asyncio
from nats.js.errors import NoStreamResponseError

from smallmesh.bus.layout import RESULTS
from smallmesh_contracts import ErrorCode, Lane, Status, Task, TaskResult, decode, subjects
from tests.faults.hamlet import ECHO, TIRING, unharmed
from tests.faults.newer import CODE, FIELD, write_newer
from tests.support.client import new_address
from tests.support.serving import served

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.experiment(12)]

AT_ONCE = 8
MANY = 400
"""Tasks after which both versions should have met in each place: with two replicas each, 32 do."""


@pytest.fixture(scope="session")
def newer(tmp_path_factory):
    return write_newer(tmp_path_factory.mktemp("newer"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mixed(hamlet, newer):
    """The hamlet while its echo and its orchestrator each have a second replica, of a later minor version."""
    place = (hamlet.client, hamlet.url, hamlet.folder)
    async with served(*place, "agent", ECHO, path=str(newer)), served(*place, "orchestrator", path=str(newer)):
        yield hamlet


def of_a_later_client(**fields: object) -> bytes:
    return json.dumps({"text": "Hello from Lisbon.", "wanted": [ECHO], "version": "1.9", FIELD: "new", **fields}).encode()


async def test_two_minor_versions_in_every_place_serve_every_task_run_and_ask(mixed, outcome):
    pairs = set()
    while len(pairs) < 4 and outcome.trials < MANY:
        pairs |= set(await asyncio.gather(*(one_task(mixed, lane) for lane in Lane for _ in range(AT_ONCE // 2))))
        for body in (of_a_later_client(), Task(text="Hello", wanted=(ECHO,)).to_bytes()):
            assert (await mixed.client.run(body)).status is Status.COMPLETED
            assert (await mixed.client.ask(ECHO, body))[0].value["said"] == "HELLO"
        outcome.trials += AT_ONCE

    outcome.note(later_orchestrator_and_agent=sorted(pairs))
    assert pairs == {(orchestrator, agent) for orchestrator in (False, True) for agent in (False, True)}


async def one_task(mixed, lane: Lane) -> tuple[bool, bool]:
    """See a task of a later client through; return whether its orchestrator and its agent were of the later version."""
    address = new_address()
    assert await mixed.client.submit(address, of_a_later_client(), lane)
    done, (_, step) = await mixed.client.stored(subjects.done(address)), await mixed.client.result(address, ECHO, ECHO)
    result = decode(TaskResult, done.body)
    assert result.status is Status.COMPLETED, result
    assert result.answers[ECHO].value["said"] == "HELLO"
    return FIELD in json.loads(done.body), FIELD in json.loads(step.body)


async def test_an_error_code_of_a_later_version_is_an_internal_error_to_an_earlier_one(mixed):
    codes = set()
    while len(codes) < 3:  # invalid_request of the earlier agent; of the later one internal by the earlier orchestrator, weary by its own
        address = new_address()
        assert await mixed.client.submit(address, of_a_later_client(text=f"Hello {TIRING}"))
        done = await mixed.client.stored(subjects.done(address))
        raw, read = json.loads(done.body)["answers"][ECHO]["error"], decode(TaskResult, done.body)
        codes.add(raw["code"])

        assert read.status is Status.FAILED
        assert read.answers[ECHO].error.code in {ErrorCode.INTERNAL, ErrorCode.INVALID_REQUEST}
        assert raw["message"] == "I am weary"

    assert codes == {CODE, "internal", "invalid_request"}


async def test_a_status_of_a_later_version_is_another_one_to_an_earlier_client(mixed):
    address = new_address()
    result = {"task_id": address.task_id, "tenant": address.tenant, "data_class": "public", "digest": "0", "took_ms": 1.0}
    later = {**result, "status": "postponed", "version": "1.9", FIELD: 5, "error": {"code": CODE, "message": "Later", FIELD: 5}}
    await mixed.client.bus.store(subjects.done(address), json.dumps(later).encode())

    done = await mixed.client.done(address)

    assert (done.status, done.error.code) == (Status.OTHER, ErrorCode.INTERNAL)


@pytest.mark.parametrize("version", ["2.0", "2", "0.9", "17.4"])
async def test_another_major_version_in_a_body_is_a_dead_letter_and_no_agent_sees_it(mixed, version):
    address = new_address()
    body = of_a_later_client(version=version)

    async with unharmed(mixed):
        assert await mixed.client.submit(address, body)
        done = await mixed.client.done(address)
        letter = await mixed.letter(subjects.submit(Lane.INTERACTIVE, address))
        ran = await mixed.client.run(body)

    assert (done.status, done.error.code, done.answers) == (Status.FAILED, ErrorCode.UNSUPPORTED_VERSION, {})
    assert (letter.payload, letter.reason.code, letter.deliveries) == (body, ErrorCode.UNSUPPORTED_VERSION, 1)
    assert ran.error.code is ErrorCode.UNSUPPORTED_VERSION
    assert await mixed.client.kept(RESULTS.name, subjects.results_of(address)) == []


@pytest.mark.parametrize("kind", ["submit.interactive.tests.public.one", f"work.{ECHO}.bulk.tests.public.one", "done.tests.public.one"])
async def test_another_major_version_in_a_subject_is_refused_at_publish(mixed, kind):
    with pytest.raises(NoStreamResponseError):
        await mixed.client.js.publish(f"slm.v2.{kind}", of_a_later_client())


@pytest.mark.parametrize("kind", [f"ask.{ECHO}", "run.tests.public", "cancel.tests.public"])
async def test_nobody_answers_another_major_version(mixed, kind):
    with pytest.raises(nats.errors.NoRespondersError):
        await mixed.client.bus.client.request(f"slm.v2.{kind}", of_a_later_client(), timeout=5.0)
