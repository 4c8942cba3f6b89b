"""Which streams and consumers there are: values only, so that any tool can read them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from smallmesh_contracts import DataClass, Lane, limits, subjects

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
GIB = 1024**3

LEAVES_THE_HOUSE = (DataClass.PUBLIC, DataClass.INTERNAL)
"""Classes an escalation may have. No stream takes an escalation of restricted
text, so the broker itself refuses it, before any permission is looked at."""
_HEAD = f"{subjects.ROOT}.head."


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of the mesh.

    Attributes:
        name: Its name.
        subjects: What it keeps. Class and lane are named, tenant and id are open.
        kind: ``queue`` (work, gone when acknowledged), ``once`` (the first message
            of a subject is kept and a second refused) or ``log``.
        max_age_s: How long a message is kept; for a queue this is a last resort.
        max_bytes: Size at which it refuses more.
        announces: Where stored messages are republished, if anywhere.
        sealed_against_deletion: Whether nobody can delete or purge.
    """

    name: str
    subjects: tuple[str, ...]
    kind: Literal["queue", "once", "log"]
    max_age_s: float
    max_bytes: int
    announces: tuple[str, str] | None = None
    sealed_against_deletion: bool = False

    @property
    def head(self) -> str | None:
        """Where a queue keeps one message that nobody takes; see :mod:`smallmesh.bus.heads`."""
        return f"{_HEAD}{self.name}" if self.kind == "queue" else None


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable consumer: who takes what from which queue.

    Attributes:
        stream: The queue's name.
        name: The durable's name.
        subject: Its filter; filters of one stream never overlap.
        ack_wait_s: Silence after which the broker gives the message to another replica.
        max_ack_pending: How many may be in hand over all replicas.
        max_deliver: Deliveries after which the broker gives a message up, if ever; the chassis' own limit is lower.
    """

    stream: str
    name: str
    subject: str
    ack_wait_s: float
    max_ack_pending: int
    max_deliver: int = -1


TASKS = Stream(
    "SLM_TASKS",
    (*(subjects.any_submit(lane, c) for lane in Lane for c in DataClass), f"{_HEAD}SLM_TASKS"),
    kind="queue",
    max_age_s=limits.MAX_TIMEOUT_S + DAY_S,
    max_bytes=4 * GIB,
)
WORK = Stream(
    "SLM_WORK",
    (*(subjects.any_work("*", lane, c) for lane in Lane for c in DataClass), f"{_HEAD}SLM_WORK"),
    kind="queue",
    max_age_s=limits.MAX_TIMEOUT_S + DAY_S,
    max_bytes=4 * GIB,
)
ESCALATE = Stream(
    "SLM_ESCALATE",
    (*(subjects.any_escalate(lane, c) for lane in Lane for c in LEAVES_THE_HOUSE), f"{_HEAD}SLM_ESCALATE"),
    kind="queue",
    max_age_s=limits.MAX_TIMEOUT_S + DAY_S,
    max_bytes=1 * GIB,
)
RESULTS = Stream(
    "SLM_RESULTS",
    tuple(subjects.any_result(c) for c in DataClass),
    kind="once",
    max_age_s=limits.MAX_TIMEOUT_S + HOUR_S,
    max_bytes=8 * GIB,
    announces=(subjects.ALL_RESULTS, subjects.stored(subjects.ALL_RESULTS)),
)
DONE = Stream(
    "SLM_DONE",
    tuple(subjects.any_done(c) for c in DataClass),
    kind="once",
    max_age_s=DAY_S,
    max_bytes=8 * GIB,
    announces=(f"{subjects.ROOT}.done.>", subjects.stored(f"{subjects.ROOT}.done.>")),
)
DEAD = Stream("SLM_DEAD", tuple(subjects.any_dead(c) for c in DataClass), kind="log", max_age_s=30 * DAY_S, max_bytes=2 * GIB)
CLAIMS = Stream("SLM_CLAIMS", tuple(subjects.any_claim(c) for c in LEAVES_THE_HOUSE), kind="once", max_age_s=HOUR_S, max_bytes=GIB // 8)
AUDIT = Stream("SLM_AUDIT", (subjects.AUDIT,), kind="log", max_age_s=0.0, max_bytes=1 * GIB, sealed_against_deletion=True)
_GIVEN_UP = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES"
ADVISORIES = Stream(
    "SLM_ADVISORIES",
    tuple(f"{_GIVEN_UP}.{queue.name}.*" for queue in (TASKS, WORK, ESCALATE)),
    kind="log",  # the broker's advisories of one consumer have one subject: a queue would take one at a time
    max_age_s=30 * DAY_S,
    max_bytes=GIB // 16,
)

STREAMS = (TASKS, WORK, ESCALATE, RESULTS, DONE, DEAD, CLAIMS, AUDIT, ADVISORIES)
_BY_KIND = {
    "submit": TASKS,
    "work": WORK,
    "escalate": ESCALATE,
    "result": RESULTS,
    "done": DONE,
    "dead": DEAD,
    "claim": CLAIMS,
    "audit": AUDIT,
}

LEASE_WAIT_S = 30.0
"""A lease is renewed three times in this; an orchestrator that dies is replaced after it."""
STEP_WAIT_S = 10.0
"""Shorter than a lease: a step is short, and its agent's death should be noticed soon."""
MOST_DELIVERIES = 100
"""The broker's own limit, a backstop: the chassis gives a message up after 5 or 20 deliveries (decision 13)."""
MOVER_WAIT_S = 30.0


