"""Escalation through the whole mesh, with a frontier that is labelled FAKE: called for what is proven to be complex only."""

import json
import os
import uuid

import pytest
import pytest_asyncio

from smallmesh.bus.layout import AUDIT
from smallmesh.supervise import Mesh
from smallmesh.testing.fake_frontier import LABEL, MODEL_ID, FakeFrontier
from smallmesh_contracts import (
    AnalysisResult,
    DataClass,
    ErrorCode,
    EscalationStep,
    Evidence,
    Lane,
    Status,
    StepInput,
    Task,
    digest_of,
    subjects,
)
from tests.support.client import DIGEST, Client, new_address
from tests.support.meshes import log_of
from tests.support.rules import HARD

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

KEY = f"sk-fake-{uuid.uuid4().hex}"
WANTED = ("summary", "analysis")
ROUTER = Evidence(agent="complexity_router", answer="complexity")
AGENTS = ("complexity_router", "summarizer", "escalation")


@pytest.fixture(scope="module")
def frontier():
    with FakeFrontier() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mesh(town_folder, frontier):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ANTHROPIC_API_KEY", KEY)
        async with Mesh.start(agent_path=[town_folder], agents=AGENTS, frontier_base_url=frontier.url) as mesh:
            await mesh.ready(120)
            yield mesh
    assert KEY not in os.environ.values()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(mesh):
    async with Client.connected(mesh.url) as client:
        yield client


def hard(**fields) -> Task:
    return Task(text=f"{HARD}: the clauses {uuid.uuid4().hex} conflict.", wanted=WANTED, **fields)


async def audit(client, address) -> list[dict]:
    entries = [json.loads(entry.data) for entry in await client.kept(AUDIT.name, AUDIT.subjects[0])]
    return [entry for entry in entries if entry["address"] == str(address)]


async def escalated_by_hand(client, address, *, digest=DIGEST, evidence=ROUTER):
    """Publish an escalation as no orchestrator would; return its answer."""
    step = EscalationStep(digest=digest, timeout_s=60.0, request=StepInput(text=f"{HARD} and unmarked"), evidence=evidence)
    assert await client.bus.store(subjects.escalate(Lane.INTERACTIVE, address, "analysis"), step.to_bytes())
    return (await client.result(address, "escalation", "analysis"))[0].answer


@pytest.mark.parametrize("data_class", [DataClass.PUBLIC, DataClass.INTERNAL])
@pytest.mark.parametrize("lane", Lane)
async def test_a_complex_request_is_analysed_by_the_frontier_and_every_decision_is_on_record(client, frontier, data_class, lane):
    address, task, before = new_address(data_class), hard(instruction="Weigh them."), len(frontier.received)

    done = await client.whole(address, task, lane)

    answer = done.answers["analysis"]
    analysis = answer.value_as(AnalysisResult)
    assert (done.status, analysis.source) == (Status.COMPLETED, "frontier")
    assert LABEL in analysis.text
    assert (answer.provenance.model_id, answer.provenance.answered_by) == (MODEL_ID, "escalation")
    (call,) = frontier.received[before:]
    assert task.text in json.dumps(call.body)
    assert KEY in "".join(call.headers.values()), sorted(call.headers)
    decided, ended = await audit(client, address)
    assert (decided["phase"], decided["decision"], ended["phase"], ended["decision"]) == ("before", "call", "after", "answered")
    assert decided["digest"] == digest_of(task.to_bytes())
    assert "clauses" not in json.dumps([decided, ended])


async def test_a_run_is_escalated_by_the_same_evidence(client, frontier):
    before = len(frontier.received)

    result = await client.run(hard())

    assert result.answers["analysis"].value_as(AnalysisResult).source == "frontier"
    assert len(frontier.received) == before + 1


async def test_a_request_that_is_not_complex_costs_nothing(client, frontier):
    address, before = new_address(), len(frontier.received)

    done = await client.whole(address, Task(text="Hello from Lisbon.", wanted=WANTED))

    assert done.answers["analysis"].value_as(AnalysisResult).source == "local_summary"
    assert (len(frontier.received), await audit(client, address)) == (before, [])


async def test_restricted_text_reaches_no_frontier(client, frontier):
    address, before = new_address(DataClass.RESTRICTED), len(frontier.received)

    done = await client.whole(address, hard())

    assert (done.status, done.answers["analysis"].error.code) == (Status.PARTIAL, ErrorCode.CLASS_FORBIDDEN)
    assert (len(frontier.received), await audit(client, address)) == (before, [])


async def refused(client, frontier, address, **by_hand):
    before = len(frontier.received)

    answer = await escalated_by_hand(client, address, **by_hand)

    assert (answer.value, answer.error.code) == (None, ErrorCode.NOT_MARKED)
    assert len(frontier.received) == before
    assert [(entry["phase"], entry["decision"]) for entry in await audit(client, address)] == [("before", "refuse"), ("after", "refused")]


async def test_an_escalation_that_nothing_marked_is_refused_without_a_call(client, frontier):
    await refused(client, frontier, new_address())


async def test_an_escalation_of_what_the_router_found_simple_is_refused(client, frontier):
    address = new_address()
    await client.step("complexity_router", address, "Hello from Lisbon.")
    await client.result(address, "complexity_router", "complexity")

    await refused(client, frontier, address)


async def test_evidence_about_another_text_proves_nothing(client, frontier):
    address = new_address()
    await client.step("complexity_router", address, f"{HARD} indeed")
    await client.result(address, "complexity_router", "complexity")

    await refused(client, frontier, address, digest="f" * 64)


async def test_evidence_of_another_agent_proves_nothing(client, frontier):
    address = new_address()
    await client.step("complexity_router", address, f"{HARD} indeed")
    await client.result(address, "complexity_router", "complexity")

    await refused(client, frontier, address, evidence=Evidence(agent="summarizer", answer="summary"))


async def test_neither_key_nor_text_stands_in_the_log(client, mesh):
    task = hard()
    await client.whole(new_address(), task)

    log = log_of(mesh, "escalation")

    assert "frontier_call" in log
    assert KEY not in log
    assert task.text.split()[3] not in log
