"""Durable steps: what the chassis does around one work message, whatever the transport.

``guard`` decides the message's fate; ``work`` is what happens in between. In which
states a process may die, and what follows from each, says :class:`StepState`.

What fails because the broker is full or away is tried again in hand: a delivery is
spent only where a process dies or stops, or where the work itself has failed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from smallmesh.bus import Bus, Delivery
from smallmesh.dead_letters import bury
from smallmesh.retry import GiveUp, NotYetError, RetryLater, RetryPolicy, error_of
from smallmesh.serving.in_hand import Held, InHand, StepIsOver
from smallmesh.serving.lenient import check_digest, read_leniently
from smallmesh.serving.patience import Patience
from smallmesh.serving.states import StepState
from smallmesh.tasks import wind_up
from smallmesh.telemetry import inject, logger, names, span
from smallmesh_contracts import Answer, ContractError, ErrorCode, ErrorInfo, EscalationStep, Step, StepResult, decode, subjects

RESULT_KEPT_S = 3600.0
"""A result outlives its task's deadline by this, for an orchestrator that comes back late."""

FRESH_S = 1.0
"""A step that was published so recently and never delivered before is done without asking whether it still must be,
unless its cancelling was announced: at worst one inference is wasted, and its result changes nothing."""

MOST_WAITING = 64
"""Messages that wait in hand for what another delivery has claimed; they take no slot, but up to half a MiB each."""

S = TypeVar("S", bound=Step | EscalationStep)
Work = Callable[[], Awaitable[object]]


