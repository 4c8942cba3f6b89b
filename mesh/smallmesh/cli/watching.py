"""Tasks going by: messages into events, and events into a board of tasks. No text is kept, and memory is bounded."""

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any

from smallmesh.bus import Message
from smallmesh_contracts import (
    Address,
    Answer,
    ContractError,
    DataClass,
    ErrorCode,
    ErrorInfo,
    Lane,
    Status,
    StepResult,
    TaskResult,
    decode,
    headers,
    subjects,
)

KEPT = 2000
"""Tasks on the board, far more than a terminal shows; the oldest leave it."""
RATE_OVER_S = 10
"""Seconds over which a rate is taken."""
OVERDUE_S = 3.0
"""Seconds in hand after which a task's result is looked up: it may have been there before, or have passed by unseen."""
_AGAIN_S = 30.0
_TIMES = 1000
"""Latest tasks whose times make the percentiles."""


class Kind(StrEnum):
    """What happened to a task."""

    SUBMITTED = "submitted"
    ANSWERED = "answered"
    DONE = "done"
    DEAD = "dead"


class Only(StrEnum):
    """Which tasks are shown."""

    FAILED = "failed"
    COMPLETED = "completed"
    MARKED = "marked"


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What is shown of one answer.

    Attributes:
        by: Who gave it.
        ms: What the work took.
        error: Why there is none.
        marked: Whether it marks the request complex.
        value: Only where values are asked for and the class is not restricted.
    """

    by: str = ""
    ms: float | None = None
    error: ErrorInfo | None = None
    marked: bool = False
    value: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        error = self.error.model_dump(mode="json", exclude_none=True) if self.error else None
        told = {"by": self.by, "ms": self.ms, "error": error, "marked": self.marked or None, "value": self.value}
        return {name: one for name, one in told.items() if one is not None}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: What.
        at: When it was seen here, in seconds since the epoch.
        address: Whose; None for a dead letter that names no task.
        data_class: How far the text may travel.
        lane: Where it was submitted.
        answers: By name; of an answered step the one.
        status: How the task ended.
        took_ms: From the broker's arrival time to the end.
        error: Why the task as a whole failed, or why a letter is dead.
        origin: Who gave a dead letter up.
    """

    kind: Kind
    at: float
    address: Address | None
    data_class: DataClass
    lane: Lane | None = None
    answers: Mapping[str, Glimpse] = field(default_factory=dict)
    status: Status | None = None
    took_ms: float | None = None
    error: ErrorInfo | None = None
    origin: str = ""

    @property
    def marked(self) -> bool:
        """Whether an answer marks the request complex."""
        return any(one.marked for one in self.answers.values())

    def as_json(self) -> dict[str, Any]:
        """Return it for programs: what it does not say is left out."""
        address = self.address
        told = {
            "event": self.kind.value,
            "at": round(self.at, 3),
            "tenant": address.tenant if address else None,
            "class": self.data_class.value,
            "id": address.task_id if address else None,
            "lane": self.lane.value if self.lane else None,
            "status": self.status.value if self.status else None,
            "took_ms": self.took_ms,
            "origin": self.origin or None,
            "answers": {name: one.as_json() for name, one in self.answers.items()} or None,
            "error": self.error.model_dump(mode="json", exclude_none=True) if self.error else None,
        }
        return {name: one for name, one in told.items() if one is not None}


def subjects_of(classes: tuple[DataClass, ...], tenant: str | None) -> list[str]:
    """Return what to listen to: class by class, so that a connection which may see one class sees that."""
    per_class = ((*(subjects.any_submit(lane, c) for lane in Lane), subjects.any_stored(c), subjects.any_dead(c)) for c in classes)
    return [*(one for of in per_class for one in of), *(subjects.any_done(c, tenant or "*") for c in classes)]


def event_of(message: Message, *, values: bool) -> Event | None:
    """Read a message that passed by; None for one that is nothing of ours.

    Args:
        message: As it came.
        values: Keep the values of answers, but never of restricted tasks.
    """
    kind = message.subject.removeprefix(subjects.ROOT + ".").partition(".")[0]
    try:
        return _READERS[kind](message, time.time(), values)
    except (KeyError, ValueError):  # ContractError is a ValueError: a body that nobody can read
        return None


def _submitted(message: Message, at: float, _values: bool) -> Event:
    address = subjects.address_of(message.subject)
    return Event(Kind.SUBMITTED, at, address, address.data_class, subjects.lane_of(message.subject))


def _answered(message: Message, at: float, values: bool) -> Event:
    address = subjects.address_of(message.subject)
    name = message.subject.rpartition(".")[2]
    answer = _glimpse(decode(StepResult, message.body).answer, address, values=values)
    return Event(Kind.ANSWERED, at, address, address.data_class, answers={name: answer})


def _done(message: Message, at: float, values: bool) -> Event:
    address = subjects.address_of(message.subject)
    result = decode(TaskResult, message.body)
    answers = {name: _glimpse(answer, address, values=values) for name, answer in result.answers.items()}
    return Event(
        Kind.DONE, at, address, address.data_class, answers=answers, status=result.status, took_ms=result.took_ms, error=result.error
    )


