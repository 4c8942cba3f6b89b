"""A bus in memory, for tests: the same rules as the broker's, without one.

It keeps the first message of a subject and refuses a second, delivers work until
it is acknowledged, announces stored results and shares calls between replicas.
Its behaviour is held to that of NATS by one suite of tests that runs over both.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from smallmesh.bus.layout import Consumer, Stream, stream_of
from smallmesh.bus.port import (
    Call,
    Delivery,
    Endpoint,
    Entry,
    Headers,
    Message,
    Reply,
    ServiceInfo,
    ServiceSpec,
    Subscription,
    overloaded,
    stopped,
)
from smallmesh.tasks import wind_up
from smallmesh_contracts import ContractError, ErrorCode


@dataclass(slots=True, eq=False)
class _Stored:
    message: Message
    sequence: int
    arrived_at: float
    deliveries: int = 0
    in_hand: bool = False
    window: asyncio.TimerHandle | None = None

    def out_for(self, seconds: float, back: Callable[[], None]) -> None:
        """Stay in somebody's hand until ``back`` is called, ``seconds`` from now."""
        self.settle()
        self.window = asyncio.get_running_loop().call_later(seconds, back)

    def settle(self) -> None:
        if self.window is not None:
            self.window.cancel()


class MemoryDelivery:
    """A message of :class:`MemoryBus` in hand."""

    def __init__(self, bus: "MemoryBus", stored: _Stored, ack_wait_s: float) -> None:
        """Count the delivery and hold the message for one acknowledgement window."""
        self._bus = bus
        self._stored = stored
        self._ack_wait_s = ack_wait_s
        self._settled = False
        stored.deliveries += 1
        stored.in_hand = True
        stored.out_for(ack_wait_s, self.drop)
        self.subject = stored.message.subject
        self.body = stored.message.body
        self.headers = stored.message.headers
        self.deliveries = stored.deliveries
        self.arrived_at = stored.arrived_at
        self.sequence = stored.sequence

    async def ack(self) -> None:
        """Forget the message."""
        if self._settle():
            self._bus.forget(self._stored)

    async def retry(self, delay_s: float) -> None:
        """Deliver it again after a while; nothing where its fate was told before."""
        if self._settle():
            self._stored.out_for(delay_s, self.drop)

    async def in_progress(self) -> None:
        """Begin another acknowledgement window."""
        if not self._settled:
            self._stored.out_for(self._ack_wait_s, self.drop)

    def _settle(self) -> bool:
        first, self._settled = not self._settled, True
        if first:
            self._stored.settle()
        return first

    def drop(self) -> None:
        """Hand the message back at once, as the broker does when a replica has died."""
        self._stored.settle()
        self._stored.in_hand = False
        self._bus.wake()


@dataclass(slots=True)
class _Stop:
    how: Callable[[], Awaitable[None]]

    async def stop(self) -> None:
        await self.how()


