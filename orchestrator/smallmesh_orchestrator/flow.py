"""Drives a plan over the bus: fan out, await, escalate if it must be, finish."""

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import replace
from functools import partial

from smallmesh.bus import Bus
from smallmesh.holding import PASSES, Holding
from smallmesh.tasks import end
from smallmesh.telemetry import inject
from smallmesh_contracts import (
    Answer,
    ContractError,
    ErrorCode,
    ErrorInfo,
    EscalationStep,
    Lane,
    StepResult,
    TaskResult,
    decode,
    digest_of,
    subjects,
)
from smallmesh_contracts import Step as WorkBody
from smallmesh_orchestrator.arrivals import Arrivals, Part, TaskOver
from smallmesh_orchestrator.job import Job
from smallmesh_orchestrator.plan import (
    ANALYSIS,
    COMPLEXITY,
    FrontierStep,
    LocalStep,
    Planner,
    Step,
    out_of_time,
    stand_in,
    verdict_in,
    whole,
)
from smallmesh_orchestrator.results import finished
from smallmesh_orchestrator.states import State
from smallmesh_orchestrator.together import together

STALE_S = 0.5
"""A step's budget counts from its own arrival, so a body that had to wait for longer than this is made anew."""
VERDICT_SHARE = 0.25
"""Of what is left of a task's time: so long others wait for a verdict that decides which of their models answers. A router
that answers takes a hundredth of it; where none does, three quarters are left to do without."""
Round = Callable[[Job, Sequence[LocalStep]], Awaitable[Sequence[Answer]]]
Reached = Callable[[State], None]


class IdTaken(Exception):  # noqa: N818 - says what is so
    """An older task with another body has this id, and is still in the mesh."""


class Flow:
    """Runs jobs. It keeps nothing: what it needs to know again is stored at the broker."""

    def __init__(
        self, bus: Bus, planner: Planner, arrivals: Arrivals, holding: Holding | None = None, second: Container[str] = frozenset()
    ) -> None:
        """Run jobs by a planner over a bus; ``second`` holds the agents that have a second tier loaded at the moment."""
        self._bus = bus
        self._planner = planner
        self._arrivals = arrivals
        self._holding = holding or Holding()
        self._second = second

    async def run(self, job: Job, local: Round | None = None, reached: Reached = lambda _: None) -> TaskResult:
        """Return the terminal result of a job; steps that failed or came too late are errors in it.

        What the broker does not take for a while is held and tried again until the job's time is up;
        a run does not wait for that.

        Args:
            job: The job.
            local: How local steps are answered; by durable work messages unless given.
            reached: Told of every state that the job comes to.

        Raises:
            ContractError: ``unknown_answer``.
            TaskOver: The job has a terminal result already.
            IdTaken: The job is to make room for an older one of the same id.
        """
        answer = local or partial(self.durable, reached=reached)
        steps = self._planner.first(job.wanted)
        judge = self._planner.judge(steps, self._second)
        if judge is None:
            answers = dict(zip((s.answer for s in steps), await answer(job, steps), strict=True))
        else:
            answers = await self._judged(job, judge, [step for step in steps if step != judge], answer)
        reached(State.ANSWERED)
        if ANALYSIS in job.wanted:
            answers[ANALYSIS] = await self._analysis(job, answers, answer, reached)
        return finished(job, {name: answers[name] for name in job.wanted}, self._bus.now())

    def refused(self, job: Job, error: ErrorInfo) -> dict[str, Answer]:
        """Return the answers of a job that is refused as a whole."""
        return self._planner.refused(job.wanted, error)

    async def _judged(self, job: Job, judge: LocalStep, others: Sequence[LocalStep], answer: Round) -> dict[str, Answer]:
        """Have the router's step answered before the others, which its verdict travels with; without one they go on all the same."""
        judging = asyncio.ensure_future(answer(job, [judge]))
        judging.add_done_callback(_seen)
        try:
            await asyncio.wait([judging], timeout=VERDICT_SHARE * (job.deadline - self._bus.now()))
            verdict = verdict_in((await judging)[0]) if judging.done() else None
            given = await answer(replace(job, verdict=verdict), others)
            return {judge.answer: (await judging)[0], **{s.answer: one for s, one in zip(others, given, strict=True)}}
        finally:
            await end(judging)

    async def _analysis(self, job: Job, answers: Mapping[str, Answer], answer: Round, reached: Reached) -> Answer:
        match self._planner.analysis(job.address.data_class, answers):
            case Answer() as settled:
                return settled
            case LocalStep() as summary:
                judged = replace(job, verdict=verdict_in(answers[COMPLEXITY]))
                return stand_in((await answer(judged, [summary]))[0])
            case FrontierStep() as step:
                given = await self.durable(job, [step], reached)
                reached(State.ANALYSED)
                return given[0]

    async def durable(self, job: Job, steps: Sequence[Step], reached: Reached = lambda _: None) -> list[Answer]:
        """Publish steps, except those whose result is there, and wait for the results."""
        waiting = self._arrivals.expect(job.address, job.lane, map(_part, steps))
        try:
            if job.seen_before:
                await self._holding.until_done(lambda: self._arrivals.read(waiting))
            refused = await self._publish(job, [step for step in steps if _part(step) in waiting.missing], reached)
            waiting.missing -= refused.keys()
            await self._arrivals.wait(waiting, job.deadline)
        finally:
            self._arrivals.forget(waiting)
        answers = [refused.get(_part(step)) or self._answer(job, step, waiting.found.get(_part(step))) for step in steps]
        if any(answer.error is not None and answer.error.code is ErrorCode.ID_CONFLICT for answer in answers):
            await self._yield_to_older(job)
        return answers

    async def _publish(self, job: Job, steps: Sequence[Step], reached: Reached) -> dict[Part, Answer]:
        """Publish steps, all at once; return the answers of those that cannot be published."""
        bodies, headers = _Bodies(job, self._bus.now), inject()

        async def publish(step: Step) -> Answer | None:
            subject = _subject(job, step)
            try:
                await self._holding.until_done(lambda: self._bus.store(subject, bodies.of(step), headers), bodies.patience_s)
            except ContractError as error:
                return _unpublished(job, step, error.info)
            reached(State.FANNING_OUT)
            return None

        answers = await together([publish(step) for step in steps])
        reached(State.ESCALATED if any(isinstance(step, FrontierStep) for step in steps) else State.AWAITING)
        return {_part(step): answer for step, answer in zip(steps, answers, strict=True) if answer is not None}

    @staticmethod
    def _answer(job: Job, step: Step, body: bytes | None) -> Answer:
        if body is None:
            return out_of_time(step.agent)
        try:
            result = decode(StepResult, body)
        except ContractError as error:
            return Answer(error=ErrorInfo(code=ErrorCode.INVALID_OUTPUT, message=error.info.message, step=step.agent))
        if result.digest != job.digest:
            message = "this id was used for another text, whose answer is still kept"
            return Answer(error=ErrorInfo(code=ErrorCode.ID_CONFLICT, message=message, step=step.agent))
        return whole(result.answer, step.agent)

    async def _yield_to_older(self, job: Job) -> None:
        """Give way to the task whose results are in the way, if it came first and is in the mesh.

        Two tasks have one id where a client submits both lanes at once, with different bodies. The older one goes on;
        where its own answers were taken by the younger's, it says so in them. Were both to go on, both might end with holes.
        """
        done = await self._holding.until_done(lambda: self._bus.read(subjects.done(job.address)))
        if done is not None:
            raise TaskOver(done)
        for lane in Lane:
            subject = subjects.submit(lane, job.address)
            other = await self._holding.until_done(lambda: self._bus.read(subject))  # noqa: B023 - awaited here
            if other is not None and other.sequence < job.sequence and digest_of(other.body) != job.digest:
                raise IdTaken


