"""Turns: submissions begin a few at a time, and bulk ones fewer while somebody waits for an interactive one."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from smallmesh_contracts import Lane

INTERACTIVE: Final = 64
"""What begins has four requests in flight, and takes twice the memory of what waits."""
BULK_ALONE: Final = 16
BULK_BESIDE: Final = 4
"""Bulk submissions come in bursts of as many as there are slots, and each begins with six messages to the broker. Measured on two busy
cores beside a backlog of 3,000 tasks of agents that do nothing: an interactive task that took 25 to 45 ms alone (p95) took 2,200 to 2,600
without turns, 130 to 190 with 16, 95 to 105 with 4. Fewer cost throughput, which only agents that do nothing would notice."""
QUIET_S: Final = 0.5
"""Whoever has sent one interactive task is likely to send another."""


class Queue:
    """Turns of one kind, in the order in which they are asked for."""

    def __init__(self, most: Callable[[], int]) -> None:
        """Give as many at once as ``most`` says at the time."""
        self._most = most
        self._given = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for a turn."""
        if not self._waiting and self._given < self._most():
            self._given += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given at the last moment
                self.end()
            raise

    def end(self) -> None:
        """Hand a turn on."""
        self._given -= 1
        self.give()

    def give(self) -> None:
        """Give what there is to give."""
        while self._waiting and self._given < self._most():
            turn = self._waiting.popleft()
            if not turn.done():
                self._given += 1
                turn.set_result(None)


class Turns:
    """How many submissions may be beginning at once: few bulk ones while an interactive one is in hand, or was a moment ago."""

    def __init__(
        self, interactive: int = INTERACTIVE, alone: int = BULK_ALONE, beside: int = BULK_BESIDE, quiet_s: float = QUIET_S
    ) -> None:
        """Give so many turns at once; ``quiet_s`` is how long an interactive submission counts that has ended."""
        self._quiet_s = quiet_s
        self._interactive = 0
        self._quiet: asyncio.TimerHandle | None = None
        self._bulk = Queue(lambda: alone if self._interactive == 0 and self._quiet is None else beside)
        self._queues = {Lane.INTERACTIVE: Queue(lambda: interactive), Lane.BULK: self._bulk}

    async def take(self, lane: Lane) -> Callable[[], None]:
        """Wait for a turn; return what ends it."""
        queue = self._queues[lane]
        await queue.take()
        return queue.end

    @contextlib.contextmanager
    def in_hand(self, lane: Lane) -> Iterator[None]:
        """Have a submission in hand."""
        if lane is not Lane.INTERACTIVE:
            yield
            return
        self._interactive += 1
        try:
            yield
        finally:
            self._interactive -= 1
            if self._quiet is None:
                self._quiet = asyncio.get_running_loop().call_later(self._quiet_s, self._quieten)

    def _quieten(self) -> None:
        self._quiet = None
        self._bulk.give()