class _Consuming:
    """One consumer's subscription: delivers what matches, oldest first, until it is acknowledged."""

    def __init__(
        self, bus: "MemoryBus", consumer: Consumer, handle: Callable[[Delivery], Awaitable[None]], slots: int, grace_s: float
    ) -> None:
        self.wake = asyncio.Event()
        self.wake.set()
        self._bus = bus
        self._consumer = consumer
        self._handle = handle
        self._grace_s = grace_s
        self._free = asyncio.Semaphore(slots)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._delivering = asyncio.create_task(self._deliver())

    async def _deliver(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            for stored in sorted(self._bus.kept.values(), key=lambda s: s.sequence):
                if _matches(self._consumer.subject, stored.message.subject):
                    await self._free.acquire()
                    if stored.in_hand or not self._bus.keeps(stored):
                        self._free.release()
                        continue
                    task = asyncio.create_task(self._one(MemoryDelivery(self._bus, stored, self._consumer.ack_wait_s)))
                    self._in_hand.add(task)
                    task.add_done_callback(self._in_hand.discard)

    async def _one(self, delivery: MemoryDelivery) -> None:
        try:
            await self._handle(delivery)
        finally:
            self._free.release()

    async def stop(self) -> None:
        self._delivering.cancel()
        self._bus.leave(self)
        await wind_up(self._in_hand, self._grace_s)


class _Serving:
    """One replica of a service and the calls it has in hand."""

    def __init__(self, spec: ServiceSpec) -> None:
        self.spec = spec
        self.calls: set[asyncio.Task[Reply]] = set()

    def begin(self, endpoint: Endpoint, call: Call) -> "asyncio.Task[Reply]":
        if len(self.calls) >= self.spec.slots:
            return asyncio.create_task(_refused(endpoint.refused(call, overloaded())))
        task = asyncio.create_task(_answered(endpoint, call))
        self.calls.add(task)
        task.add_done_callback(self.calls.discard)
        return task


async def _refused(reply: Reply) -> Reply:
    return reply


async def _answered(endpoint: Endpoint, call: Call) -> Reply:
    try:
        return await endpoint.handler(call)
    except asyncio.CancelledError:
        return endpoint.refused(call, stopped())
    except Exception as error:  # noqa: BLE001 - whoever asked gets every failure as a typed error
        return endpoint.refused(call, error)


@dataclass
class MemoryBus:
    """A :class:`smallmesh.bus.Bus` that lives in this process.

    Attributes:
        kept: What the ``queue`` and ``once`` streams hold, by subject.
        log: What was appended, by message id.
        numbers: Sequence number and time of what was appended, by message id.
        full: Names of streams that refuse as if they were full.
        ahead_s: How far the broker's clock is ahead of this machine's.
        stop_grace_s: What is in hand when a consumer or service stops may end within this; what does not is cancelled.
    """

    kept: dict[str, _Stored] = field(default_factory=dict)
    log: dict[str, Message] = field(default_factory=dict)
    numbers: dict[str, tuple[int, float]] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    ahead_s: float = 0.0
    stop_grace_s: float = 2.0
    _sequence: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _watchers: list[tuple[str, Callable[[Message], None]]] = field(default_factory=list)
    _services: list[_Serving] = field(default_factory=list)
    _turns: "itertools.count[int]" = field(default_factory=itertools.count)
    _consuming: list[_Consuming] = field(default_factory=list)

    def now(self) -> float:
        """Return the time of this broker."""
        return time.time() + self.ahead_s

    def wake(self) -> None:
        """Let consumers look for work again."""
        for consuming in self._consuming:
            consuming.wake.set()

    def leave(self, consuming: _Consuming) -> None:
        """Deliver no more to a consumer."""
        if consuming in self._consuming:
            self._consuming.remove(consuming)

    def keeps(self, stored: _Stored) -> bool:
        """Tell whether a message is still there: not acknowledged, not too old."""
        return self.kept.get(stored.message.subject) is stored

    def forget(self, stored: _Stored) -> None:
        """Drop a message, unless another has taken its subject since."""
        if self.keeps(stored):
            del self.kept[stored.message.subject]

    async def store(self, subject: str, body: bytes, headers: Headers | None = None, *, ttl_s: float | None = None) -> bool:
        """Keep the first message of a subject."""
        stream = stream_of(subject)
        if subject in self.kept:
            return False
        self._check_room(stream)
        if not any(_matches(pattern, subject) for pattern in stream.subjects):
            raise ContractError(ErrorCode.UNAVAILABLE, f"no stream takes {subject}")
        stored = self.kept[subject] = _Stored(Message(subject, body, dict(headers or {})), next(self._sequence), self.now())
        if ttl_s is not None:
            asyncio.get_running_loop().call_later(ttl_s, self.forget, stored)
        if stream.announces:
            source, target = (pattern.removesuffix(">") for pattern in stream.announces)
            self._pass_by(Message(target + subject.removeprefix(source), body, dict(headers or {})))
        self.wake()
        return True

    def _check_room(self, stream: Stream) -> None:
        if stream.name in self.full:
            raise ContractError(ErrorCode.OVERLOADED, f"{stream.name} is full", retry_after_s=5.0)

    def _pass_by(self, message: Message) -> None:
        for pattern, seen in list(self._watchers):
            if _matches(pattern, message.subject):
                asyncio.get_running_loop().call_soon(seen, message)

    async def append(self, subject: str, body: bytes, headers: Headers, *, message_id: str) -> None:
        """Add to the log, once an id."""
        self._check_room(stream_of(subject))
        if message_id not in self.log:
            self.log[message_id] = Message(subject, body, dict(headers))
            self.numbers[message_id] = (next(self._sequence), self.now())

    async def read(self, subject: str) -> Message | None:
        """Return what is kept under a subject."""
        found = self.kept.get(subject)
        return replace(found.message, sequence=found.sequence, stored_at=found.arrived_at) if found else None

    async def drop(self, subject: str) -> None:
        """Forget what is kept under a subject."""
        self.kept.pop(subject, None)

    async def entries(self, subject: str, *, after: int = 0) -> AsyncIterator[Entry]:
        """Give what is kept or was appended under a subject."""
        for entry in self._entries():
            if entry.sequence > after and _matches(subject, entry.message.subject):
                yield entry

    async def entry(self, stream: str, sequence: int) -> Entry | None:
        """Return one message by its number."""
        return next((e for e in self._entries() if e.sequence == sequence and stream_of(e.message.subject).name == stream), None)

    async def remove(self, stream: str, sequence: int) -> bool:
        """Delete one message by its number."""
        found = await self.entry(stream, sequence)
        if found is None:
            return False
        for message_id in [one for one, (number, _) in self.numbers.items() if number == sequence]:
            del self.log[message_id], self.numbers[message_id]
        self.kept = {subject: stored for subject, stored in self.kept.items() if stored.sequence != sequence}
        return True

    def _entries(self) -> list[Entry]:
        kept = [Entry(s.sequence, s.arrived_at, s.message) for s in self.kept.values()]
        logged = [Entry(*self.numbers[message_id], message) for message_id, message in self.log.items()]
        return sorted(kept + logged, key=lambda entry: entry.sequence)

    async def announce(self, subject: str, body: bytes = b"") -> None:
        """Let whoever watches see it."""
        self._pass_by(Message(subject, body))

    async def request(self, subject: str, body: bytes, headers: Headers | None = None, *, timeout_s: float) -> Message:
        """Call one of the replicas that have such an endpoint, each in its turn."""
        able = [(service, e) for service in self._services for e in service.spec.endpoints if _matches(e.subject, subject)]
        if not able:
            raise ContractError(ErrorCode.UNAVAILABLE, f"nobody answers {subject}", retry_after_s=1.0)
        service, endpoint = able[next(self._turns) % len(able)]
        call = service.begin(endpoint, Call(subject, body, dict(headers or {})))
        done, _ = await asyncio.wait([call], timeout=timeout_s)
        if not done:  # nobody waits any more; the call goes on, as it does over a real broker
            raise ContractError(ErrorCode.EXPIRED, f"no answer from {subject} in {timeout_s:.1f} s")
        reply = call.result()
        return Message(subject, reply.body, {"Nats-Service-Error-Code": reply.error} if reply.error else {})

    async def watch(self, subject: str, seen: Callable[[Message], None], *, missed: Callable[[], None] | None = None) -> Subscription:  # noqa: ARG002 - here nothing is missed
        """Call ``seen`` for what passes by from now on."""
        entry = (subject, seen)
        self._watchers.append(entry)
        return _Stop(partial(self._unwatch, entry))

    async def _unwatch(self, entry: tuple[str, Callable[[Message], None]]) -> None:
        if entry in self._watchers:
            self._watchers.remove(entry)

    async def consume(
        self,
        consumer: Consumer,
        handle: Callable[[Delivery], Awaitable[None]],
        *,
        slots: int,
        ahead_s: float | None = None,  # noqa: ARG002 - a double's messages are not shared out
        grace_s: float | None = None,
    ) -> Subscription:
        """Deliver what is kept and matches, oldest first, until it is acknowledged."""
        consuming = _Consuming(self, consumer, handle, slots, self.stop_grace_s if grace_s is None else grace_s)
        self._consuming.append(consuming)
        return consuming

    async def serve(self, spec: ServiceSpec) -> Subscription:
        """Answer calls until stopped."""
        serving = _Serving(spec)
        self._services.append(serving)
        return _Stop(partial(self._close, serving))

    async def _close(self, serving: _Serving) -> None:
        if serving in self._services:
            self._services.remove(serving)
        await wind_up(serving.calls, self.stop_grace_s if serving.spec.grace_s is None else serving.spec.grace_s)

    async def services(self, wait_s: float) -> list[ServiceInfo]:  # noqa: ARG002 - the form is the seam's
        """Return the services here."""
        return [
            ServiceInfo(
                s.spec.name, str(id(s)), s.spec.version, s.spec.description, s.spec.metadata, tuple(e.subject for e in s.spec.endpoints)
            )
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
