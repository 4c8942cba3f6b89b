"""The engine: one thread that owns a decoder, and coroutines that wait for it."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from smallmesh.hosting.engine.labels import Labels
from smallmesh.hosting.engine.port import Choice, Constraint, Decoder, Generated, Prompt, Vocabulary
from smallmesh.hosting.engine.runs import Choosing, Generating, Run
from smallmesh.hosting.engine.scheduler import Scheduler
from smallmesh_contracts import ContractError, ErrorCode, Lane

STOP_S = 3.0
"""A pass takes a fraction of it. A thread that does not end within this will not: the process ends without it."""


class BatchingEngine:
    """See :class:`smallmesh.hosting.engine.port.Engine`.

    Attributes:
        passes: Passes finished so far.
        turn: Number of the pass in hand; None between passes.
    """

    def __init__(self, load: Callable[[], Decoder], name: str) -> None:
        """Prepare; the model is loaded on its own thread by :meth:`start`."""
        self.passes = 0
        self.turn: int | None = None
        self._load = load
        self._loaded: Future[Decoder] = Future()
        self._changed = threading.Condition()
        self._in_hand: set[Run] = set()
        self._arrived: list[Run] = []
        self._passing: list[Run] = []
        self._stopping = False
        self._abandoned: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=f"engine-{name}", daemon=True)

    async def start(self) -> None:
        """Load the model.

        Raises:
            Exception: Whatever loading raised.
        """
        self._thread.start()
        await asyncio.wrap_future(self._loaded)

    async def stop(self) -> bool:
        """Finish what is in hand and free the model; tell whether that was done within ``STOP_S``."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, STOP_S)
        return not self._thread.is_alive()

    def abandon(self, why: Exception) -> None:
        """Give up a model that does not move: whoever waits for it, or will, gets ``why``."""
        with self._changed:
            self._abandoned, self._stopping = why, True
            given_up = list(self._in_hand)
        for run in given_up:
            run.fail(why)

    @property
    def decoder(self) -> Decoder:
        """The loaded model."""
        return self._loaded.result(timeout=0)

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens."""
        return self.decoder.vocabulary

    @property
    def room(self) -> int:
        """Tokens that one request may take."""
        return min(self.decoder.n_ctx, self.decoder.n_ctx_trained)

    @property
    def template(self) -> str | None:
        """The chat template that the model's file carries."""
        return self.decoder.template

    @property
    def metadata(self) -> Mapping[str, str]:
        """What else the file says of itself, as text."""
        return self.decoder.metadata()

    async def choose(self, prompt: Prompt, labels: Sequence[Sequence[int]], *, lane: Lane) -> Choice:
        """Return the probabilities of some labels."""
        if len(labels) == 1:
            return Choice((0.0,), 0)
        found: Choice = await self._run(Choosing(prompt, Labels(tuple(map(tuple, labels))), lane))
        return found

    async def generate(
        self,
        prompt: Prompt,
        *,
        most: int,
        lane: Lane,
        constraint: Constraint | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Generated:
        """Write on from a prompt."""
        hear = _on_loop(on_text) if on_text is not None else None
        written: Generated = await self._run(Generating(prompt, self.vocabulary, lane, most=most, constraint=constraint, on_text=hear))
        return written

    async def _run(self, run: Run) -> Any:
        self._check(run)
        run.future.add_done_callback(self._maybe_cancelled)
        with self._changed:
            self._in_hand.add(run)
            self._arrived.append(run)
            self._changed.notify()
            self._hurry(run)
        try:
            return await asyncio.wrap_future(run.future)
        finally:
            with self._changed:
                self._in_hand.discard(run)

    def _check(self, run: Run) -> None:
        if self._abandoned is not None:
            raise self._abandoned
        if not self._thread.is_alive():
            raise ContractError(ErrorCode.UNAVAILABLE, "the model is stopped")
        tokens = len(run.prompt.shared) + run.cells
        if tokens > self.room or run.n_sequences + bool(run.prompt.shared) > self.decoder.n_sequences:
            message = f"{tokens} tokens with what is to be written, and the model's context has {self.room}"
            raise ContractError(ErrorCode.TOO_LONG, message)

    def _hurry(self, run: Run) -> None:
        """End a pass that reads bulk prompts, where an interactive request has come: they are read again after it."""
        if run.lane is Lane.INTERACTIVE and self._passing and all(one.lane is Lane.BULK and not one.generating for one in self._passing):
            self.decoder.abort()

    def _maybe_cancelled(self, future: Future[object]) -> None:
        """End a pass that nobody waits for any more."""
        if future.cancelled():
            with self._changed:
                if self._passing and all(run.future.cancelled() for run in self._passing):
                    self.decoder.abort()

    # ------------------------------------------------------------ the engine's thread

    def _work(self) -> None:
        try:
            decoder = self._load()
        except BaseException as error:  # noqa: BLE001 - whoever waits for start() gets it, whatever it is
            self._loaded.set_exception(error)
            return
        self._loaded.set_result(decoder)
        scheduler = Scheduler(decoder)
        try:
            while self._take(scheduler):
                self._pass(decoder, scheduler)
        except Exception as error:  # noqa: BLE001 - every request in hand gets it, and so will every later one
            self.turn = self.passes  # in one pass for ever: the heartbeat sees that this replica does not move any more
            self.abandon(ContractError(ErrorCode.MODEL_FAILED, f"the model failed: {type(error).__name__}"))
            return
        decoder.close()

    def _take(self, scheduler: Scheduler) -> bool:
        """Take what has arrived, waiting where there is nothing else to do; False where there will be nothing any more."""
        with self._changed:
            while not self._arrived and not scheduler.in_hand:
                if self._stopping:
                    return False
                self._changed.wait()
            arrived, self._arrived = self._arrived, []
        for run in arrived:
            scheduler.add(run)
        return self._abandoned is None

    def _pass(self, decoder: Decoder, scheduler: Scheduler) -> None:
        rows = scheduler.compose()
        if not rows:
            return
        with self._changed:
            self._passing = [run for run, _ in scheduler.passing]
            self.turn = self.passes
        began = time.monotonic()
        outcome = decoder.decode(rows)
        with self._changed:
            self._passing = []
        scheduler.conclude(outcome, time.monotonic() - began)
        self.passes += 1
        self.turn = None


def _on_loop(hear: Callable[[str], None]) -> Callable[[str], None]:
    """Return what passes a text on to the event loop that this is called on."""
    loop = asyncio.get_running_loop()

    def heard(text: str) -> None:
        loop.call_soon_threadsafe(hear, text)

    return heard
