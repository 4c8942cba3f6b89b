"""The meshes of these tests: ``real`` hosts the shipped models, ``town`` is of rules and made to be shot at."""

import uuid

import pytest
import pytest_asyncio

from smallmesh.bus.layout import lease_consumers, step_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.supervise import Mesh
from smallmesh_contracts import DataClass
from tests.support.client import Client
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, shipped
from tests.support.rules import Gate, write_town

SOON_S = 3.0
"""Silence after which the broker gives a message away, where a test is about that."""
LATE_S = 300.0
"""The same where a test is about a message that is handed back: nobody waits that long for it."""
LATE_AGENT = "patient"
LATE_CLASS = DataClass.RESTRICTED


@pytest.fixture(scope="session", autouse=True)
def no_frontier():
    """Keep a key that the developer has out of every process of these tests."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("ANTHROPIC_API_KEY", "SMALLMESH_FRONTIER_BASE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"):
            patched.delenv(name, raising=False)
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real():
    lacking = {name: missing_pieces(found.folder, RUNNABLE) for name, found in shipped().items()}
    if any(lacking.values()):
        pytest.skip(f"models are missing: {', '.join(name for name, pieces in lacking.items() if pieces)}")
    async with Mesh.start(agent_path=[SERVICES], scale={"sentiment": 2}) as mesh:
        await mesh.ready(120)
        yield mesh


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def customer(real):
    async with Client.connected(real.url) as client:
        yield client


@pytest.fixture(scope="session")
def town_folder(tmp_path_factory):
    return write_town(tmp_path_factory.mktemp("town") / "agents", SERVICES)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def town(town_folder):
    scale = {"orchestrator": 2}
    waits = {"step_ack_wait_s": str(SOON_S), "lease_ack_wait_s": str(SOON_S)}
    async with Mesh.start(agent_path=[town_folder], scale=scale, **waits) as mesh:
        await _lengthen_waits(mesh)
        await mesh.ready(120)
        yield mesh


async def _lengthen_waits(mesh: Mesh) -> None:
    bus = await NatsBus.connect(mesh.url, name="test")
    await bus.provision([*step_consumers(LATE_AGENT, LATE_S).values(), *lease_consumers([LATE_CLASS], LATE_S)])
    await bus.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backend(town):
    async with Client.connected(town.url) as client:
        yield client


@pytest.fixture
def gate(town_folder):
    """A closed gate, opened at the end whatever happens: nobody is held up for ever."""
    closed = Gate(town_folder, uuid.uuid4().hex)
    yield closed
    closed.open()
