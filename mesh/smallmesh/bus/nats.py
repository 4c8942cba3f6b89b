"""The bus over NATS: nats-py for everything but the agents' durable doors."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any, Self, TypeVar

import nats
import nats.errors
import stamina
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js import api
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from smallmesh.bus import nats_reading
from smallmesh.bus.clock import BrokerClock
from smallmesh.bus.layout import Consumer, stream_of
from smallmesh.bus.nats_services import NatsService, collect, subscribed
from smallmesh.bus.port import Delivery, Entry, Headers, Message, ServiceInfo, ServiceSpec, Subscription
from smallmesh.bus.provision import provision
from smallmesh.bus.pull import StandingPull
from smallmesh_contracts import ContractError, ErrorCode

T = TypeVar("T")
ALREADY_THERE = 10071
BEING_STORED = 10164
"""What a cluster says while it stores another message under the subject: soon it is there, or it is not."""
FULL_OR_REFUSED = 10077
TOO_LARGE = 10054
PUBLISH_RETRY_S = 15.0
"""Three brokers that lose their leader stall for up to eight seconds; a publisher outlasts that."""
CONNECT_WITHIN_S = 5.0
"""A broker that is not there when a process starts is said at once; one that goes away later is waited for."""
REPLY_S = 5.0
_FIRST_ONLY = {api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}


def _passes(error: Exception) -> bool:
    """Whether it is what a stream without a leader looks like, or one that is storing the same subject just now."""
    return isinstance(error, NoStreamResponseError | nats.errors.TimeoutError) or getattr(error, "err_code", None) == BEING_STORED


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


class NatsBus:
    """A :class:`smallmesh.bus.Bus` over one NATS connection."""

    def __init__(self, client: Client) -> None:
        """Use a connection that somebody else opened and closes; see :meth:`connect`."""
        self.client = client
        self._js = client.jetstream(timeout=REPLY_S)
        self._clock = BrokerClock()
        self._missed: list[Callable[[], None]] = []

    @classmethod
    async def connect(
        cls, url: str, *, name: str, lost: Callable[[], None] | None = None, problem: Callable[[Exception], None] | None = None
    ) -> Self:
        """Open a connection that comes back by itself for as long as the process lives.

        Args:
            url: Where the broker is; user and password may be part of it.
            name: Shown in the broker's connection list.
            lost: Called once if the connection is closed for good.
            problem: Called with every error of the connection, denied permissions included.

        Raises:
            ContractError: ``unavailable``, saying what to do.
        """
        made: list[Self] = []
        options = connection_options(url, name=name, lost=lost, problem=problem, gap=lambda: [bus._may_have_missed() for bus in made])  # noqa: SLF001
        made.append(cls(await first_connection(nats.connect(**options), url)))
        return made[0]

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

    async def provision(self, consumers: Iterable[Consumer], *, replicas: int = 1) -> None:
        """Create or update every stream and these consumers."""
        await provision(self._js, consumers, max_payload=self.client.max_payload, replicas=replicas)

    async def store(self, subject: str, body: bytes, headers: Headers | None = None, *, ttl_s: float | None = None) -> bool:
        """Store the first message of a subject; tell whether it was this one."""
        try:
            await self._publish(subject, body, {**(headers or {}), **_FIRST_ONLY}, ttl_s)
        except APIError as error:
            if error.err_code == ALREADY_THERE:
                return False
            if error.err_code == FULL_OR_REFUSED:
                if await self.read(subject) is not None:
                    return False
                raise ContractError(ErrorCode.OVERLOADED, f"{stream_of(subject).name} is full", retry_after_s=5.0) from error
            if error.err_code == TOO_LARGE:
                raise ContractError(ErrorCode.TOO_LONG, f"{len(body)} bytes are more than {stream_of(subject).name} takes") from error
            raise ContractError(ErrorCode.UNAVAILABLE, f"the broker refused {subject}: {error}") from error
        return True

    async def append(self, subject: str, body: bytes, headers: Headers, *, message_id: str) -> None:
        """Add to a log; the same id twice is one entry."""
        try:
            await self._publish(subject, body, {**headers, api.Header.MSG_ID.value: message_id}, None)
        except APIError as error:
            raise ContractError(ErrorCode.UNAVAILABLE, f"the broker refused {subject}: {error}") from error

    async def _publish(self, subject: str, body: bytes, headers: dict[str, str], ttl_s: float | None) -> None:
        ttl = None if ttl_s is None else max(1.0, ttl_s)
        try:
            try:
                await self._js.publish(subject, body, headers=headers, msg_ttl=ttl)
            except nats.errors.Error as error:
                if not _passes(error):
                    raise
                async for attempt in stamina.retry_context(
                    on=_passes, timeout=PUBLISH_RETRY_S, attempts=None, wait_initial=0.1, wait_max=1.0
                ):
                    with attempt:
                        await self._js.publish(subject, body, headers=headers, msg_ttl=ttl)
        except NoStreamResponseError as error:
            hint = "is the broker provisioned (smallmesh provision, which `up` does by itself)?"
            raise ContractError(ErrorCode.UNAVAILABLE, f"no stream takes {subject}; {hint}") from error
        except nats.errors.MaxPayloadError as error:
            raise ContractError(ErrorCode.TOO_LONG, f"{len(body)} bytes are more than the broker takes in one message") from error
        except (nats.errors.Error, TimeoutError) as error:
            if isinstance(error, APIError):
                raise
            raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not answer: {error!r}") from error

    async def read(self, subject: str) -> Message | None:
        """Return what is stored under exactly this subject."""
        try:
            found = await self._js.get_last_msg(stream_of(subject).name, subject, direct=True)
        except NotFoundError:
            return None
        except (nats.errors.Error, TimeoutError) as error:
            raise ContractError(ErrorCode.UNAVAILABLE, f"cannot read {subject}: {error!r}") from error
        return Message(subject, found.data or b"", found.headers or {})

    async def drop(self, subject: str) -> None:
        """Forget what is stored under exactly this subject."""
        told = await nats_reading.manage(self.client, f"STREAM.PURGE.{stream_of(subject).name}", {"filter": subject})
        if "error" in told:
            raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not drop {subject}: {told['error']}")

    def entries(self, subject: str, *, after: int = 0) -> AsyncIterator[Entry]:
        """Give what the stream of a subject keeps under it."""
        return nats_reading.entries(self.client, subject, after)

    async def entry(self, stream: str, sequence: int) -> Entry | None:
        """Return one message of a stream by its number."""
        return await nats_reading.entry(self.client, stream, sequence)

    async def remove(self, stream: str, sequence: int) -> bool:
        """Delete one message of a stream."""
        return await nats_reading.remove(self.client, stream, sequence)

    async def announce(self, subject: str, body: bytes = b"") -> None:
        """Say something to whoever watches."""
        try:
            await self.client.publish(subject, body)
        except nats.errors.Error as error:
            raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not take {subject}: {error!r}") from error

    async def request(self, subject: str, body: bytes, headers: Headers | None = None, *, timeout_s: float) -> Message:
        """Ask and wait for one answer."""
        try:
            msg = await self.client.request(subject, body, timeout=timeout_s, headers=dict(headers) if headers else None)
        except nats.errors.NoRespondersError as error:
            raise ContractError(ErrorCode.UNAVAILABLE, f"nobody answers {subject}", retry_after_s=1.0) from error
        except nats.errors.TimeoutError as error:
            raise ContractError(ErrorCode.EXPIRED, f"no answer from {subject} in {timeout_s:.1f} s") from error
        except nats.errors.MaxPayloadError as error:
            raise ContractError(ErrorCode.TOO_LONG, f"{len(body)} bytes are more than the broker takes in one message") from error
        except nats.errors.Error as error:
            raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not answer: {error!r}") from error
        return Message(msg.subject, msg.data, msg.headers or {})

    async def watch(self, subject: str, seen: Callable[[Message], None], *, missed: Callable[[], None] | None = None) -> Subscription:
        """Call ``seen`` for every message that passes by."""

        async def received(msg: Msg) -> None:
            seen(Message(msg.subject, msg.data, msg.headers or {}))

        subscription = await self.client.subscribe(subject, cb=received)
        await subscribed(self.client)
        if missed is not None:
            self._missed.append(missed)
        return _Watch(subscription)

    def _may_have_missed(self) -> None:
        for missed in self._missed:
            missed()

    async def consume(self, consumer: Consumer, handle: Callable[[Delivery], Awaitable[None]], *, slots: int) -> Subscription:
        """Take work by a standing pull."""

        async def received(msg: Msg) -> None:
            await handle(NatsDelivery(msg))

        pull = StandingPull(self.client, consumer.stream, consumer.name, received, slots)
        await pull.start()
        return pull

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


async def first_connection(connecting: Coroutine[Any, Any, T], url: str) -> T:
    """Wait for a process's first connection, which nats-py would try for ever where a lost one shall be.

    Raises:
        ContractError: ``unavailable``, saying what to do.
    """
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            return await connecting
    except TimeoutError as error:
        raise no_broker(url, TimeoutError(f"no connection within {CONNECT_WITHIN_S:.0f} s")) from error
    except (nats.errors.Error, OSError) as error:
        raise no_broker(url, error) from error


def connection_options(
    url: str,
    *,
    name: str,
    lost: Callable[[], None] | None = None,
    problem: Callable[[Exception], None] | None = None,
    gap: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Return the one way in which every process connects; see :meth:`NatsBus.connect`. ``gap`` hears that messages may have been missed."""

    async def closed() -> None:
        if lost is not None:
            lost()

    async def failed(error: Exception) -> None:
        if problem is not None:
            problem(error)
        if gap is not None and isinstance(error, nats.errors.SlowConsumerError):
            gap()

    async def reconnected() -> None:
        if gap is not None:
            gap()

    return {
        "servers": [url],
        "name": name,
        "connect_timeout": 2,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.5,
        "closed_cb": closed,
        "error_cb": failed,
        "reconnected_cb": reconnected,
    }


def no_broker(url: str, error: Exception) -> ContractError:
    """Say that no broker is there, and what to do."""
    shown = url.rpartition("@")[2]
    hint = "start one with `smallmesh up`, or name yours with --nats URL or SMALLMESH_NATS_URL"
    return ContractError(ErrorCode.UNAVAILABLE, f"no NATS broker at {shown} ({str(error) or type(error).__name__}): {hint}")
