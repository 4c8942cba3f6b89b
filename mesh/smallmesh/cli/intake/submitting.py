"""Submits tasks and collects their results: a bounded number in flight, each result exactly once."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from math import inf
from types import TracebackType
from typing import Final, Self, TypeVar

from smallmesh.bus import Bus, Message, Subscription
from smallmesh.cli.intake.lines import Submission
from smallmesh.cli.intake.outcomes import Outcome, status_of
from smallmesh.cli.intake.pace import Pace
from smallmesh_contracts import ContractError, DataClass, ErrorCode, subjects

__all__ = ["Outcome", "Submitter"]

T = TypeVar("T")
PUBLISHERS: Final = 64
"""Tasks that wait for the broker's acknowledgement at once. Their texts are in memory, those of others no more."""
LOOK_EVERY_S = 1.0
LOOK_AFTER_S = 5.0
"""Age at which a task's result is read although nobody announced it: it may have ended before, in an earlier run."""
LOOK_AGAIN_S = 60.0
"""And from then on: what passes by can be lost without a word, between the brokers of a cluster."""
_READERS = 16
_GUESSES = 64
"""Tasks in a row without a result from before, after which no more are expected to have one."""
_STORED = f"{subjects.ROOT}.stored."
_LATE = ContractError(ErrorCode.EXPIRED, "no result yet: the task is still in the mesh, ask with `smallmesh result`")
_NOT_TAKEN = ContractError(ErrorCode.OVERLOADED, "the mesh had no room for it in time: submit it again later")


@dataclass(slots=True)
class _Sent:
    submission: Submission
    taken: bool = False
    look_at: float = inf


class _Guess:
    """Whether tasks tend to have results from before: then they are read first, and not submitted again."""

    def __init__(self) -> None:
        self._left = _GUESSES

    @property
    def is_likely(self) -> bool:
        return self._left > 0

    def was(self, *, right: bool) -> None:
        self._left = _GUESSES if right else max(0, self._left - 1)