class StepWorker(Generic[S]):
    """Handles the work messages of one agent or service."""

    def __init__(  # noqa: PLR0913 - made in one place, from what only that place has
        self,
        bus: Bus,
        origin: str,
        body: type[S],
        *,
        result_subject: Callable[[Held], str],
        respond: Callable[[Held, S, float], Awaitable[Answer]],
        retry: RetryPolicy,
        in_hand: InHand,
        fresh_s: float = FRESH_S,
        settled: Callable[[Held], Awaitable[None]] | None = None,
    ) -> None:
        """Work for ``origin``.

        Args:
            bus: Where results go.
            origin: Name of the agent or service.
            body: Type of the messages' bodies.
            result_subject: Where the result of a step is stored. Raises ValueError for a subject without an address.
            respond: Gives the answer, with the seconds left for it.
            retry: When to try again.
            in_hand: What gives the signs of life.
            fresh_s: Age in seconds under which a step is done without asking whether it still must be.
            settled: Called after every ``respond``, once its answer is stored or it has failed.
        """
        self._bus = bus
        self._origin = origin
        self._body = body
        self._result_subject = result_subject
        self._respond = respond
        self._retry = retry
        self._in_hand = in_hand
        self._fresh_s = fresh_s
        self._settled = settled
        self._patience = Patience(retry, bus.now)
        self._waiting: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def handle(self, delivery: Delivery) -> None:
        """See one step of an agent through, from its delivery to its fate."""
        with span(names.PROCESS_STEP, "consumer", headers=delivery.headers, attributes=described(delivery)):
            await self.guard(delivery, lambda: self._decoded(delivery))

    async def guard(self, delivery: Delivery, work: Work) -> None:
        """Run ``work`` on a message and see to its end: acknowledged, handed back or given up."""
        held = self._in_hand.take(delivery)
        if held is not None:
            await self._see_to(held, work)

    async def work(self, delivery: Delivery, step: S) -> None:
        """Do one step, unless it is done, over or too late."""
        held = self._in_hand.of(delivery)
        held.digest = step.digest
        held.deadline = delivery.arrived_at + step.timeout_s
        subject = self._result_subject(held)
        if self._may_be_over(held) and await self._is_over(held, subject, step.digest):
            return
        left_s = held.deadline - self._bus.now()
        if left_s <= 0:
            raise ContractError(ErrorCode.EXPIRED, "the time budget was used up before work began")
        held.state = StepState.ANSWERING
        try:
            answer = await self._respond(held, step, left_s)
            await self._store(held, subject, step.digest, answer)
        finally:
            if self._settled is not None:
                await self._settled(held)

    async def stop(self) -> None:
        """Hand back what waits for another delivery; nothing more will wait."""
        self._stopping = True
        await wind_up(self._waiting, 0.0)

    async def _decoded(self, delivery: Delivery) -> None:
        await self.work(delivery, decode(self._body, delivery.body))

    # ------------------------------------------------------------ one step

    def _may_be_over(self, held: Held) -> bool:
        if held.delivery.deliveries > 1 or self._bus.now() - held.delivery.arrived_at > self._fresh_s:
            return True
        return held.address is not None and self._in_hand.announced.may_concern(held.address)

    async def _is_over(self, held: Held, subject: str, digest: str) -> bool:
        """Tell whether the task has ended or the step has its result.

        Raises:
            ContractError: ``id_conflict``: what is there is about another text.
        """
        held.state = StepState.LOOKING
        ends = (subjects.done(held.address_or_fail), subject)
        found = await self._patience.hold(held, lambda: asyncio.gather(*map(self._bus.read, ends)))
        for message in found:
            if message is not None:
                check_digest(message.body, digest)
        return any(message is not None for message in found)

    async def _store(self, held: Held, subject: str, digest: str, answer: Answer) -> None:
        """Store a step's result; where there is one already, see that it is about the same text."""
        held.state = StepState.STORING
        if not await self._stored(held, subject, digest, answer):
            there = await self._patience.hold(held, lambda: self._bus.read(subject))
            if there is not None:
                check_digest(there.body, digest)

    async def _stored(self, held: Held, subject: str, digest: str, answer: Answer) -> bool:
        body = StepResult(digest=digest, answer=answer).to_bytes()
        ttl_s = max(0.0, held.deadline - self._bus.now()) + RESULT_KEPT_S
        return await self._patience.hold(held, lambda: self._bus.store(subject, body, inject(), ttl_s=ttl_s))

    # ------------------------------------------------------------ the fate of a message

    async def _see_to(self, held: Held, work: Work) -> None:
        """Have a message worked on, and tell the broker what became of it."""
        delay_s: float | None = None
        try:
            delay_s = await self._tried(held, work)
        except NotYetError as claimed:
            delay_s = claimed.after_s
            if not self._stopping and len(self._waiting) < MOST_WAITING:
                self._wait(held, delay_s)
                return
        except StepIsOver:
            logger().info("step_broken_off", subject=held.delivery.subject, state=held.state.name.lower())
        except asyncio.CancelledError:  # this process is stopping: another replica shall have it at once
            self._in_hand.release(held)
            await asyncio.shield(held.delivery.retry(0.0))
            raise
        self._in_hand.release(held)
        try:
            await (held.delivery.ack() if delay_s is None else held.delivery.retry(delay_s))
        except Exception as error:  # noqa: BLE001 - of whatever kind the broker's client has; the broker will deliver the message again
            logger().warning("step_not_settled", subject=held.delivery.subject, error=type(error).__name__)

    async def _tried(self, held: Held, work: Work) -> float | None:
        """Do the work; return the seconds after which to do it again, None where it is done for good."""
        try:
            with held:
                self._retry.check(held.delivery.deliveries)
                await work()
        except (NotYetError, StepIsOver):
            raise
        except Exception as error:  # noqa: BLE001 - every failure has a fate, decided in one place
            return await self._failed(held, error_of(error, self._origin))
        held.state = StepState.STORED
        return None

    async def _failed(self, held: Held, error: ErrorInfo) -> float | None:
        delivery = held.delivery
        if held.digest is None:  # its body was not read, or cannot be
            held.digest, timeout_s = read_leniently(delivery.body)
            held.deadline = delivery.arrived_at + timeout_s
        log = logger().bind(subject=delivery.subject, code=error.code.value, deliveries=delivery.deliveries)
        match self._retry.fate(error, delivery.deliveries, held.deadline - self._bus.now()):
            case RetryLater(delay_s):
                log.warning("step_retried", delay_s=round(delay_s, 3), reason=error.message)
            case GiveUp(final, dead_letter):
                log.warning("step_given_up", dead_letter=dead_letter, reason=final.message)
                try:
                    with held:
                        await self._give_up(held, held.digest, final, dead_letter=dead_letter)
                except ContractError as failed:  # past its deadline, and the broker takes neither: keep the message
                    delay_s = self._retry.delay_s(delivery.deliveries)
                    log.warning("step_kept", delay_s=round(delay_s, 3), reason=failed.info.message)
                else:
                    held.state = StepState.STORED
                    return None
        held.state = StepState.HANDING_BACK
        return delay_s

    async def _give_up(self, held: Held, digest: str, error: ErrorInfo, *, dead_letter: bool) -> None:
        if dead_letter:
            held.state = StepState.BURYING
            await self._patience.hold(held, lambda: bury(self._bus, held.delivery, self._origin, error))
        held.state = StepState.BURIED
        try:  # apart from storing: the errors of a broker are ValueErrors too
            subject = self._result_subject(held)
        except ValueError:  # there is no address in it: a dead letter is all there is
            return
        await self._stored(held, subject, digest, Answer(error=error))

    # ------------------------------------------------------------ waiting for another delivery

    def _wait(self, held: Held, after_s: float) -> None:
        """Keep a message in hand, but in no slot, until another delivery's claim has run out."""
        task = asyncio.create_task(self._see_to(held, partial(self._again, held, after_s)))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _again(self, held: Held, after_s: float) -> None:
        held.state = StepState.WAITING
        await asyncio.sleep(max(0.0, min(after_s, held.deadline - self._bus.now())))
        await self._decoded(held.delivery)


def described(delivery: Delivery) -> dict[str, str | int]:
    """Return the attributes of the span around a message."""
    attributes: dict[str, str | int] = {names.MESSAGING_SYSTEM: names.NATS, names.DELIVERIES: delivery.deliveries}
    try:
        address = subjects.address_of(delivery.subject)
    except ValueError:
        return attributes
    return {**attributes, names.TASK_ID: address.task_id, names.TENANT: address.tenant, names.DATA_CLASS: address.data_class.value}
