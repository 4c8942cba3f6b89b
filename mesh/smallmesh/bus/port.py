"""What a bus is: values that travel and the operations a process may use."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from smallmesh.bus.layout import Consumer
from smallmesh_contracts import Answer, ContractError, ErrorCode, ErrorInfo

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was stored or answered.

    Attributes:
        subject: Where it was published.
        body: Its bytes.
        headers: Its headers.
        sequence: Its number in its stream, where it was read from one, else 0.
        stored_at: When the broker took it in, in seconds of the broker's clock, where it was read from a stream, else 0.
    """

    subject: str
    body: bytes
    headers: Headers = field(default_factory=dict)
    sequence: int = 0
    stored_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as a stream keeps it.

    Attributes:
        sequence: Its number in its stream.
        stored_at: When the broker took it in, in seconds of the broker's clock.
        message: The message.
    """

    sequence: int
    stored_at: float
    message: Message


class Delivery(Protocol):
    """One durable message in hand: it stays the broker's until it is acknowledged."""

    @property
    def subject(self) -> str:
        """Where it was published."""

    @property
    def body(self) -> bytes:
        """Its bytes."""

    @property
    def headers(self) -> Headers:
        """Its headers."""

    @property
    def deliveries(self) -> int:
        """How often it was delivered, this time included."""

    @property
    def arrived_at(self) -> float:
        """When the broker took it in, in seconds of the broker's clock."""

    @property
    def sequence(self) -> int:
        """Its number in its stream."""

    async def ack(self) -> None:
        """Finish it: the broker forgets it."""

    async def retry(self, delay_s: float) -> None:
        """Hand it back, to be delivered again after ``delay_s`` seconds."""

    async def in_progress(self) -> None:
        """Ask the broker for another acknowledgement window."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a call. ``error`` is the code of the error that the body carries, if any."""

    body: bytes
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request that somebody waits for."""

    subject: str
    body: bytes
    headers: Headers


def as_answer(call: Call, error: ErrorInfo) -> bytes:  # noqa: ARG001 - the form is the endpoint's
    """Return an error in the form that an ask's reply has."""
    return Answer(error=error).to_bytes()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A subject that a service answers.

    Attributes:
        name: In ``$SRV.INFO``.
        subject: What callers request on.
        handler: Answers a call.
        metadata: In ``$SRV.INFO``.
        refusal: Gives the body of the reply to a call that the handler does not answer.
    """

    name: str
    subject: str
    handler: Callable[[Call], Awaitable[Reply]]
    metadata: Mapping[str, str] = field(default_factory=dict)
    refusal: Callable[[Call, ErrorInfo], bytes] = as_answer

    def refused(self, call: Call, raised: Exception) -> Reply:
        """Return the reply to a call whose handler raised, or was not asked: a caller never waits in vain for an error."""
        if isinstance(raised, ContractError):
            info = raised.info
        else:
            info = ErrorInfo(code=ErrorCode.INTERNAL, message=f"{type(raised).__name__} while answering", retryable=True)
        return Reply(self.refusal(call, info), info.code.value)


def overloaded() -> ContractError:
    """Return what a caller is told where a service has all the calls in hand that it may."""
    return ContractError(ErrorCode.OVERLOADED, "too many calls in hand", retry_after_s=0.5)


def stopped() -> ContractError:
    """Return what a caller is told whose call is in hand when its process stops."""
    return ContractError(ErrorCode.UNAVAILABLE, "stopped before it was answered", retry_after_s=1.0)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What a process answers, and what it says of itself under ``$SRV``.

    ``slots`` bounds how many calls are in hand at once; the next one is refused as overloaded.
    ``grace_s`` is what calls in hand may take at a stop, where it is not the bus's own.
    """

    name: str
    version: str
    description: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[Endpoint, ...] = ()
    slots: int = 256
    grace_s: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """What one running replica says of itself."""

    name: str
    id: str
    version: str
    description: str
    metadata: Mapping[str, str]
    subjects: tuple[str, ...]


class Subscription(Protocol):
    """Something that can be stopped."""

    async def stop(self) -> None:
        """Take nothing more. What is in hand may end within a moment; what does not is cancelled, and hands itself back."""


class Bus(Protocol):
    """Everything a process may do with the broker.

    Every operation raises :class:`smallmesh_contracts.ContractError` with code
    ``unavailable`` where the broker does not answer, ``unauthorized`` where it does
    not permit a publication, and nothing else of its own.
    """

    def now(self) -> float:
        """Return the broker's time in seconds, whatever the clock of this machine says."""

    async def store(self, subject: str, body: bytes, headers: Headers | None = None, *, ttl_s: float | None = None) -> bool:
        """Store the first message of a subject; tell whether it was this one.

        ``False`` means that another is there already and stays.

        Raises:
            ContractError: ``overloaded`` where the stream is full.
        """

    async def append(self, subject: str, body: bytes, headers: Headers, *, message_id: str) -> None:
        """Add to a log (dead letters, audit). The same id twice is one entry.

        Raises:
            ContractError: ``overloaded`` where the log is full.
        """

    async def read(self, subject: str) -> Message | None:
        """Return what is stored under exactly this subject."""

    async def request(self, subject: str, body: bytes, headers: Headers | None = None, *, timeout_s: float) -> Message:
        """Ask and wait. Nobody there or no answer in time: ``unavailable``, ``expired``."""

    async def drop(self, subject: str) -> None:
        """Forget what is stored under exactly this subject, so that it is free again."""

    def entries(self, subject: str, *, after: int = 0) -> AsyncIterator[Entry]:
        """Give what the stream of a subject keeps under it (wildcards allowed), oldest first, from after a sequence number on."""

    async def entry(self, stream: str, sequence: int) -> Entry | None:
        """Return one message of a stream by its number."""

    async def remove(self, stream: str, sequence: int) -> bool:
        """Delete one message of a stream; tell whether it was there."""

    async def announce(self, subject: str, body: bytes = b"") -> None:
        """Say something to whoever watches just now; nothing is kept, and nobody need hear it."""

    async def watch(self, subject: str, seen: Callable[[Message], None], *, missed: Callable[[], None] | None = None) -> Subscription:
        """Call ``seen`` for every message that passes by; none is kept for later.

        ``missed`` is called where some may have passed by unseen: the connection was away, or this process too slow.
        """

    async def consume(
        self,
        consumer: Consumer,
        handle: Callable[[Delivery], Awaitable[None]],
        *,
        slots: int,
        ahead_s: float | None = None,
        grace_s: float | None = None,
    ) -> Subscription:
        """Take work, at most ``slots`` messages in hand. ``handle`` decides each one's fate.

        With ``ahead_s``, no more are in hand than are worked off in so many seconds, and always one: several replicas
        share what there is, and none keeps an idle one waiting. What is in hand at a stop may take
        ``grace_s`` seconds, where that is not the bus's own.
        """

    async def serve(self, spec: ServiceSpec) -> Subscription:
        """Answer calls, sharing them with every other replica of the same name."""

    async def services(self, wait_s: float) -> list[ServiceInfo]:
        """Return every replica that answers within ``wait_s`` seconds."""

    async def close(self) -> None:
        """Leave the broker; what was sent is flushed first."""
