"""Reading dead letters: what each says of itself, one by one or those that are looked for."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from smallmesh.bus import Bus, Entry
from smallmesh.bus.layout import DEAD
from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, ErrorInfo, Lane, decode, headers, subjects

_LONGEST_NUMBER = 10
_OURS = frozenset({headers.REASON, headers.ORIGIN, headers.DELIVERIES, headers.ARRIVED})


@dataclass(frozen=True, slots=True)
class Letter:
    """What a dead letter says of itself; its payload is a text, and not among it.

    Attributes:
        number: In the stream of dead letters.
        died_at: When it was given up, in seconds of the broker's clock.
        arrived_at: When the broker had taken it in; None where it does not say.
        data_class: How far it may travel.
        origin: Who gave it up: an agent, a service, or the orchestrator.
        subject: Where it came from; empty where it does not say.
        address: Whose task it was; None where its subject tells none.
        lane: In which lane; likewise.
        reason: Why it was given up; None where it does not say.
        deliveries: How often it had been delivered; likewise.
        size: Of its payload, in bytes.
        carried: The headers that it had when it was a message.
    """

    number: int
    died_at: float
    arrived_at: float | None
    data_class: DataClass
    origin: str
    subject: str
    address: Address | None
    lane: Lane | None
    reason: ErrorInfo | None
    deliveries: int | None
    size: int
    carried: Mapping[str, str]

    @property
    def trace_id(self) -> str | None:
        """The trace that it was part of, as 32 hex digits."""
        parts = self.carried.get("traceparent", "").split("-")
        return parts[1] if len(parts) > 1 and parts[1] else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters are looked for; what is not said excludes none.

    Attributes:
        reasons: Codes of their reasons.
        origin: Who gave them up.
        tenant: Whose tasks.
        data_class: Of which class.
        since: Given up at this time or later, in seconds of the broker's clock.
        until: Given up at this time or before.
    """

    reasons: frozenset[ErrorCode] = field(default_factory=frozenset)
    origin: str | None = None
    tenant: str | None = None
    data_class: DataClass | None = None
    since: float | None = None
    until: float | None = None

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter is one of them."""
        return (
            (not self.reasons or (letter.reason is not None and letter.reason.code in self.reasons))
            and self.origin in (None, letter.origin)
            and (self.tenant is None or (letter.address is not None and letter.address.tenant == self.tenant))
            and self.data_class in (None, letter.data_class)
            and (self.since is None or letter.died_at >= self.since)
            and (self.until is None or letter.died_at <= self.until)
        )


async def letters(bus: Bus, wanted: Wanted) -> AsyncIterator[tuple[Letter, bytes]]:
    """Yield the dead letters that are looked for with their payloads, oldest first; a few are held at a time.

    Raises:
        ContractError: ``unavailable``: the broker does not answer, or has no stream of dead letters.
    """
    async for entry in bus.entries(subjects.any_dead(wanted.data_class)):
        if wanted.until is not None and entry.stored_at > wanted.until:
            return
        letter = letter_of(entry)
        if wanted.takes(letter):
            yield letter, entry.message.body


async def find(bus: Bus, number: int) -> tuple[Letter, bytes] | None:
    """Return one dead letter with its payload; None where there is none of this number."""
    entry = await bus.entry(DEAD.name, number)
    return None if entry is None else (letter_of(entry), entry.message.body)


async def forget(bus: Bus, number: int) -> bool:
    """Remove a dead letter; tell whether it was there. To do it twice is the same.

    Raises:
        ContractError: ``unavailable``: it is there still.
    """
    if await bus.remove(DEAD.name, number):
        return True
    if await bus.entry(DEAD.name, number) is not None:
        raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not remove dead letter {number}")
    return False


def letter_of(entry: Entry) -> Letter:
    """Read a dead letter; whatever it does not say, or says in a form that nobody knows, is left out."""
    told = entry.message.headers
    _, _, data_class, origin = entry.message.subject.rsplit(".", 3)
    subject = told.get(headers.ORIGIN, "")
    address, lane = _address_and_lane(subject)
    deliveries = told.get(headers.DELIVERIES, "")
    return Letter(
        number=entry.sequence,
        died_at=entry.stored_at,
        arrived_at=_seconds(told.get(headers.ARRIVED, "")),
        data_class=DataClass(data_class),
        origin=origin,
        subject=subject,
        address=address,
        lane=lane,
        reason=_reason(told.get(headers.REASON, "")),
        deliveries=int(deliveries) if deliveries.isdecimal() and len(deliveries) < _LONGEST_NUMBER else None,
        size=len(entry.message.body),
        carried={name: value for name, value in told.items() if name not in _OURS and not name.startswith("Nats-")},
    )


def _address_and_lane(subject: str) -> tuple[Address | None, Lane | None]:
    try:
        address = subjects.address_of(subject)
    except ValueError:
        return None, None
    try:
        return address, subjects.lane_of(subject)
    except ValueError:
        return address, None


def _reason(told: str) -> ErrorInfo | None:
    try:
        return decode(ErrorInfo, told.encode())
    except ContractError:
        return None


def _seconds(told: str) -> float | None:
    try:
        return datetime.fromisoformat(told).timestamp()
    except (ValueError, OverflowError, OSError):  # no time, or one that no clock has shown
        return None