def _seen(task: asyncio.Task[Sequence[Answer]]) -> None:
    """Look at how a task ended: where the task that waits for it fails first, asyncio would complain that nobody did."""
    if not task.cancelled():
        task.exception()


class _Bodies:
    """The bodies of one job's steps: all local ones are alike, so they are made once, and anew when time has passed."""

    def __init__(self, job: Job, now: Callable[[], float]) -> None:
        self._job = job
        self._now = now
        self._local = b""
        self._made_with_s = 0.0

    def patience_s(self) -> float:
        return 0.0 if self._job.is_run else self._left_s()

    def _left_s(self) -> float:
        return self._job.deadline - self._now()

    def of(self, step: Step) -> bytes:
        left_s = self._left_s()
        if left_s <= 0:
            raise ContractError(ErrorCode.EXPIRED, "the time budget was used up before this was published")
        if isinstance(step, FrontierStep):
            request = self._job.input()
            return EscalationStep(digest=self._job.digest, timeout_s=left_s, request=request, evidence=step.evidence).to_bytes()
        if not self._local or self._made_with_s - left_s > STALE_S:
            self._local = WorkBody(digest=self._job.digest, timeout_s=left_s, request=self._job.input()).to_bytes()
            self._made_with_s = left_s
        return self._local


def _part(step: Step) -> Part:
    return (step.agent, step.answer)


def _subject(job: Job, step: Step) -> str:
    if isinstance(step, FrontierStep):
        return subjects.escalate(job.lane, job.address, step.answer)
    return subjects.work(step.agent, job.lane, job.address)


def _unpublished(job: Job, step: Step, error: ErrorInfo) -> Answer:
    """Return the answer of a step that the broker did not take."""
    if error.code is ErrorCode.EXPIRED or (error.code in PASSES and not job.is_run):
        return out_of_time(step.agent, f"not begun within the time budget: {error.message}")
    return Answer(error=error.model_copy(update={"step": step.agent}))
