"""Durable steps: what the chassis does around one work message, whatever the transport.

``guard`` decides the message's fate; ``work`` is what happens in between. The
states a worker can die in, and what follows from each:

- before the result is stored: the broker redelivers the message after the ack wait;
- after it is stored, before the acknowledgement: redelivered, the result is found, acknowledged;
- after the acknowledgement: nothing is left to do.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

from smallmesh.bus import Bus, Delivery
from smallmesh.dead_letters import bury
from smallmesh.retry import GiveUp, RetryLater, RetryPolicy, error_of
from smallmesh.telemetry import inject, logger, names, span
from smallmesh_contracts import (
    Address,
    Answer,
    ContractError,
    ErrorCode,
    ErrorInfo,
    EscalationStep,
    Lane,
    Step,
    StepResult,
    Wire,
    decode,
    digest_of,
    limits,
    subjects,
)

RESULT_KEPT_S = 3600.0
"""A result outlives its task's deadline by this, for an orchestrator that comes back late."""

FRESH_S = 1.0
"""A step that was published so recently and never delivered before is done without asking
whether it still must be: at worst one inference is wasted, and its result changes nothing."""


S = TypeVar("S", bound=Step | EscalationStep)


class StepWorker(Generic[S]):
    """Handles the work messages of one agent or service."""

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, from what only that place has
        self,
        bus: Bus,
        origin: str,
        body: type[S],
        result_subject: Callable[[str], str],
        respond: Callable[[Delivery, Address, Lane, S, float], Awaitable[Answer]],
        retry: RetryPolicy,
        heartbeat_s: float,
    ) -> None:
        """Work for ``origin``.

        Args:
            bus: Where results go.
            origin: Name of the agent or service.
            body: Type of the messages' bodies.
            result_subject: Where the result of a work subject is stored.
            respond: Gives the answer, with the seconds left for it.
            retry: When to try again.
            heartbeat_s: Seconds between signs of life; a third of the ack wait.
        """
        self._bus = bus
        self._origin = origin
        self._body = body
        self._result_subject = result_subject
        self._respond = respond
        self._retry = retry
        self._heartbeat_s = heartbeat_s

    async def handle(self, delivery: Delivery) -> None:
        """See one step of an agent through, from its delivery to its fate."""
        with span(names.PROCESS_STEP, "consumer", headers=delivery.headers, attributes=described(delivery)):
            await self.guard(delivery, lambda: self.work(delivery, decode(self._body, delivery.body)))

    async def guard(self, delivery: Delivery, work: Callable[[], Awaitable[object]]) -> None:
        """Run ``work`` on a message and see to its end: acknowledged, handed back or given up."""
        try:
            with self._heartbeat(delivery):
                self._retry.check(delivery.deliveries)
                await work()
        except asyncio.CancelledError:  # this process is stopping: another replica shall have it at once
            await asyncio.shield(delivery.retry(0.0))
            raise
        except Exception as error:  # noqa: BLE001 - every failure has a fate, decided in one place
            await self._fail(delivery, error_of(error, self._origin))
        else:
            await delivery.ack()

    async def work(self, delivery: Delivery, step: S) -> None:
        """Do one step, unless it is done, over or too late."""
        result_subject = self._result_subject(delivery.subject)
        address = subjects.address_of(delivery.subject)
        if self._may_be_over(delivery) and await self._is_over(address, result_subject):
            return
        left_s = self._left_s(delivery, step.timeout_s)
        if left_s <= 0:
            raise ContractError(ErrorCode.EXPIRED, "the time budget was used up before work began")
        answer = await self._respond(delivery, address, subjects.lane_of(delivery.subject), step, left_s)
        await self._store(result_subject, step.digest, answer, left_s)

    def _may_be_over(self, delivery: Delivery) -> bool:
        return delivery.deliveries > 1 or self._bus.now() - delivery.arrived_at > FRESH_S

    async def _is_over(self, address: Address, result_subject: str) -> bool:
        done, own = await asyncio.gather(self._bus.read(subjects.done(address)), self._bus.read(result_subject))
        return done is not None or own is not None

    async def _store(self, subject: str, digest: str, answer: Answer, left_s: float) -> None:
        body = StepResult(digest=digest, answer=answer).to_bytes()
        await self._bus.store(subject, body, inject(), ttl_s=max(0.0, left_s) + RESULT_KEPT_S)

    def _left_s(self, delivery: Delivery, timeout_s: float) -> float:
        return delivery.arrived_at + timeout_s - self._bus.now()

    async def _fail(self, delivery: Delivery, error: ErrorInfo) -> None:
        digest, timeout_s = _read_leniently(delivery.body)
        left_s = self._left_s(delivery, timeout_s)
        fate = self._retry.fate(error, delivery.deliveries, left_s)
        log = logger().bind(subject=delivery.subject, code=error.code.value, deliveries=delivery.deliveries)
        try:
            match fate:
                case RetryLater(delay_s):
                    log.warning("step_retried", delay_s=round(delay_s, 3), reason=error.message)
                    await delivery.retry(delay_s)
                case GiveUp(final, dead_letter):
                    log.warning("step_given_up", dead_letter=dead_letter, reason=final.message)
                    if dead_letter:
                        await bury(self._bus, delivery, self._origin, final)
                    result_subject = self._result_subject_of(delivery)
                    if result_subject is not None:
                        await self._store(result_subject, digest, Answer(error=final), left_s)
                    await delivery.ack()
        except ContractError as failed:  # the broker took neither result nor dead letter: keep the message
            log.warning("step_kept", reason=failed.info.message)
            await delivery.retry(self._retry.delay_s(delivery.deliveries))

    def _result_subject_of(self, delivery: Delivery) -> str | None:
        """Return where the result goes; None for a subject without an address, whose dead letter is all there is."""
        try:  # apart from storing: the errors of a broker are ValueErrors too
            return self._result_subject(delivery.subject)
        except ValueError:
            return None

    @contextlib.contextmanager
    def _heartbeat(self, delivery: Delivery) -> Iterator[None]:
        """Send signs of life while a step runs; a timer, because most steps end before the first is due."""
        loop = asyncio.get_running_loop()
        beats: set[asyncio.Task[None]] = set()
        timer: asyncio.TimerHandle | None = None

        def beat() -> None:
            nonlocal timer
            _, timeout_s = _read_leniently(delivery.body)
            if self._left_s(delivery, timeout_s) > 0:  # a wedged model must not keep its message for ever
                task = loop.create_task(_still_working(delivery))
                beats.add(task)
                task.add_done_callback(beats.discard)
                timer = loop.call_later(self._heartbeat_s, beat)

        timer = loop.call_later(self._heartbeat_s, beat)
        try:
            yield
        finally:
            timer.cancel()


async def _still_working(delivery: Delivery) -> None:
    with contextlib.suppress(Exception):  # not connected: the broker will redeliver, and the late result be refused
        await delivery.in_progress()


def described(delivery: Delivery) -> dict[str, str | int]:
    """Return the attributes of the span around a message."""
    attributes: dict[str, str | int] = {names.MESSAGING_SYSTEM: names.NATS, names.DELIVERIES: delivery.deliveries}
    try:
        address = subjects.address_of(delivery.subject)
    except ValueError:
        return attributes
    return {**attributes, names.TASK_ID: address.task_id, names.TENANT: address.tenant, names.DATA_CLASS: address.data_class.value}


class _Lenient(Wire):
    digest: str | None = None
    timeout_s: float = limits.MAX_TIMEOUT_S


def _read_leniently(body: bytes) -> tuple[str, float]:
    """Return digest and budget of a body that may be broken."""
    try:
        read = decode(_Lenient, body)
    except ContractError:
        read = _Lenient()
    return read.digest or digest_of(body), read.timeout_s
