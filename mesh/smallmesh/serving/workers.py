"""The two kinds of step workers: of an agent, and of the escalation service."""

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from smallmesh.bus import Bus
from smallmesh.frontier import Frontier
from smallmesh.retry import RetryPolicy
from smallmesh.service import Escalation, Service
from smallmesh.serving.answering import Answering
from smallmesh.serving.claims import Claims
from smallmesh.serving.escalating import BusPorts
from smallmesh.serving.in_hand import Held, InHand
from smallmesh.serving.patience import Patience
from smallmesh.serving.steps import StepWorker
from smallmesh.serving.streaming import streamed
from smallmesh_contracts import Answer, EscalationStep, Lane, Step, subjects

ALWAYS_ASK = -math.inf
"""Age of a step that is done without asking whether it still must be: of one that costs money, none."""


def agent_worker(answering: Answering, bus: Bus, retry: RetryPolicy, in_hand: InHand) -> StepWorker[Step]:
    """Return what handles the work messages of an agent."""
    agent = answering.agent

    async def respond(held: Held, step: Step, left_s: float) -> Answer:
        body, lane = step.request.model_dump_json().encode(), subjects.lane_of(held.delivery.subject)
        source = answering.source(step.request.verdict)
        held.movement = source.movement
        async with _heard(held, lane, writes=source.host.writes) as on_text:
            return await answering.answer(
                body, lane, budget_s=left_s, waited_ms=_waited_ms(bus, held), address=held.address, on_text=on_text
            )

    def _heard(held: Held, lane: Lane, *, writes: bool) -> AbstractAsyncContextManager[Callable[[str], None] | None]:
        """Pass on what is written, where the model writes and somebody may be waiting."""
        if not writes or lane is not Lane.INTERACTIVE:
            return nullcontext()
        return streamed(bus, held.address_or_fail, agent.answer)

    def result_subject(held: Held) -> str:
        return subjects.result(held.address_or_fail, agent.name, agent.answer)

    return StepWorker(bus, agent.name, Step, result_subject=result_subject, respond=respond, retry=retry, in_hand=in_hand)


def escalation_worker(service: Service, frontier: Frontier, bus: Bus, retry: RetryPolicy, in_hand: InHand) -> StepWorker[EscalationStep]:
    """Return what handles the work messages of the escalation service."""
    claims, patience = Claims(bus), Patience(retry, bus.now)

    def result_subject(held: Held) -> str:
        return subjects.result(held.address_or_fail, service.name, _answer_in(held))

    async def respond(held: Held, step: EscalationStep, left_s: float) -> Answer:
        lane = subjects.lane_of(held.delivery.subject)
        deliveries, waited_ms = held.delivery.deliveries, _waited_ms(bus, held)
        asked = Escalation(held.address_or_fail, lane, _answer_in(held), step, left_s, waited_ms, deliveries)
        return await service.respond(asked, BusPorts(bus, frontier, claims, patience, held, result_subject(held)))

    async def settled(held: Held) -> None:
        await claims.drop(subjects.claim(held.address_or_fail, _answer_in(held)))

    return StepWorker(
        bus,
        service.name,
        EscalationStep,
        result_subject=result_subject,
        respond=respond,
        retry=retry,
        in_hand=in_hand,
        fresh_s=ALWAYS_ASK,
        settled=settled,
    )


def _answer_in(held: Held) -> str:
    """Return which answer an escalation is to give: the last token of its subject."""
    return held.delivery.subject.rpartition(".")[2]


def _waited_ms(bus: Bus, held: Held) -> float:
    return max(0.0, (bus.now() - held.delivery.arrived_at) * 1000)
