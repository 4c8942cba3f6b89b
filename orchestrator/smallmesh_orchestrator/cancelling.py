"""Cancelling tasks: a request that any replica answers, because of a result and a cancellation only one can be first.

What cancels a task is its terminal result ``cancelled``, stored like any other: agents
and lease holders that see it stop. In which order things happen, and what a death in between leaves:

1. the terminal result is stored: from here on the task is cancelled, whatever becomes of this process;
2. the submission is deleted: nobody needs to be handed it any more. Where it stays, whoever is handed it finds the terminal result;
3. the cancellation is announced. Where it is not, lease holders and agents find the terminal result by themselves, later;
4. the caller is told. Where it is not, it asks again, and is told the same.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable

from smallmesh.bus import Bus, Call, Endpoint, Message, Reply
from smallmesh.bus.layout import TASKS
from smallmesh.retry import error_of
from smallmesh.telemetry import inject, logger
from smallmesh_contracts import (
    Address,
    Answer,
    CancelReply,
    CancelRequest,
    ContractError,
    DataClass,
    ErrorCode,
    ErrorInfo,
    Lane,
    Status,
    StepResult,
    TaskResult,
    decode,
    decode_task,
    digest_of,
    subjects,
)
from smallmesh_orchestrator.job import Job
from smallmesh_orchestrator.plan import Planner, whole
from smallmesh_orchestrator.results import cancelled
from smallmesh_orchestrator.submissions import ORIGIN


class Cancelling:
    """Answers requests to cancel a task."""

    def __init__(self, bus: Bus, planner: Planner) -> None:
        """Answer over a bus."""
        self._bus = bus
        self._planner = planner

    def endpoints(self, classes: Iterable[DataClass]) -> tuple[Endpoint, ...]:
        """Return what a service answers for some classes."""
        return tuple(Endpoint(f"cancel-{c.value}", subjects.any_cancel(c), self._handle, refusal=_refusal) for c in classes)

    async def _handle(self, call: Call) -> Reply:
        try:
            address = _address_in(call)
            status = await self.cancel(address)
        except Exception as error:  # noqa: BLE001 - the caller gets every failure as a typed error
            info = error_of(error, ORIGIN)
            return Reply(_refusal(call, info), info.code.value)
        return Reply(CancelReply(task_id=address.task_id, status=status).to_bytes())

    async def cancel(self, address: Address) -> Status:
        """Cancel a task, unless it has ended; return how it ended.

        Raises:
            ContractError: ``invalid_request`` where there is no such task; ``overloaded`` or ``unavailable``
                where the broker does not take the cancellation just now.
        """
        status = await self._status(address)
        if status is None:
            status = await self._end(address, await self._submission(address))
        if status is Status.CANCELLED:
            await self._bus.announce(subjects.cancelled(address))
        return status

    async def _status(self, address: Address) -> Status | None:
        done = await self._bus.read(subjects.done(address))
        return None if done is None else decode(TaskResult, done.body).status

    async def _submission(self, address: Address) -> Message | None:
        """Return what was submitted under an id: the older one, where there are two."""
        found = [await self._bus.read(subjects.submit(lane, address)) for lane in Lane]
        return min((one for one in found if one is not None), key=lambda one: one.sequence, default=None)

    async def _end(self, address: Address, submission: Message | None) -> Status:
        if submission is None:
            status = await self._status(address)  # it may have ended between the two looks
            if status is None:
                raise ContractError(ErrorCode.INVALID_REQUEST, "no such task: it was never submitted, or its result is no longer kept")
            return status
        result = await self._result(address, submission)
        first = await self._bus.store(subjects.done(address), result.to_bytes(), inject())
        if not first:
            return await self._status(address) or await self._end(address, await self._submission(address))
        logger().info("task_cancelled", task_id=address.task_id, tenant=address.tenant, answers=_there(result))
        with contextlib.suppress(ContractError):
            await self._bus.remove(TASKS.name, submission.sequence)
        return result.status

    async def _result(self, address: Address, submission: Message) -> TaskResult:
        digest, lane = digest_of(submission.body), subjects.lane_of(submission.subject)
        try:
            task = decode_task(submission.body, address, lane)
        except ContractError:  # nothing can be said of its answers
            job = Job(address, lane, submission.body, digest, (), submission.stored_at, 0.0)
            return cancelled(job, {}, self._bus.now())
        job = Job.of(task, address, lane, submission.body, digest=digest, arrived_at=submission.stored_at, sequence=submission.sequence)
        answers = {answer: given async for answer, given in self._given(job)}
        return cancelled(job, self._planner.cut_short(address.data_class, job.wanted, answers), self._bus.now())

    async def _given(self, job: Job) -> AsyncIterator[tuple[str, Answer]]:
        """Give the answers that are there, by name."""
        for agent, answer in self._planner.parts(job.wanted):
            stored = await self._bus.read(subjects.result(job.address, agent, answer))
            if stored is None:
                continue
            with contextlib.suppress(ContractError):
                result = decode(StepResult, stored.body)
                if result.digest == job.digest:
                    yield answer, whole(result.answer, agent)


def _there(result: TaskResult) -> int:
    return sum(answer.error is None for answer in result.answers.values())


def _address_in(call: Call) -> Address:
    tenant, data_class = call.subject.split(".")[-2:]
    address = Address(tenant, DataClass(data_class), decode(CancelRequest, call.body).task_id)
    if not address.is_valid():
        raise ContractError(ErrorCode.INVALID_REQUEST, "tenant and task id must match [A-Za-z0-9_-]{1,64}")
    return address


def _refusal(call: Call, error: ErrorInfo) -> bytes:
    """Return the reply to a request that cancelled nothing."""
    try:
        task_id = decode(CancelRequest, call.body).task_id
    except ContractError:
        task_id = None
    return CancelReply(task_id=task_id, error=error).to_bytes()
