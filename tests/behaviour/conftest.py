"""One mesh with every shipped agent for the whole suite, and agents that misbehave beside them."""

import uuid

import pytest
import pytest_asyncio

from smallmesh.supervise import Mesh
from tests.support.client import Client
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, shipped
from tests.support.rules import GATED, Gate, write_agent

GARBAGE = {
    "impossible": "return Answered.model_construct(said='x', confidence=7.0)",
    "incomplete": "return Answered.model_construct(confidence=0.5)",
    "mistyped": "return Answered.model_construct(said=b'\\xff', confidence=0.5)",
    "no_result": "return None",
    "a_dict": "return {'said': 'x'}",
}
"""Agents whose answers do not fit their own result type, by name."""


GATED_AGENT = "gated"


@pytest.fixture(scope="session")
def rules(tmp_path_factory):
    """Agents of rules that misbehave, and one that can be held up."""
    parent = tmp_path_factory.mktemp("rules") / "agents"
    for name, respond in GARBAGE.items():
        write_agent(parent, name, name, respond)
    write_agent(parent, GATED_AGENT, GATED_AGENT, GATED)
    return parent


@pytest.fixture
def gates(rules):
    """Make closed gates; all are opened at the end, whatever happens."""
    made = []

    def make() -> Gate:
        made.append(Gate(rules, uuid.uuid4().hex))
        return made[-1]

    yield make
    for gate in made:
        gate.open()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh(rules):
    whole = [name for name, found in shipped().items() if not missing_pieces(found.folder, RUNNABLE)]
    async with Mesh.start(agent_path=[SERVICES, rules], agents=[*whole, *GARBAGE, GATED_AGENT], log_level="debug") as mesh:
        await mesh.ready(120)
        yield mesh


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(mesh):
    async with Client.connected(mesh.url) as client:
        yield client


@pytest.fixture(params=sorted(shipped()))
def agent(request):
    """Every shipped agent in turn."""
    found = shipped()[request.param]
    if missing := missing_pieces(found.folder, RUNNABLE):
        pytest.skip(f"{request.param} lacks {', '.join(missing)}: test_completeness says so too")
    return found