class Submitter:
    """Publishes tasks and waits for what becomes of them.

    A result is taken from what the broker says it has stored, as it passes by. What does not
    pass by is read: at the beginning, and as long as tasks turn out to have ended before; of
    every task that is in flight for long; and of all of them where the connection had a gap.
    """

    def __init__(self, bus: Bus, tenant: str, came: Callable[[Outcome], None], *, in_flight: int, pace: Pace | None = None) -> None:
        """Prepare.

        Args:
            bus: Where tasks go.
            tenant: Whose they are.
            came: Called once with the outcome of each, in the order in which they come. What it raises ends the submission.
            in_flight: How many may be without an outcome at once.
            pace: Another than the usual one.
        """
        self.pace = pace or Pace(in_flight)
        self._bus = bus
        self._tenant = tenant
        self._came = came
        self._sent: dict[str, _Sent] = {}
        self._publishing: set[asyncio.Task[None]] = set()
        self._watches: dict[DataClass, Subscription] = {}
        self._guess = _Guess()
        self._changed = asyncio.Event()
        self._gap = asyncio.Event()
        self._broken: BaseException | None = None

    async def __aenter__(self) -> Self:
        """Begin to look for results."""
        self._looking = asyncio.create_task(self._look_around())
        self._looking.add_done_callback(self._over)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for nothing more."""
        for task in (self._looking, *self._publishing):
            task.cancel()
        for watch in self._watches.values():
            with contextlib.suppress(ContractError):
                await watch.stop()

    @property
    def outstanding(self) -> int:
        """How many are without an outcome."""
        return len(self._sent)

    async def submit(self, submission: Submission) -> None:
        """Publish a task as soon as there is room for it. Each address may be there once at a time.

        Raises:
            ContractError: ``unavailable`` or ``unauthorized``: nothing can be submitted.
        """
        while self._broken is None and (len(self._sent) >= self.pace.limit or len(self._publishing) >= PUBLISHERS):
            await self._next_change()
        self._raise_what_broke()
        await self._watch(submission.address.data_class)
        key = subjects.stored(subjects.done(submission.address))
        self._sent[key] = _Sent(submission.sent())
        task = asyncio.create_task(self._publish(key, submission))
        self._publishing.add(task)
        task.add_done_callback(self._over)

    async def finished(self, timeout_s: float | None = None) -> None:
        """Wait for all outcomes, at most so long; what is late gets an error for its outcome.

        Raises:
            ContractError: As :meth:`submit`.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._sent and self._broken is None:
                    await self._next_change()
        self._raise_what_broke()
        for task in self._publishing:
            task.cancel()
        for key, sent in list(self._sent.items()):
            self._end(key, Outcome(sent.submission, error=(_LATE if sent.taken else _NOT_TAKEN).info, is_final=False))
        self._raise_what_broke()

    def give_up(self, error: BaseException) -> None:
        """Let whoever submits or waits hear of an error."""
        self._broken = self._broken or error
        self._changed.set()

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._publishing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.give_up(error)
        self._changed.set()

    def _raise_what_broke(self) -> None:
        if self._broken is not None:
            raise self._broken

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _watch(self, data_class: DataClass) -> None:
        if data_class not in self._watches:
            stored = subjects.stored(subjects.any_done(data_class, self._tenant))
            self._watches[data_class] = await self._patiently(lambda: self._bus.watch(stored, self._passed_by, missed=self._gap.set))

    # ------------------------------------------------------------ on the way in

    async def _publish(self, key: str, submission: Submission) -> None:
        try:
            if self._guess.is_likely and await self._look(key):
                return
            await self._store(submission)
        except ContractError as error:
            if self.pace.ends_all(error):
                raise
            self._end(key, Outcome(submission.sent(), error=error.info))
        if (sent := self._sent.get(key)) is not None:
            sent.taken, sent.look_at = True, time.monotonic() + LOOK_AFTER_S

    async def _store(self, submission: Submission) -> None:
        subject = subjects.submit(submission.lane, submission.address)
        await self._patiently(lambda: self._bus.store(subject, submission.body))
        self.pace.taken()

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        tries = 0
        while True:
            try:
                return await ask()
            except ContractError as error:
                wait_s = self.pace.wait_s(error, tries, len(self._sent))
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)
            tries += 1

    # ------------------------------------------------------------ on the way out

    def _passed_by(self, message: Message) -> None:
        sent = self._sent.get(message.subject)
        if sent is None:
            return
        try:
            outcome = Outcome(sent.submission, message.body, status_of(message.body, sent.submission.digest))
        except ContractError as error:
            outcome = Outcome(sent.submission, error=error.info)
        self._end(message.subject, outcome)

    def _end(self, key: str, outcome: Outcome) -> None:
        if self._sent.pop(key, None) is None:
            return
        self._changed.set()
        try:
            self._came(outcome)
        except Exception as raised:  # noqa: BLE001 - whoever waits hears of it
            self.give_up(raised)

    async def _look_around(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gap.wait(), LOOK_EVERY_S)
            now = inf if self._gap.is_set() else time.monotonic()
            self._gap.clear()
            due = iter([key for key, sent in self._sent.items() if sent.look_at <= now])
            await asyncio.gather(*(self._look_at_some(due) for _ in range(_READERS)))

    async def _look_at_some(self, due: Iterator[str]) -> None:
        for key in due:
            sent = self._sent.get(key)
            if sent is not None:
                sent.look_at = time.monotonic() + LOOK_AGAIN_S
                await self._look(key)

    async def _look(self, key: str) -> bool:
        """Read a task's result, and tell whether it is there."""
        try:
            found = await self._bus.read(f"{subjects.ROOT}.{key.removeprefix(_STORED)}")
        except ContractError as error:
            if key in self._sent and error.info.code is not ErrorCode.UNAUTHORIZED:
                self._sent[key].look_at = time.monotonic()  # the broker is away: soon again
            return False
        self._guess.was(right=found is not None and key in self._sent)
        if found is None:
            return False
        self.pace.taken()
        self._passed_by(Message(key, found.body))
        return True