def stream_of(subject: str) -> Stream:
    """Return the stream that keeps a subject.

    Raises:
        KeyError: No stream keeps subjects of this kind.
    """
    if subject.startswith(_HEAD):
        return next(stream for stream in STREAMS if stream.head == subject)
    return _BY_KIND[subject.removeprefix(subjects.ROOT + ".").partition(".")[0]]


def lease_consumers(classes: Iterable[DataClass], ack_wait_s: float = LEASE_WAIT_S) -> tuple[Consumer, ...]:
    """Return the consumers of an orchestrator that serves some classes, interactive first."""
    return tuple(
        Consumer(TASKS.name, f"orchestrator-{lane.value}-{c.value}", subjects.any_submit(lane, c), ack_wait_s, 50_000, MOST_DELIVERIES)
        for lane in Lane
        for c in classes
    )


def step_consumers(agent: str, ack_wait_s: float = STEP_WAIT_S) -> dict[Lane, Consumer]:
    """Return the consumers that all replicas of one agent share."""
    return {
        lane: Consumer(WORK.name, f"{agent}-{lane.value}", subjects.any_work(agent, lane), ack_wait_s, 10_000, MOST_DELIVERIES)
        for lane in Lane
    }


def escalation_consumers(service: str, ack_wait_s: float = STEP_WAIT_S) -> dict[Lane, Consumer]:
    """Return the consumers that all replicas of the escalation service share."""
    return {
        lane: Consumer(ESCALATE.name, f"{service}-{lane.value}", subjects.any_escalate(lane), ack_wait_s, 1_000, MOST_DELIVERIES)
        for lane in Lane
    }


def mover_consumer() -> Consumer:
    """Return the consumer that all orchestrators share, of what the broker has given up."""
    return Consumer(ADVISORIES.name, "mover", f"{_GIVEN_UP}.*.*", MOVER_WAIT_S, 1_000)


def all_consumers(
    agents: Iterable[str], services: Iterable[str], *, step_wait_s: float = STEP_WAIT_S, lease_wait_s: float = LEASE_WAIT_S
) -> tuple[Consumer, ...]:
    """Return every consumer of a mesh with these agents and services."""
    return (
        mover_consumer(),
        *lease_consumers(DataClass, lease_wait_s),
        *(c for agent in agents for c in step_consumers(agent, step_wait_s).values()),
        *(c for service in services for c in escalation_consumers(service, step_wait_s).values()),
    )