def _dead(message: Message, at: float, _values: bool) -> Event:
    data_class, origin = message.subject.split(".")[-2:]
    try:
        reason = decode(ErrorInfo, message.headers.get(headers.REASON, "").encode())
    except ContractError:
        reason = ErrorInfo(code=ErrorCode.INTERNAL, message="no reason is given")
    try:
        address: Address | None = subjects.address_of(message.headers.get(headers.ORIGIN, ""))
    except ValueError:
        address = None
    return Event(Kind.DEAD, at, address, DataClass(data_class), error=reason, origin=origin)


_READERS = {"submit": _submitted, "stored": _answered, "done": _done, "dead": _dead}


def _glimpse(answer: Answer, address: Address, *, values: bool) -> Glimpse:
    provenance = answer.provenance
    by, ms = (provenance.answered_by, provenance.worked_ms) if provenance else ("", None)
    shown = answer.value if values and address.data_class is not DataClass.RESTRICTED else None
    return Glimpse(by, ms, answer.error, answer.marked, shown)


@dataclass(slots=True)
class Row:
    """A task on the board.

    Attributes:
        address: Whose.
        seen_at: When it was first seen, in seconds since the epoch.
        lane: Where it was submitted, if that was seen.
        answers: What came so far.
        status: How it ended; None while it is in hand.
        took_ms: What it took.
        error: Why it failed as a whole.
        dead: Who gave something of it up, and why.
        looked_up_at: When its result was last looked up.
    """

    address: Address
    seen_at: float
    lane: Lane | None = None
    answers: dict[str, Glimpse] = field(default_factory=dict)
    status: Status | None = None
    took_ms: float | None = None
    error: ErrorInfo | None = None
    dead: dict[str, ErrorInfo] = field(default_factory=dict)
    looked_up_at: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether something of it went wrong."""
        return bool(self.dead) or self.status not in (None, Status.COMPLETED)

    def is_shown(self, only: Only | None) -> bool:
        """Tell whether a task is one of those that are looked for."""
        match only:
            case None:
                return True
            case Only.FAILED:
                return self.failed
            case Only.COMPLETED:
                return self.status is Status.COMPLETED
            case Only.MARKED:
                return any(one.marked for one in self.answers.values())


class Board:
    """What has passed by: the latest tasks, and counts of all."""

    def __init__(self, kept: int = KEPT) -> None:
        """Keep so many tasks."""
        self._kept = kept
        self.counts: Counter[str] = Counter()
        self._rows: OrderedDict[Address, Row] = OrderedDict()
        self._ends: deque[float] = deque()
        self._times: deque[float] = deque(maxlen=_TIMES)

    def see(self, event: Event) -> Row | None:
        """Take an event in; return its task's row. A task that has ended stays as it ended."""
        if event.kind is Kind.DEAD:
            self.counts["dead"] += 1
        if event.address is None:
            return None
        row = self._row(event.address, event.at)
        if row.status is not None and event.kind is not Kind.DEAD:
            return row
        row.lane = event.lane or row.lane
        row.answers.update(event.answers)
        if event.kind is Kind.DEAD and event.error is not None:
            row.dead[event.origin] = event.error
        elif event.kind is Kind.DONE:
            self._end(row, event)
        return row

    def _row(self, address: Address, at: float) -> Row:
        if address not in self._rows:
            self._rows[address] = Row(address, at)
            if len(self._rows) > self._kept:
                self._rows.popitem(last=False)
        return self._rows[address]

    def _end(self, row: Row, event: Event) -> None:
        row.status, row.took_ms, row.error = event.status, event.took_ms, event.error
        self.counts[event.status.value if event.status else ""] += 1
        self._ends.append(event.at)
        while self._ends[0] < event.at - RATE_OVER_S:
            self._ends.popleft()
        if event.took_ms is not None:
            self._times.append(event.took_ms)

    def rows(self, only: Only | None = None) -> Iterator[Row]:
        """Yield the tasks that are looked for, newest first."""
        return (row for row in reversed(self._rows.values()) if row.is_shown(only))

    def overdue(self, now: float, limit: int) -> list[Row]:
        """Return tasks that should have ended by now and were not looked up lately, the oldest first."""
        late = (r for r in self._rows.values() if r.status is None and r.seen_at < now - OVERDUE_S and r.looked_up_at < now - _AGAIN_S)
        return list(islice(late, limit))

    @property
    def in_hand(self) -> int:
        """How many tasks of the board have not ended."""
        return sum(1 for row in self._rows.values() if row.status is None)

    @property
    def full(self) -> bool:
        """Whether older tasks have left the board."""
        return len(self._rows) == self._kept

    def rate(self, now: float) -> float:
        """Return how many tasks ended a second, lately."""
        return sum(1 for at in self._ends if at > now - RATE_OVER_S) / RATE_OVER_S

    def percentile(self, share: float) -> float | None:
        """Return the milliseconds under which a share of the latest tasks stayed; None before the first has ended."""
        times = sorted(self._times)
        return times[min(int(share * len(times)), len(times) - 1)] if times else None
