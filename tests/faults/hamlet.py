"""A small mesh of rules that bad input is thrown at: whatever comes, its processes stay, and it serves the next."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio
from nats.js import api
from nats.js.errors import NotFoundError

from smallmesh.bus.layout import DEAD, TASKS, WORK
from smallmesh.supervise import Mesh
from smallmesh_contracts import Address, ErrorInfo, Lane, Status, Task, decode, headers, subjects
from tests.faults.newer import CODE
from tests.support.client import Client
from tests.support.meshes import pids, process, replaced
from tests.support.patience import until
from tests.support.rules import SAY, write_agent

ECHO, VIPER = "echo", "viper"
VENOM = "venom"
DEADLY, SOUR, TIRING = "DEADLY", "SOUR", "TIRING"
"""A text with the first in it ends the process of the viper, one with the second makes it raise; of the third the echo gets weary."""
MAX_DELIVERIES = 2
ACK_WAIT_S = 1.0
SOON_S = 3.0
"""A mesh that has not answered a run of one word by then has died of what it was sent."""

_ECHOES = f"""
from smallmesh_contracts import ContractError, ErrorCode
if "{TIRING}" in request.text:  # to say so takes a later version of the contract
    raise ContractError(ErrorCode("{CODE}") if "{CODE}" in list(ErrorCode) else ErrorCode.INVALID_REQUEST, "I am weary")
{SAY}
"""
_BITES = f"""
import os
if "{DEADLY}" in request.text:
    os._exit(7)
if "{SOUR}" in request.text:
    raise ValueError(request.text)
{SAY}
"""


@dataclass
class Hamlet:
    """The mesh and a connection to it.

    Attributes:
        mesh: Its processes.
        client: A backend and an operator.
        folder: Its agents' folders.
    """

    mesh: Mesh
    client: Client
    folder: Path
    _seen: list["Letter"] = field(default_factory=list)
    _next_letter: int = 1

    @classmethod
    @asynccontextmanager
    async def started(cls, folder: Path, **started: object) -> AsyncIterator[Self]:
        """Start it with the agents of a folder; further arguments are those of :meth:`Mesh.start`."""
        waits = {"step_ack_wait_s": str(ACK_WAIT_S), "max_deliveries": str(MAX_DELIVERIES), "retry_base_s": "0.05"}
        async with Mesh.start(agent_path=[folder], **waits, **started) as mesh, Client.connected(mesh.url) as client:
            await mesh.ready(120)
            yield cls(mesh, client, folder)

    @property
    def url(self) -> str:
        """Where its broker is."""
        return self.mesh.url

    async def serves(self) -> bool:
        """Tell whether it answers a run."""
        try:
            async with asyncio.timeout(SOON_S):
                return (await self.client.run(Task(text="Still there?", wanted=(ECHO,)))).status is Status.COMPLETED
        except Exception:  # noqa: BLE001 - however it does not
            return False

    async def healed(self) -> None:
        """Make it whole again after a test that it did not survive, so that the others say something of their own."""
        serves = await self.serves()
        for stream in (TASKS, WORK):
            if (await self.client.js.stream_info(stream.name)).state.messages:
                await self.client.js.purge_stream(stream.name)
        for name in () if serves else ("orchestrator", "orchestrator_restricted", ECHO, VIPER):
            await replaced(self.mesh, name, self.mesh.kill(name))

    async def letter(self, origin: str, within_s: float = 30.0) -> "Letter":
        """Wait for the dead letter that came from a subject."""

        async def there() -> list[Letter]:
            return [letter for letter in await self._letters() if letter.origin == origin]

        found = await until(there, f"a dead letter from {origin!r}", within_s)
        assert len(found) == 1, found
        return found[0]

    async def _letters(self) -> list["Letter"]:
        """Read every dead letter, not by direct get: there a letter's own headers may pass for the broker's word."""
        with contextlib.suppress(NotFoundError):
            while True:
                message = await self.client.js.get_msg(DEAD.name, self._next_letter, subject=subjects.any_dead(), next=True)
                self._seen.append(Letter.of(message))
                self._next_letter = (message.seq or 0) + 1
        return self._seen


@dataclass(frozen=True)
class Letter:
    """A dead letter as an operator sees it."""

    subject: str
    payload: bytes
    headers: dict[str, str]

    @classmethod
    def of(cls, message: api.RawStreamMsg) -> Self:
        """Take what the stream keeps."""
        return cls(message.subject or "", message.data or b"", dict(message.headers or {}))

    @property
    def origin(self) -> str:
        """The subject it came from."""
        return self.headers[headers.ORIGIN]

    @property
    def reason(self) -> ErrorInfo:
        """Why it was given up."""
        return decode(ErrorInfo, self.headers[headers.REASON].encode())

    @property
    def deliveries(self) -> int:
        """How often it had been delivered."""
        return int(self.headers[headers.DELIVERIES])


def write_hamlet(folder: Path) -> None:
    """Write its agents: one that answers, and one that bites."""
    write_agent(folder, ECHO, ECHO, _ECHOES)
    write_agent(folder, VIPER, VENOM, _BITES)


@asynccontextmanager
async def unharmed(hamlet: Hamlet) -> AsyncIterator[None]:
    """See that the processes that were there before are there afterwards, and serve."""
    before = pids(hamlet.mesh)
    yield
    assert await hamlet.serves(), f"it answers no run any more; {_last_words(hamlet)}"
    assert pids(hamlet.mesh) == before


def _last_words(hamlet: Hamlet) -> str:
    log = process(hamlet.mesh, "orchestrator").log
    with contextlib.suppress(OSError, IndexError):
        return log.read_text(encoding="utf-8").splitlines()[-1][:300]
    return "it has written nothing"


@pytest.fixture(scope="session")
def hamlet_folder(tmp_path_factory) -> Path:
    """Where the hamlet's agents are."""
    return tmp_path_factory.mktemp("hamlet") / "agents"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hamlet(hamlet_folder):
    """A hamlet that all tests of bad input share."""
    write_hamlet(hamlet_folder)
    async with Hamlet.started(hamlet_folder) as mesh:
        yield mesh


@pytest_asyncio.fixture(loop_scope="session")
async def hardy(hamlet):
    """The hamlet, made whole again for the next test if this one was too much for it."""
    yield hamlet
    await hamlet.healed()


def wire_subject(address: Address, task_id: bytes | None = None) -> bytes:
    """Return the bytes of an interactive submission's subject, with any bytes for its id."""
    own = subjects.submit(Lane.INTERACTIVE, address).encode()
    return own if task_id is None else own.removesuffix(address.task_id.encode()) + task_id
