"""One model on one thread: asyncio only waits for it."""

import asyncio
import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from smallmesh_contracts import Lane

M = TypeVar("M")
T = TypeVar("T")
_ORDER = {Lane.INTERACTIVE: 0, Lane.BULK: 1}
_LAST = 9


class ModelThread(Generic[M]):
    """Owns a model and runs short jobs on it, interactive ones first.

    A job is one forward pass. Long texts are many jobs, so an interactive text
    waits for one window of a bulk text at most.

    Attributes:
        passes: Jobs finished so far; it grows only while the model makes progress.
    """

    def __init__(self, load: Callable[[], M], name: str) -> None:
        """Prepare; the model is loaded on its own thread by :meth:`start`."""
        self.passes = 0
        self._load = load
        self._jobs: queue.PriorityQueue[tuple[int, int, Callable[[M], Any] | None, Future[Any] | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._loaded: Future[None] = Future()
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

    async def run(self, job: Callable[[M], T], lane: Lane) -> T:
        """Run one job on the model. Cancelling the caller drops a job that has not begun."""
        future: Future[T] = Future()
        self._jobs.put((_ORDER[lane], next(self._order), job, future))
        return await asyncio.wrap_future(future)

    async def stop(self) -> None:
        """Finish the jobs that are queued and free the model."""
        if self._thread.is_alive():
            self._jobs.put((_LAST, next(self._order), None, None))
            await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        try:
            model = self._load()
        except BaseException as error:  # noqa: BLE001 - whoever waits for start() gets it, whatever it is
            self._loaded.set_exception(error)
            return
        self._loaded.set_result(None)
        while True:
            _, _, job, future = self._jobs.get()
            if job is None or future is None:
                break
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = job(model)
            except BaseException as error:  # noqa: BLE001 - the waiting caller gets it
                future.set_exception(error)
            else:
                self.passes += 1
                future.set_result(result)
        close = getattr(model, "close", None)
        if close is not None:
            close()
