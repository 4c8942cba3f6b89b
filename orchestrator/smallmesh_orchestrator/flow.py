"""Drives a plan over the bus: fan out, await, escalate if it must be, finish."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from smallmesh.bus import Bus
from smallmesh.telemetry import inject
from smallmesh_contracts import (
    Address,
    Answer,
    ContractError,
    ErrorCode,
    ErrorInfo,
    EscalationStep,
    Lane,
    StepInput,
    StepResult,
    Task,
    TaskResult,
    decode,
    subjects,
)
from smallmesh_contracts import Step as WorkBody
from smallmesh_orchestrator.arrivals import Arrivals
from smallmesh_orchestrator.plan import ANALYSIS, FrontierStep, LocalStep, Planner, Step, out_of_time, stand_in, status_of, whole


@dataclass(frozen=True, slots=True)
class Job:
    """A task on its way.

    Attributes:
        address: Whose it is.
        lane: How urgent.
        task: What is wanted.
        digest: Of the submitted body.
        arrived_at: When the broker took it in, by the broker's clock.
        seen_before: Whether an earlier delivery may have begun it.
    """

    address: Address
    lane: Lane
    task: Task
    digest: str
    arrived_at: float
    seen_before: bool = False

    @property
    def deadline(self) -> float:
        """When its budget is used up, by the broker's clock."""
        return self.arrived_at + self.task.budget_s(self.lane)

    @property
    def input(self) -> StepInput:
        """What agents may read of it."""
        return StepInput(text=self.task.text, instruction=self.task.instruction)


Answerer = Callable[[Job, LocalStep], Coroutine[Any, Any, Answer]]


class Flow:
    """Runs jobs. It keeps nothing: what it needs to know again is stored at the broker."""

    def __init__(self, bus: Bus, planner: Planner, arrivals: Arrivals) -> None:
        """Run jobs by a planner over a bus."""
        self._bus = bus
        self._planner = planner
        self._arrivals = arrivals

    async def run(self, job: Job, local: Answerer | None = None) -> TaskResult:
        """Return the terminal result of a job; steps that failed or came too late are errors in it.

        Args:
            job: The job.
            local: How local steps are answered; by durable work messages unless given.

        Raises:
            ContractError: ``unknown_answer``; ``overloaded`` or ``unavailable`` where
                the broker would not take a step, so that the task should be tried again.
        """
        answer = local or self.durable
        steps = self._planner.first(job.task)
        answers = dict(zip((s.answer for s in steps), await _all([answer(job, s) for s in steps]), strict=True))
        if ANALYSIS in job.task.wanted:
            answers[ANALYSIS] = await self._analysis(job, answers, answer)
        return self.finished(job, {name: answers[name] for name in job.task.wanted})

    async def _analysis(self, job: Job, answers: dict[str, Answer], answer: Answerer) -> Answer:
        match self._planner.analysis(job.address.data_class, answers):
            case Answer() as settled:
                return settled
            case LocalStep() as summary:
                return stand_in(await answer(job, summary))
            case FrontierStep() as step:
                return await self.durable(job, step)

    async def durable(self, job: Job, step: Step) -> Answer:
        """Publish one step, unless its result is there, and wait for that result."""
        subject = subjects.result(job.address, step.agent, step.answer)
        arrival = self._arrivals.expect(subject)
        try:
            found = await self._bus.read(subject) if job.seen_before else None
            if found is None:
                left_s = job.deadline - self._bus.now()
                if left_s <= 0:
                    return out_of_time(step.agent)
                await self._publish(job, step, left_s)
                found = await self._arrivals.wait(subject, arrival, job.deadline)
        finally:
            arrival.cancel()
        return out_of_time(step.agent) if found is None else _answer_in(found.body, job, step)

    async def _publish(self, job: Job, step: Step, left_s: float) -> None:
        match step:
            case LocalStep():
                subject = subjects.work(step.agent, job.lane, job.address)
                body = WorkBody(digest=job.digest, timeout_s=left_s, request=job.input).to_bytes()
            case FrontierStep():
                subject = subjects.escalate(job.lane, job.address, step.answer)
                body = EscalationStep(digest=job.digest, timeout_s=left_s, request=job.input, evidence=step.evidence).to_bytes()
        await self._bus.store(subject, body, inject())  # there already: another replica published the same step

    def finished(self, job: Job, answers: dict[str, Answer]) -> TaskResult:
        """Return the terminal result of a job with these answers."""
        return TaskResult(
            task_id=job.address.task_id,
            tenant=job.address.tenant,
            data_class=job.address.data_class,
            status=status_of(answers),
            answers=answers,
            metadata=job.task.metadata,
            digest=job.digest,
            took_ms=round((self._bus.now() - job.arrived_at) * 1000, 3),
        )


async def _all(waiting: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    tasks = [asyncio.create_task(one) for one in waiting]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _answer_in(body: bytes, job: Job, step: Step) -> Answer:
    try:
        result = decode(StepResult, body)
    except ContractError as error:
        return Answer(error=ErrorInfo(code=ErrorCode.INVALID_OUTPUT, message=error.info.message, step=step.agent))
    if result.digest != job.digest:
        return Answer(error=ErrorInfo(code=ErrorCode.ID_CONFLICT, message="the stored result is about another text", step=step.agent))
    return whole(result.answer, step.agent)
