"""Submits tasks and collects their results: a bounded number in flight, each result exactly once."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from smallmesh.bus import Bus, Message, Subscription
from smallmesh.cli.intake.lines import Submission
from smallmesh_contracts import ContractError, DataClass, ErrorCode, ErrorInfo, Status, TaskResult, decode, digest_of, subjects

FULL_WAIT_S = 5.0
"""How long to wait where the broker's stream is full and it does not say itself."""
SWEEP_S = 2.0
"""How often results are read that did not pass by: of repeated tasks, and what a lost connection missed."""
_READERS = 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a submission: its result, or why there is none."""

    submission: Submission
    result: TaskResult | None = None
    error: ErrorInfo | None = None

    @property
    def ok(self) -> bool:
        """Whether every answer has its value."""
        return self.result is not None and self.result.status is Status.COMPLETED


class Submitter:
    """Publishes tasks and waits for what becomes of them."""

    def __init__(self, bus: Bus, tenant: str, came: Callable[[Outcome], None], *, in_flight: int) -> None:
        """Prepare.

        Args:
            bus: Where tasks go.
            tenant: Whose they are.
            came: Called once with the outcome of each, in the order in which they come.
            in_flight: How many may be without an outcome at once.
        """
        self._bus = bus
        self._tenant = tenant
        self._came = came
        self._free = asyncio.Semaphore(in_flight)
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watches: dict[DataClass, Subscription] = {}
        self._broken: BaseException | None = None

    async def __aenter__(self) -> Self:
        """Begin to look for results."""
        self._sweeping = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for nothing more."""
        for task in (self._sweeping, *self._tasks):
            task.cancel()
        for watch in self._watches.values():
            with contextlib.suppress(ContractError):
                await watch.stop()

    @property
    def outstanding(self) -> int:
        """How many are without an outcome."""
        return len(self._tasks)

    async def submit(self, submission: Submission) -> None:
        """Publish a task as soon as there is room for it."""
        await self._free.acquire()
        self._raise_what_broke()
        await self._watch(submission.address.data_class)
        task = asyncio.create_task(self._see_through(submission))
        self._tasks.add(task)
        task.add_done_callback(self._over)

    async def finished(self, timeout_s: float | None = None) -> None:
        """Wait for all outcomes, at most so long; what is late gets an error for its outcome."""
        await self._settled(timeout_s)
        late = ContractError(ErrorCode.EXPIRED, "no result yet: the task is still in the mesh, ask with `smallmesh result`")
        for waiting in list(self._waiting.values()):
            if not waiting.done():
                waiting.set_exception(late)
        await self._settled(None)

    async def _settled(self, timeout_s: float | None) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
        self._raise_what_broke()

    def _raise_what_broke(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._free.release()
        if not task.cancelled() and task.exception() is not None:
            self._broken = self._broken or task.exception()

    async def _watch(self, data_class: DataClass) -> None:
        if data_class not in self._watches:
            self._watches[data_class] = await self._bus.watch(subjects.any_done(data_class, self._tenant), self._passed_by)

    async def _see_through(self, submission: Submission) -> None:
        subject = subjects.done(submission.address)
        waiting = self._waiting[subject] = asyncio.get_running_loop().create_future()
        try:
            await self._publish(submission)
            outcome = Outcome(submission, result=_own(decode(TaskResult, await waiting), submission))
        except ContractError as error:
            outcome = Outcome(submission, error=error.info)
        finally:
            del self._waiting[subject]
        self._came(outcome)

    async def _publish(self, submission: Submission) -> None:
        subject = subjects.submit(submission.lane, submission.address)
        while True:
            try:
                await self._bus.store(subject, submission.body)
            except ContractError as error:
                if error.info.code is not ErrorCode.OVERLOADED:
                    raise
                await asyncio.sleep(error.info.retry_after_s or FULL_WAIT_S)
            else:
                return

    def _passed_by(self, message: Message) -> None:
        waiting = self._waiting.get(message.subject)
        if waiting is not None and not waiting.done():
            waiting.set_result(message.body)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            missing = iter([subject for subject, waiting in self._waiting.items() if not waiting.done()])
            await asyncio.gather(*(self._read_some(missing) for _ in range(_READERS)))

    async def _read_some(self, left: Iterator[str]) -> None:
        for subject in left:
            with contextlib.suppress(ContractError):  # the broker is away: the next sweep asks again
                found = await self._bus.read(subject)
                if found is not None:
                    self._passed_by(found)


def _own(result: TaskResult, submission: Submission) -> TaskResult:
    if result.digest != digest_of(submission.body):
        raise ContractError(ErrorCode.ID_CONFLICT, "another text was submitted under this id before; its result is kept, choose another id")
    return result
