"""One model on one thread: asyncio only waits for it."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from typing import Any, Generic, NamedTuple, TypeVar

from smallmesh_contracts import Lane

M = TypeVar("M")
T = TypeVar("T")
STOP_S = 3.0
"""A job takes a tenth of a second. A thread that does not end within this will not: the process ends without it."""
LINGER_S = 0.05
"""How long a bulk job waits for the next window of an interactive text. It comes by way of the event loop, within a millisecond
where the processor is free; where the text's own rules take longer, the model need not be idle."""


class _Job(NamedTuple):
    turn: int
    work: Callable[[Any], Any]
    future: Future[Any]


class ModelThread(Generic[M]):
    """Owns a model and runs short jobs on it, interactive ones first.

    A job is one forward pass. Long texts are many jobs, and while an interactive
    text is read no bulk job begins: so an interactive text waits for one window of
    a bulk text at most, however many windows it has itself.

    Attributes:
        passes: Jobs finished so far; it grows only while the model makes progress.
        turn: Number of the job that the thread has in hand; None between jobs.
    """

    def __init__(self, load: Callable[[], M], name: str) -> None:
        """Prepare; the model is loaded on its own thread by :meth:`start`."""
        self.passes = 0
        self.turn: int | None = None
        self._load = load
        self._jobs: dict[Lane, deque[_Job]] = {lane: deque() for lane in Lane}
        self._reading = 0
        self._stopping = False
        self._changed = threading.Condition()
        self._turns = itertools.count()
        self._loaded: Future[None] = Future()
        self._running: Future[Any] | None = None
        self._abandoned: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=f"model-{name}", daemon=True)

    async def start(self) -> None:
        """Load the model.

        Raises:
            Exception: Whatever loading raised.
        """
        self._thread.start()
        await asyncio.wrap_future(self._loaded)

    @property
    def alive(self) -> bool:
        """Whether the thread can still take jobs."""
        return self._thread.is_alive()

    @contextlib.contextmanager
    def reading(self, lane: Lane) -> Iterator[None]:
        """Read one text of perhaps many windows: while it is an interactive one, no bulk job begins between them."""
        interactive = lane is Lane.INTERACTIVE
        self._reading += interactive
        try:
            yield
        finally:
            with self._changed:
                self._reading -= interactive
                self._changed.notify()

    async def run(self, job: Callable[[M], T], lane: Lane) -> T:
        """Run one job on the model. Cancelling the caller drops a job that has not begun.

        Raises:
            Exception: Whatever the job raised, or why the thread was abandoned.
        """
        if self._abandoned is not None:
            raise self._abandoned
        future: Future[T] = Future()
        with self._changed:
            self._jobs[lane].append(_Job(next(self._turns), job, future))
            self._changed.notify()
        return await asyncio.wrap_future(future)

    async def stop(self) -> bool:
        """Finish the jobs that are queued and free the model; tell whether that was done within ``STOP_S``."""
        if self._thread.is_alive():
            with self._changed:
                self._stopping = True
                self._changed.notify()
            await asyncio.to_thread(self._thread.join, STOP_S)
        return not self._thread.is_alive()

    def abandon(self, why: Exception) -> None:
        """Give up a thread that does not move: whoever waits for it, or will, gets ``why``."""
        with self._changed:
            self._abandoned, self._stopping = why, True
            given_up = [job.future for jobs in self._jobs.values() for job in jobs]
            for jobs in self._jobs.values():
                jobs.clear()
        for future in (*given_up, self._running):
            if future is not None:
                with contextlib.suppress(InvalidStateError):  # it ended just now, or was cancelled
                    future.set_exception(why)

    def _work(self) -> None:
        try:
            model = self._load()
        except BaseException as error:  # noqa: BLE001 - whoever waits for start() gets it, whatever it is
            self._loaded.set_exception(error)
            return
        self._loaded.set_result(None)
        while (job := self._next()) is not None:
            if job.future.set_running_or_notify_cancel():
                self.turn, self._running = job.turn, job.future
                self._do(job, model)
                self.turn = self._running = None
        close = getattr(model, "close", None)
        if close is not None:
            close()

    def _next(self) -> _Job | None:
        """Wait for the next job; None where there will be none any more."""
        interactive, bulk = self._jobs[Lane.INTERACTIVE], self._jobs[Lane.BULK]
        lingers_until = time.monotonic() + LINGER_S
        with self._changed:
            while not interactive and not (bulk and self._may_begin_bulk(lingers_until)):
                if self._stopping and not bulk:
                    return None
                self._changed.wait(lingers_until - time.monotonic() if bulk else None)
            return (interactive or bulk).popleft()

    def _may_begin_bulk(self, lingers_until: float) -> bool:
        return self._reading == 0 or time.monotonic() >= lingers_until

    def _do(self, job: _Job, model: M) -> None:
        try:
            result = job.work(model)
        except BaseException as error:  # noqa: BLE001 - the waiting caller gets it
            with contextlib.suppress(InvalidStateError):  # abandoned: nobody waits any more
                job.future.set_exception(error)
        else:
            self.passes += 1
            with contextlib.suppress(InvalidStateError):
                job.future.set_result(result)
