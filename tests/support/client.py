"""A backend that talks to a mesh, and an operator who looks into its streams."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nats.js import api
from nats.js.errors import NotFoundError

from smallmesh.bus import Message
from smallmesh.bus.layout import DEAD, TASKS, WORK, Consumer, stream_of
from smallmesh.bus.nats import NatsBus
from smallmesh_contracts import (
    Address,
    Answer,
    DataClass,
    ErrorInfo,
    Lane,
    Step,
    StepInput,
    StepResult,
    Task,
    TaskResult,
    decode,
    headers,
    subjects,
)
from tests.support.patience import PATIENCE_S, until

DIGEST = "0" * 64


def new_address(data_class: DataClass = DataClass.PUBLIC) -> Address:
    """Return the address of a task that no other test has."""
    return Address(f"tenant-{uuid.uuid4().hex[:8]}", data_class, uuid.uuid4().hex)


def new_trace() -> tuple[str, dict[str, str]]:
    """Return a trace id and the headers of a client that is in that trace."""
    trace_id = uuid.uuid4().hex
    return trace_id, {"traceparent": f"00-{trace_id}-{uuid.uuid4().hex[:16]}-01"}


def trace_of(carried: Mapping[str, str]) -> str:
    """Return the trace id in some headers."""
    return carried["traceparent"].split("-")[1]


class Client:
    """One connection to a mesh.

    Attributes:
        bus: The connection.
    """

    def __init__(self, bus: NatsBus) -> None:
        """Talk over this bus."""
        self.bus = bus
        self.js = bus.client.jetstream()

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator["Client"]:
        """Connect, and leave at the end."""
        bus = await NatsBus.connect(url, name="test")
        try:
            yield cls(bus)
        finally:
            await bus.close()

    # ------------------------------------------------------------ asking

    async def ask(self, agent: str, body: bytes | Mapping[str, object], carried: Mapping[str, str] | None = None) -> tuple[Answer, Message]:
        """Ask one agent; return its answer and the reply that carried it."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = await self.bus.request(subjects.ask(agent), sent, carried, timeout_s=PATIENCE_S)
        return decode(Answer, reply.body), reply

    async def run(self, task: Task | bytes, data_class: DataClass = DataClass.PUBLIC, tenant: str = "tests") -> TaskResult:
        """Run a whole task and return its result."""
        sent = task if isinstance(task, bytes) else task.to_bytes()
        reply = await self.bus.request(subjects.run(tenant, data_class), sent, timeout_s=PATIENCE_S)
        return decode(TaskResult, reply.body)

    # ------------------------------------------------------------ submitting

    async def submit(
        self, address: Address, task: Task | bytes, lane: Lane = Lane.INTERACTIVE, carried: Mapping[str, str] | None = None
    ) -> bool:
        """Submit a task; tell whether the broker took it."""
        sent = task if isinstance(task, bytes) else task.to_bytes()
        return await self.bus.store(subjects.submit(lane, address), sent, carried)

    async def done(self, address: Address, within_s: float = PATIENCE_S) -> TaskResult:
        """Wait for a task's terminal result."""
        return decode(TaskResult, (await self.stored(subjects.done(address), within_s)).body)

    async def whole(self, address: Address, task: Task | bytes, lane: Lane = Lane.INTERACTIVE) -> TaskResult:
        """Submit a task and wait for its result."""
        assert await self.submit(address, task, lane)
        return await self.done(address)

    # ------------------------------------------------------------ single steps

    async def step(  # noqa: PLR0913 - most callers give the first three
        self,
        agent: str,
        address: Address,
        text: str | bytes,
        *,
        timeout_s: float = PATIENCE_S,
        lane: Lane = Lane.INTERACTIVE,
        carried: Mapping[str, str] | None = None,
    ) -> bool:
        """Publish one work message as an orchestrator would; bytes are sent as they are."""
        step = text if isinstance(text, bytes) else Step(digest=DIGEST, timeout_s=timeout_s, request=StepInput(text=text)).to_bytes()
        return await self.bus.store(subjects.work(agent, lane, address), step, carried)

    async def result(self, address: Address, agent: str, answer: str) -> tuple[StepResult, Message]:
        """Wait for a step's stored result; return it and the message that carries it."""
        stored = await self.stored(subjects.result(address, agent, answer))
        return decode(StepResult, stored.body), stored

    # ------------------------------------------------------------ looking

    async def stored(self, subject: str, within_s: float = PATIENCE_S) -> Message:
        """Wait for what is stored under a subject."""
        return await until(lambda: self.bus.read(subject), f"something under {subject}", within_s)

    async def sequence(self, subject: str) -> int:
        """Return the number of the message under a subject: another number is another message."""
        message = await self.js.get_last_msg(stream_of(subject).name, subject, direct=True)
        assert message.seq is not None
        return message.seq

    async def kept(self, stream: str, subject: str) -> list[api.RawStreamMsg]:
        """Return every message a stream keeps under a subject or pattern."""
        found: list[api.RawStreamMsg] = []
        seq = 1
        while True:
            try:
                message = await self.js.get_msg(stream, seq, subject=subject, direct=True, next=True)
            except NotFoundError:
                return found
            found.append(message)
            seq = (message.seq or 0) + 1

    async def dead_letters(self, origin: str) -> list[tuple[ErrorInfo, api.RawStreamMsg]]:
        """Return the dead letters that came from a subject, each with its reason."""
        letters = await self.kept(DEAD.name, subjects.any_dead())
        mine = [letter for letter in letters if (letter.headers or {}).get(headers.ORIGIN) == origin]
        return [(decode(ErrorInfo, (letter.headers or {})[headers.REASON].encode()), letter) for letter in mine]

    async def ever_stored(self, stream: str) -> int:
        """Return how many messages a stream has ever taken."""
        return (await self.js.stream_info(stream)).state.last_seq

    async def consumer(self, consumer: Consumer) -> api.ConsumerInfo:
        """Return what the broker says of a consumer."""
        return await self.js.consumer_info(consumer.stream, consumer.name)

    async def idle(self) -> None:
        """Wait until every submission and every step is acknowledged."""

        async def nothing_left() -> bool:
            states = [(await self.js.stream_info(stream.name)).state for stream in (TASKS, WORK)]
            return all(state.messages <= 1 for state in states)  # its head, which nobody takes

        await until(nothing_left, "nothing left in the work queues")

    async def info(self, name: str) -> dict[str, Any]:
        """Wait until a service answers and return its metadata."""

        async def there() -> dict[str, str] | None:
            return next((dict(s.metadata) for s in await self.bus.services(1.0) if s.name == name), None)

        return await until(there, f"{name} answers $SRV.INFO")
