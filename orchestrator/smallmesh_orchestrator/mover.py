"""The mover: ends what the broker has given up.

The chassis counts deliveries itself and gives a message up long before the broker does
(decision 2). What nevertheless reaches the broker's limit died before anybody
could count: it stays in its queue, delivered to nobody, and its task would wait for its
whole time budget. The broker says so by an advisory, which is kept in a queue of its own.

What a replica's death leaves, by what was done before it:

1. nothing: the advisory is delivered again;
2. the dead letter is kept: it is kept once more under the same id, which changes nothing;
3. the error is stored where somebody waits for it: a result that is there stays;
4. the message is deleted: it is not found any more, and nothing is left to do;
5. the advisory is deleted and acknowledged.
"""

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ValidationError

from smallmesh.bus import Bus, Delivery, Entry
from smallmesh.bus.layout import ADVISORIES, TASKS
from smallmesh.bus.port import Headers
from smallmesh.catalogue import Catalogue
from smallmesh.dead_letters import bury
from smallmesh.retry import RetryPolicy, error_of
from smallmesh.serving.lenient import read_leniently
from smallmesh.serving.steps import RESULT_KEPT_S
from smallmesh.telemetry import logger
from smallmesh_contracts import Answer, ErrorCode, ErrorInfo, StepResult, digest_of, subjects
from smallmesh_orchestrator.results import failed, took_ms
from smallmesh_orchestrator.submissions import ORIGIN

MOVER_SLOTS: Final = 4
"""Advisories in hand at once: they are rare, and the messages they tell of may be large."""


class Advisory(BaseModel):
    """What the broker says of a message that it has given up."""

    stream: str
    consumer: str
    stream_seq: int
    deliveries: int


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A message that nobody is handed any more, in the form of a delivery."""

    entry: Entry
    deliveries: int

    @property
    def subject(self) -> str:
        """Where it was published."""
        return self.entry.message.subject

    @property
    def body(self) -> bytes:
        """Its bytes."""
        return self.entry.message.body

    @property
    def headers(self) -> Headers:
        """Its headers."""
        return self.entry.message.headers

    @property
    def arrived_at(self) -> float:
        """When the broker took it in."""
        return self.entry.stored_at

    @property
    def sequence(self) -> int:
        """Its number in its stream."""
        return self.entry.sequence

    async def ack(self) -> None:
        """Do nothing: it is in nobody's hand."""

    async def retry(self, delay_s: float) -> None:
        """Do nothing."""

    async def in_progress(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of a task or step that was given up: where it is awaited, what it is, and for how many seconds it is kept."""

    subject: str
    body: bytes
    ttl_s: float | None = None


class Mover:
    """Moves what the broker has given up to the dead letters, and ends what waits for it."""

    def __init__(self, bus: Bus, catalogue: Catalogue, retry: RetryPolicy | None = None) -> None:
        """Move over a bus; the catalogue says whose answer is missing, ``retry`` when to try again what failed."""
        self._bus = bus
        self._catalogue = catalogue
        self._retry = retry or RetryPolicy()

    async def handle(self, delivery: Delivery) -> None:
        """See to one advisory."""
        try:
            advisory = Advisory.model_validate_json(delivery.body)
        except ValidationError:
            logger().warning("advisory_unreadable", subject=delivery.subject)
            await delivery.ack()
            return
        try:
            await self._move(advisory)
            await self._bus.remove(ADVISORIES.name, delivery.sequence)
            await delivery.ack()
        except Exception as error:  # noqa: BLE001 - whatever it was, the message must not be lost
            info = error_of(error, ORIGIN)
            logger().warning(
                "move_retried", stream=advisory.stream, sequence=advisory.stream_seq, code=info.code.value, reason=info.message
            )
            await delivery.retry(self._retry.delay_s(delivery.deliveries))

    async def _move(self, advisory: Advisory) -> None:
        entry = await self._bus.entry(advisory.stream, advisory.stream_seq)
        if entry is None:  # moved already, or acknowledged at the last moment
            return
        given_up = GivenUp(entry, advisory.deliveries)
        error = ErrorInfo(
            code=ErrorCode.INTERNAL, message=f"given up by the broker after {advisory.deliveries} deliveries that never ended"
        )
        end = self._task_ends(given_up, error) if advisory.stream == TASKS.name else self._step_ends(given_up, error)
        if end is None or not await self._has_ended(end):
            await bury(self._bus, given_up, ORIGIN, error)
        if end is not None:
            await self._bus.store(end.subject, end.body, ttl_s=end.ttl_s)
        await self._bus.remove(advisory.stream, advisory.stream_seq)
        logger().warning("message_moved", subject=given_up.subject, consumer=advisory.consumer, deliveries=advisory.deliveries)

    async def _has_ended(self, end: End) -> bool:
        """Tell whether what was given up was done all the same, only never acknowledged."""
        there = await self._bus.read(end.subject)
        return there is not None and read_leniently(there.body)[0] == read_leniently(end.body)[0]

    def _task_ends(self, given_up: GivenUp, error: ErrorInfo) -> End:
        address = subjects.address_of(given_up.subject)
        took, body = took_ms(given_up.arrived_at, self._bus.now()), given_up.body
        return End(subjects.done(address), failed(address, error, body=body, digest=digest_of(body), took_ms=took).to_bytes())

    def _step_ends(self, given_up: GivenUp, error: ErrorInfo) -> End | None:
        subject, agent = self._result_subject(given_up.subject)
        if subject is None:
            return None
        digest, timeout_s = read_leniently(given_up.body)
        left_s = given_up.arrived_at + timeout_s - self._bus.now()
        answer = Answer(error=error.model_copy(update={"step": agent}))
        return End(subject, StepResult(digest=digest, answer=answer).to_bytes(), max(0.0, left_s) + RESULT_KEPT_S)

    def _result_subject(self, subject: str) -> tuple[str | None, str | None]:
        """Return where a step's result is awaited, and whose it is; nowhere where the agent is not known here."""
        kind, agent = subject.split(".")[2:4]
        if kind == "escalate":
            answer = subject.rpartition(".")[2]
            giver = self._catalogue.giver(answer)
        else:
            known = self._catalogue.agents.get(agent)
            giver, answer = (agent, known.agent.answer) if known is not None else (None, "")
        return (None, None) if giver is None else (subjects.result(subjects.address_of(subject), giver, answer), giver)
