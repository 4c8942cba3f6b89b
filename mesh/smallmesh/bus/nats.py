"""The bus over NATS: nats-py for everything but the agents' durable doors."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from typing import Self

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from smallmesh.bus import nats_reading, nats_storing
from smallmesh.bus.clock import BrokerClock
from smallmesh.bus.keeping import Keeping
from smallmesh.bus.layout import Consumer, stream_of
from smallmesh.bus.nats_connecting import connection_options, first_connection, no_broker
from smallmesh.bus.nats_requests import PublishDeniedError, Requests
from smallmesh.bus.nats_services import NatsService, collect, subscribed
from smallmesh.bus.port import Delivery, Entry, Headers, Message, ServiceInfo, ServiceSpec, Subscription
from smallmesh.bus.provision import Provisioned, provision
from smallmesh.bus.pull import Pace, StandingPull
from smallmesh_contracts import ContractError, ErrorCode

__all__ = ["NatsBus", "NatsDelivery", "connection_options", "first_connection", "no_broker"]

REPLY_S = 5.0


class NatsDelivery:
    """A JetStream message in hand."""

    __slots__ = ("_metadata", "_msg")

    def __init__(self, msg: Msg) -> None:
        """Wrap a message of a durable consumer."""
        self._msg = msg
        self._metadata = msg.metadata

    @property
    def subject(self) -> str:
        """Where it was published."""
        return self._msg.subject

    @property
    def body(self) -> bytes:
        """Its bytes."""
        return self._msg.data

    @property
    def headers(self) -> Headers:
        """Its headers."""
        return self._msg.headers or {}

    @property
    def deliveries(self) -> int:
        """How often it was delivered."""
        return self._metadata.num_delivered

    @property
    def arrived_at(self) -> float:
        """When the broker took it in."""
        return self._metadata.timestamp.timestamp()

    @property
    def sequence(self) -> int:
        """Its number in its stream."""
        return self._metadata.sequence.stream

    async def ack(self) -> None:
        """Finish it."""
        await self._msg.ack()

    async def retry(self, delay_s: float) -> None:
        """Hand it back for later; nothing where its fate was told before."""
        with contextlib.suppress(nats.errors.MsgAlreadyAckdError):
            await self._msg.nak(delay=delay_s)

    async def in_progress(self) -> None:
        """Ask for another acknowledgement window."""
        await self._msg.in_progress()


class _Watch:
    def __init__(self, subscription: NatsSubscription) -> None:
        self._subscription = subscription

    async def stop(self) -> None:
        with contextlib.suppress(nats.errors.Error):
            await self._subscription.unsubscribe()


class _Told:
    """A subscription that hears of gaps until it is stopped."""

    def __init__(self, subscription: Subscription, hearing: set[Callable[[], None]], missed: Callable[[], None]) -> None:
        self._subscription = subscription
        self._hearing = hearing
        self._missed = missed
        hearing.add(missed)

    async def stop(self) -> None:
        self._hearing.discard(self._missed)
        await self._subscription.stop()


class NatsBus:
    """A :class:`smallmesh.bus.Bus` over one NATS connection."""

    def __init__(self, client: Client) -> None:
        """Use a connection that somebody else opened and closes; see :meth:`connect`."""
        self.client = client
        self._requests = Requests(client)
        self._clock = BrokerClock()
        self._missed: set[Callable[[], None]] = set()

    @classmethod
    async def connect(
        cls, url: str, *, name: str, lost: Callable[[], None] | None = None, problem: Callable[[Exception], None] | None = None
    ) -> Self:
        """Open a connection that comes back by itself for as long as the process lives.

        Args:
            url: Where the broker is, or several with commas between them; user and password may be part of it.
            name: Shown in the broker's connection list.
            lost: Called once if the connection is closed for good.
            problem: Called with every error of the connection, denied permissions included.

        Raises:
            ContractError: ``unavailable``, saying what to do.
        """
        bus = cls(Client())

        def heard(error: Exception) -> None:
            bus._requests.problem(error)
            if problem is not None:
                problem(error)

        options = connection_options(url, name=name, lost=lost, problem=heard, gap=bus._may_have_missed)
        await first_connection(bus.client.connect(**options), url)
        return bus

    async def check_consumer(self, consumer: Consumer) -> None:
        """See that a durable consumer is there, and learn the broker's time from its answer.

        Raises:
            ContractError: ``unavailable`` where it is not, saying what to do.
        """
        asked_at = time.monotonic()
        reply = await self.request(f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.name}", b"", timeout_s=REPLY_S)
        told = json.loads(reply.body)
        if "error" in told:
            hint = "create streams and consumers with `smallmesh provision`"
            raise ContractError(ErrorCode.UNAVAILABLE, f"{consumer.stream} has no consumer {consumer.name}: {hint}")
        arrived = datetime.fromisoformat(told["ts"])
        self._clock.set(arrived.timestamp(), asked_at, time.monotonic())

    def now(self) -> float:
        """Return the broker's time."""
        return self._clock.now()

    async def provision(
        self, consumers: Iterable[Consumer], *, keeping: Keeping | None = None, dry_run: bool = False
    ) -> tuple[Provisioned, ...]:
        """Create or update every stream and these consumers; see :func:`smallmesh.bus.provision.provision`."""
        js = self.client.jetstream(timeout=REPLY_S)
        return await provision(js, consumers, max_payload=self.client.max_payload, keeping=keeping, dry_run=dry_run)

    async def store(self, subject: str, body: bytes, headers: Headers | None = None, *, ttl_s: float | None = None) -> bool:
        """Store the first message of a subject; tell whether it was this one."""
        first = await nats_storing.store(self._requests, subject, body, headers or {}, ttl_s)
        if first is not None:
            return first
        if await self.read(subject) is None:
            raise nats_storing.full(subject)
        return False

    async def append(self, subject: str, body: bytes, headers: Headers, *, message_id: str) -> None:
        """Add to a log; the same id twice is one entry."""
        await nats_storing.append(self._requests, subject, body, headers, message_id)

    async def read(self, subject: str) -> Message | None:
        """Return what is stored under exactly this subject."""
        return await nats_reading.last(self._requests, subject)

    async def drop(self, subject: str) -> None:
        """Forget what is stored under exactly this subject."""
        told = await nats_reading.manage(self._requests, f"STREAM.PURGE.{stream_of(subject).name}", {"filter": subject})
        if "error" in told:
            raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not drop {subject}: {told['error']}")

    def entries(self, subject: str, *, after: int = 0) -> AsyncIterator[Entry]:
        """Give what the stream of a subject keeps under it."""
        return nats_reading.entries(self.client, subject, after)

    async def entry(self, stream: str, sequence: int) -> Entry | None:
        """Return one message of a stream by its number."""
        return await nats_reading.entry(self._requests, stream, sequence)

    async def remove(self, stream: str, sequence: int) -> bool:
        """Delete one message of a stream."""
        return await nats_reading.remove(self._requests, stream, sequence)

    async def announce(self, subject: str, body: bytes = b"") -> None:
        """Say something to whoever watches."""
        try:
            await self.client.publish(subject, body)
        except nats.errors.Error as error:
            raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not take {subject}: {error!r}") from error

    async def request(self, subject: str, body: bytes, headers: Headers | None = None, *, timeout_s: float) -> Message:
        """Ask and wait for one answer."""
        msg = await self._request(subject, body, headers, timeout_s)
        return Message(msg.subject, msg.data, msg.headers or {})

    async def _request(self, subject: str, body: bytes, headers: Headers | None, timeout_s: float) -> Msg:
        try:
            return await self._requests.send(subject, body, headers, timeout_s)
        except nats.errors.NoRespondersError as error:
            raise ContractError(ErrorCode.UNAVAILABLE, f"nobody answers {subject}", retry_after_s=1.0) from error
        except nats.errors.TimeoutError as error:
            raise ContractError(ErrorCode.EXPIRED, f"no answer from {subject} in {timeout_s:.1f} s") from error
        except nats.errors.MaxPayloadError as error:
            raise ContractError(ErrorCode.TOO_LONG, f"{len(body)} bytes are more than the broker takes in one message") from error
        except PublishDeniedError as error:
            raise ContractError(ErrorCode.UNAUTHORIZED, str(error)) from error
        except nats.errors.Error as error:
            raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not answer: {error!r}") from error

    async def watch(self, subject: str, seen: Callable[[Message], None], *, missed: Callable[[], None] | None = None) -> Subscription:
        """Call ``seen`` for every message that passes by."""

        async def received(msg: Msg) -> None:
            seen(Message(msg.subject, msg.data, msg.headers or {}))

        subscription = await self.client.subscribe(subject, cb=received)
        await subscribed(self.client)
        watch = _Watch(subscription)
        return watch if missed is None else _Told(watch, self._missed, missed)

    def _may_have_missed(self) -> None:
        for missed in list(self._missed):
            missed()

    async def consume(
        self,
        consumer: Consumer,
        handle: Callable[[Delivery], Awaitable[None]],
        *,
        slots: int,
        ahead_s: float | None = None,
        grace_s: float | None = None,
    ) -> Subscription:
        """Take work by a standing pull."""

        async def received(msg: Msg) -> None:
            await handle(NatsDelivery(msg))

        pull = StandingPull(self.client, consumer.stream, consumer.name, received, Pace(slots, ahead_s), grace_s)
        await pull.start()
        return _Told(pull, self._missed, pull.ask_anew)

    async def serve(self, spec: ServiceSpec) -> Subscription:
        """Answer calls through the NATS Services API."""
        service = NatsService(self.client, spec)
        await service.start()
        return service

    async def services(self, wait_s: float) -> list[ServiceInfo]:
        """Return every replica that answers ``$SRV.INFO``."""
        try:
            return await collect(self.client, wait_s)
        except nats.errors.Error as error:
            raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not answer: {error!r}") from error

    async def close(self) -> None:
        """Flush and close."""
        with contextlib.suppress(nats.errors.Error, TimeoutError, asyncio.CancelledError):
            await self.client.flush(timeout=1)
        await self.client.close()
