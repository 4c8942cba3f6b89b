"""A paid answer is paid for once: whoever dies in mid-call costs one call more, and that after its claim has run out."""

import os
import shutil
import signal
import uuid

import pytest
import pytest_asyncio

from smallmesh.bus.layout import CLAIMS
from smallmesh.supervise import Mesh
from smallmesh.testing.fake_frontier import FakeFrontier, answered, dripping
from smallmesh_contracts import AnalysisResult, Lane, Status, Task, subjects
from tests.support.client import Client, new_address
from tests.support.meshes import SERVICES, pids
from tests.support.patience import until
from tests.support.rules import HARD, write_town

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

AGENTS = ("complexity_router", "summarizer", "escalation")
QUICK = {"LONGEST_CALL_S = 120.0": "LONGEST_CALL_S = 6.0", "CLAIM_RESERVE_S = 5.0": "CLAIM_RESERVE_S = 1.0"}
"""The shipped service's own numbers make a claim last for two minutes: longer than a test should."""


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    folder = write_town(tmp_path_factory.mktemp("paid") / "agents", SERVICES)
    service = folder / "escalation"
    service.unlink()
    shutil.copytree(SERVICES / "escalation", service)
    source = (service / "service.py").read_text(encoding="utf-8")
    for number, quick in QUICK.items():
        assert number in source
        source = source.replace(number, quick)
    (service / "service.py").write_text(source, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def frontier():
    with FakeFrontier(dripping(), answered("At last.")) as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mesh(agents, frontier):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ANTHROPIC_API_KEY", f"sk-fake-{uuid.uuid4().hex}")
        settings = {"frontier_base_url": frontier.url, "step_ack_wait_s": "1"}
        async with Mesh.start(agent_path=[agents], agents=AGENTS, scale={"escalation": 2}, **settings) as mesh:
            await mesh.ready(120)
            yield mesh


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(mesh):
    async with Client.connected(mesh.url) as connected:
        yield connected


async def test_a_service_killed_in_mid_call_costs_one_call_more_and_no_task(mesh, client, frontier):
    address, other = new_address(), pids(mesh)["escalation-2"]
    os.kill(other, signal.SIGSTOP)  # so that the first makes the call
    assert await client.submit(address, Task(text=f"{HARD}: who owes whom?", wanted=("analysis",)), Lane.BULK)
    await until(lambda: len(frontier.received) == 1, "the call is made")
    os.kill(other, signal.SIGCONT)
    claim = await client.stored(subjects.claim(address, "analysis"))
    mesh.kill("escalation")
    while True:
        calls = len(frontier.received)
        there = await client.bus.read(claim.subject)
        if there is None or there.body != claim.body:
            break
        assert calls == 1, "nobody calls while the claim of the dead is there"
    done = await client.done(address)

    assert done.status is Status.COMPLETED
    assert "At last." in done.answers["analysis"].value_as(AnalysisResult).text
    assert len(frontier.received) == 2
    assert await client.kept(CLAIMS.name, claim.subject) == []
