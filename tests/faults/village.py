"""A mesh with two replicas of everything and a real model: what is told to stop, hangs or takes long has somebody beside it."""

import itertools
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio

from smallmesh.bus.layout import Consumer, all_consumers
from smallmesh.catalogue import Catalogue
from smallmesh.supervise import Mesh, ProcessInfo
from smallmesh.testing.fake_frontier import FakeFrontier
from smallmesh_contracts import Address
from tests.support.client import Client
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, process, records, replaced, shipped
from tests.support.rules import write_agent

READER, ROUTER, ESCALATION = "sentiment", "complexity_router", "escalation"
VERDICT = "complexity"
SCALE = {READER: 2, ROUTER: 2, ESCALATION: 2, "orchestrator": 2, "orchestrator_restricted": 0}
"""The one for restricted tasks is the same program."""
ACK_WAIT_S = 1.0
LATE_S = 60.0
"""The broker's ack wait where a test is about what is handed back: nobody waits that long for it."""
SENTENCES = (
    "The ferry to the island was late again, and nobody at the pier could say why.",
    "My aunt, who runs the bakery on the corner, had baked forty loaves too many.",
    "We loved the little museum: every room smelled of cedar and old paper.",
    "The heating broke on the first night, the landlord shrugged, and we left on Tuesday.",
    "In the evening a band played slow waltzes, and even the waiters danced.",
)
_JUDGES = """
note("began", request.text)
await windows(request.text)
await gate(request.text)
from smallmesh_contracts import ComplexityResult
verdict = "complex" if "HARD" in f"{request.instruction} {request.text}" else "simple"
return ComplexityResult(verdict=verdict, probabilities={verdict: 1.0}, reasons=["a rule"], confidence=1.0)
"""


@dataclass
class Village:
    """The mesh and a connection to it.

    Attributes:
        mesh: Its processes.
        client: A backend and an operator.
        folder: Its agents' folders.
    """

    mesh: Mesh
    client: Client
    folder: Path

    @classmethod
    @asynccontextmanager
    async def started(cls, folder: Path, frontier: FakeFrontier) -> AsyncIterator[Self]:
        """Start it; its agents wait for a long time after a message is handed back, but give signs of life as if they did not."""
        waits = {"step_ack_wait_s": str(ACK_WAIT_S), "lease_ack_wait_s": str(ACK_WAIT_S), "frontier_base_url": frontier.url}
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("ANTHROPIC_API_KEY", "sk-fake")
            starting = Mesh.start(agent_path=[folder], scale=SCALE, **waits)
            async with starting as mesh, Client.connected(mesh.url) as client:
                await mesh.ready(120)
                yield cls(mesh, client, folder)

    def replicas(self, name: str) -> tuple[str, str]:
        """Return the names of both replicas."""
        return name, f"{name}-2"

    def pid(self, name: str) -> int:
        """Return a running process's id."""
        pid = process(self.mesh, name).pid
        assert pid is not None, f"{name} is not running"
        return pid

    async def stopped(self, name: str) -> ProcessInfo:
        """SIGTERM a process, and wait until another one is ready in its place."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGTERM)
        return await replaced(self.mesh, name, pid)

    def calls(self, address: Address) -> int:
        """Return how often the reader's model has answered a task."""
        return len(records(self.mesh, READER, "model_call", task_id=address.task_id))

    async def ack_waits(self, seconds: float) -> None:
        """Let the broker wait so long for a sign of life, from the next delivery on."""
        await self.client.bus.provision(self._consumers(seconds))

    async def deliveries(self, consumer: Consumer) -> int:
        """Return how many messages of a consumer were handed out, redeliveries included."""
        return (await self.client.consumer(consumer)).delivered.consumer_seq

    def _consumers(self, seconds: float) -> tuple[Consumer, ...]:
        found = Catalogue.load([self.folder])
        return all_consumers(found.agents, found.services, step_wait_s=seconds, lease_wait_s=seconds)


def write_village(folder: Path) -> Path:
    """Write its agents: the shipped sentiment, a router of rules that takes its time, and the shipped escalation; return the folder."""
    write_agent(folder, ROUTER, VERDICT, _JUDGES, request="ComplexityRequest", result="ComplexityResult")
    for name in (READER, ESCALATION):
        (folder / name).symlink_to(SERVICES / name)
    return folder


def long_text(characters: int) -> str:
    """Return so much text, in sentences."""
    sentences = itertools.cycle(SENTENCES)
    text = ""
    while len(text) < characters:
        text += f"{next(sentences)} "
    return text


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def village(tmp_path_factory, frontier):
    """A village that all tests of slow and of stopped processes share."""
    if missing_pieces(shipped()[READER].folder, RUNNABLE):
        pytest.skip(f"{READER} has no model")
    folder = write_village(tmp_path_factory.mktemp("village") / "agents")
    async with Village.started(folder, frontier) as mesh:
        yield mesh
