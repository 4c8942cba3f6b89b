"""A bus in memory, for tests: the same rules as the broker's, without one.

It keeps the first message of a subject and refuses a second, delivers work until
it is acknowledged, announces stored results and shares calls between replicas.
Its behaviour is held to that of NATS by one suite of tests that runs over both.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from smallmesh.bus.layout import Consumer, stream_of
from smallmesh.bus.port import Call, Delivery, Endpoint, Headers, Message, Reply, ServiceInfo, ServiceSpec, Subscription
from smallmesh_contracts import Answer, ContractError, ErrorCode


@dataclass(slots=True)
class _Stored:
    message: Message
    sequence: int
    arrived_at: float
    deliveries: int = 0
    in_hand: bool = False


class MemoryDelivery:
    """A message of :class:`MemoryBus` in hand."""

    def __init__(self, bus: "MemoryBus", stored: _Stored) -> None:
        """Count the delivery and hold the message."""
        self._bus = bus
        self._stored = stored
        stored.deliveries += 1
        stored.in_hand = True
        self.subject = stored.message.subject
        self.body = stored.message.body
        self.headers = stored.message.headers
        self.deliveries = stored.deliveries
        self.arrived_at = stored.arrived_at
        self.sequence = stored.sequence

    async def ack(self) -> None:
        """Forget the message."""
        self._bus.kept.pop(self.subject, None)

    async def retry(self, delay_s: float) -> None:
        """Deliver it again after a while."""
        asyncio.get_running_loop().call_later(delay_s, self.drop)

    async def in_progress(self) -> None:
        """Do nothing: messages in memory have no acknowledgement window."""

    def drop(self) -> None:
        """Hand the message back at once, as the broker does when a replica has died."""
        self._stored.in_hand = False
        self._bus.wake()


@dataclass(slots=True)
class _Stop:
    how: Callable[[], None]

    async def stop(self) -> None:
        self.how()


@dataclass
class MemoryBus:
    """A :class:`smallmesh.bus.Bus` that lives in this process.

    Attributes:
        kept: What the ``queue`` and ``once`` streams hold, by subject.
        log: What was appended, by message id.
        full: Names of streams that refuse as if they were full.
        ahead_s: How far the broker's clock is ahead of this machine's.
    """

    kept: dict[str, _Stored] = field(default_factory=dict)
    log: dict[str, Message] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    ahead_s: float = 0.0
    _sequence: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _watchers: list[tuple[str, Callable[[Message], None]]] = field(default_factory=list)
    _services: list[ServiceSpec] = field(default_factory=list)
    _wakes: list[asyncio.Event] = field(default_factory=list)

    def now(self) -> float:
        """Return the time of this broker."""
        return time.time() + self.ahead_s

    def wake(self) -> None:
        """Let consumers look for work again."""
        for event in self._wakes:
            event.set()

    async def store(self, subject: str, body: bytes, headers: Headers | None = None, *, ttl_s: float | None = None) -> bool:
        """Keep the first message of a subject."""
        stream = stream_of(subject)
        if subject in self.kept:
            return False
        if stream.name in self.full:
            raise ContractError(ErrorCode.OVERLOADED, f"{stream.name} is full", retry_after_s=5.0)
        if not any(_matches(pattern, subject) for pattern in stream.subjects):
            raise ContractError(ErrorCode.UNAVAILABLE, f"no stream takes {subject}")
        self.kept[subject] = _Stored(Message(subject, body, dict(headers or {})), next(self._sequence), self.now())
        if ttl_s is not None:
            asyncio.get_running_loop().call_later(ttl_s, self.kept.pop, subject, None)
        if stream.announces:
            source, target = (pattern.removesuffix(">") for pattern in stream.announces)
            self._pass_by(Message(target + subject.removeprefix(source), body, dict(headers or {})))
        self.wake()
        return True

    def _pass_by(self, message: Message) -> None:
        for pattern, seen in list(self._watchers):
            if _matches(pattern, message.subject):
                asyncio.get_running_loop().call_soon(seen, message)

    async def append(self, subject: str, body: bytes, headers: Headers, *, message_id: str) -> None:
        """Add to the log, once an id."""
        self.log.setdefault(message_id, Message(subject, body, dict(headers)))

    async def read(self, subject: str) -> Message | None:
        """Return what is kept under a subject."""
        found = self.kept.get(subject)
        return found.message if found else None

    async def request(self, subject: str, body: bytes, headers: Headers | None = None, *, timeout_s: float) -> Message:
        """Call the first service that has such an endpoint."""
        for service in self._services:
            for endpoint in service.endpoints:
                if _matches(endpoint.subject, subject):
                    reply = await self._call(endpoint, Call(subject, body, dict(headers or {})), timeout_s)
                    return Message(subject, reply.body, {"Nats-Service-Error-Code": reply.error} if reply.error else {})
        raise ContractError(ErrorCode.UNAVAILABLE, f"nobody answers {subject}", retry_after_s=1.0)

    async def _call(self, endpoint: Endpoint, call: Call, timeout_s: float) -> Reply:
        try:
            return await asyncio.wait_for(endpoint.handler(call), timeout_s)
        except TimeoutError:
            raise ContractError(ErrorCode.EXPIRED, f"no answer from {call.subject} in {timeout_s:.1f} s") from None
        except ContractError as error:
            return Reply(Answer(error=error.info).to_bytes(), error.info.code.value)

    async def watch(self, subject: str, seen: Callable[[Message], None]) -> Subscription:
        """Call ``seen`` for what passes by from now on."""
        entry = (subject, seen)
        self._watchers.append(entry)
        return _Stop(lambda: self._watchers.remove(entry))

    async def consume(self, consumer: Consumer, handle: Callable[[Delivery], Awaitable[None]], *, slots: int) -> Subscription:
        """Deliver what is kept and matches, oldest first, until it is acknowledged."""
        wake = asyncio.Event()
        wake.set()
        self._wakes.append(wake)
        free = asyncio.Semaphore(slots)
        tasks: set[asyncio.Task[None]] = set()

        async def one(delivery: MemoryDelivery) -> None:
            try:
                await handle(delivery)
            finally:
                free.release()

        async def deliver() -> None:
            while True:
                await wake.wait()
                wake.clear()
                for stored in sorted(self.kept.values(), key=lambda s: s.sequence):
                    if _matches(consumer.subject, stored.message.subject):
                        await free.acquire()
                        if stored.in_hand or stored.message.subject not in self.kept:
                            free.release()
                            continue
                        task = asyncio.create_task(one(MemoryDelivery(self, stored)))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)

        delivering = asyncio.create_task(deliver())
        return _Stop(delivering.cancel)

    async def serve(self, spec: ServiceSpec) -> Subscription:
        """Answer calls until stopped."""
        self._services.append(spec)
        return _Stop(lambda: self._services.remove(spec))

    async def services(self, wait_s: float) -> list[ServiceInfo]:
        """Return the services here."""
        return [
            ServiceInfo(s.name, str(id(s)), s.version, s.description, s.metadata, tuple(e.subject for e in s.endpoints))
            for s in self._services
        ]

    async def close(self) -> None:
        """Do nothing."""


def _matches(pattern: str, subject: str) -> bool:
    wanted, tokens = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        tokens = tokens[: len(wanted)] if len(tokens) > len(wanted) else []
    return len(wanted) == len(tokens) and all(w in ("*", t) for w, t in zip(wanted, tokens, strict=True))
