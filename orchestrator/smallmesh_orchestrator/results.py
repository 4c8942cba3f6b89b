"""Terminal results: what a client is told of a task, however it ended."""

from collections.abc import Mapping

from smallmesh_contracts import Address, Answer, ContractError, ErrorInfo, Status, TaskResult, Wire, decode
from smallmesh_contracts.address import is_subject_safe
from smallmesh_orchestrator.job import Job
from smallmesh_orchestrator.plan import status_of


def finished(job: Job, answers: Mapping[str, Answer], now: float) -> TaskResult:
    """Return the result of a task that was worked out; its status follows from its answers."""
    return _result(job, status_of(answers), answers, now)


def cancelled(job: Job, answers: Mapping[str, Answer], now: float) -> TaskResult:
    """Return the result of a task that was cancelled, with the answers that were there by then."""
    return _result(job, Status.CANCELLED, answers, now)


def _result(job: Job, status: Status, answers: Mapping[str, Answer], now: float, error: ErrorInfo | None = None) -> TaskResult:
    return TaskResult(
        task_id=job.address.task_id,
        tenant=job.address.tenant,
        data_class=job.address.data_class,
        status=status,
        answers=dict(answers),
        error=error,
        metadata=dict(job.metadata),
        replay_of=job.replay_of,
        digest=job.digest,
        took_ms=took_ms(job.arrived_at, now),
    )


def refused(job: Job, error: ErrorInfo, answers: Mapping[str, Answer], now: float) -> TaskResult:
    """Return the result of a task that can be read and cannot be worked out."""
    return _result(job, Status.FAILED, answers, now, error)


def failed(address: Address, error: ErrorInfo, *, body: bytes, digest: str, took_ms: float) -> TaskResult:
    """Return the result of a task that failed as a whole, and of whose answers nothing is known; its body may be broken."""
    return TaskResult(
        task_id=address.task_id,
        tenant=address.tenant,
        data_class=address.data_class,
        status=Status.FAILED,
        error=error,
        replay_of=_replayed_in(body),
        digest=digest,
        took_ms=took_ms,
    )


class _Replay(Wire):
    replay_of: str | None = None


def _replayed_in(body: bytes) -> str | None:
    try:
        task_id = decode(_Replay, body).replay_of
    except ContractError:
        return None
    return task_id if task_id is not None and is_subject_safe(task_id) else None


def took_ms(arrived_at: float, now: float) -> float:
    """Return the milliseconds from one time of the broker's clock to another."""
    return round((now - arrived_at) * 1000, 3)


def digest_in(done: bytes) -> str | None:
    """Return whose result this is, or None for something that is no result."""
    try:
        return decode(TaskResult, done).digest
    except ContractError:
        return None
