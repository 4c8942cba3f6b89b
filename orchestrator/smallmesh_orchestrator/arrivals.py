"""News of tasks: results that are stored and tasks that are cancelled, brought to whoever waits for them.

Both pass by unasked, over one subscription a class, and neither is kept: what passes
while the connection is away is missed. So whoever waits is also looked after: at once
where a cancellation was announced (the stored terminal result is the proof), soon after
a gap in the connection, and now and then in any case. One loop makes the looks, one
after the other and no more than so many a second, however many wait.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable

from smallmesh.bus import Bus, Message, Subscription
from smallmesh.holding import Holding
from smallmesh.serving.cancelling import Announcements
from smallmesh.tasks import end
from smallmesh.telemetry import logger
from smallmesh_contracts import Address, DataClass, Lane, subjects

FIRST_LOOK_S = {Lane.INTERACTIVE: 1.0, Lane.BULK: 60.0}
"""Somebody waits for an interactive task, and a healthy mesh has it in hand for a fraction of this."""
LATER = 8.0
"""Each further look comes so many times later than the one before."""
RAREST_LOOK_S = 600.0
AWAY_S = 2.0
"""A process that has not run for so long was stopped or starved: what it is handed first may have been given to others since."""
AGAIN_S = 5.0
"""A look that failed is made again after this; a gap that has ended is told by itself."""
LOOKS_A_SECOND = 200
"""A look is up to five reads of 0.2 ms: a fifth of a core while a gap is caught up, and nothing in quiet times."""
TICK_S = 0.5
LAST_LOOKS_AT_ONCE = 16
Part = tuple[str, str]
"""Agent and answer: what tells the results of one task from each other."""
_STORED = subjects.stored(subjects.ALL_RESULTS).removesuffix(".>")


class TaskOver(Exception):  # noqa: N818 - says what is so
    """The task has its terminal result already.

    Attributes:
        done: That result, as it is stored.
    """

    def __init__(self, done: Message) -> None:
        """Carry the terminal result."""
        super().__init__("the task is over")
        self.done = done


class Waiting:
    """One task that waits for results.

    Attributes:
        address: Whose they are.
        lane: How urgent.
        missing: Which have not come.
        found: Those that have come.
        done: The task's terminal result, if it turned out that there is one.
        look_at: When it is looked after next, by this machine's monotonic clock; 0 for at once.
        look_s: The wait before that look.
        thorough: Whether the next look reads missing results too. An interactive task's first one asks only whether
            the task is over: so it is where a client repeats one, whose steps then give no news.
    """

    __slots__ = ("_waker", "address", "done", "found", "lane", "look_at", "look_s", "missing", "thorough")

    def __init__(self, address: Address, lane: Lane, parts: Iterable[Part]) -> None:
        """Wait for the results of some parts."""
        self.address = address
        self.lane = lane
        self.missing = set(parts)
        self.found: dict[Part, bytes] = {}
        self.done: Message | None = None
        self.look_s = FIRST_LOOK_S[lane]
        self.look_at = time.monotonic() + self.look_s
        self.thorough = lane is not Lane.INTERACTIVE
        self._waker: asyncio.Future[None] | None = None

    def came(self, part: Part, body: bytes) -> None:
        """Take in a result."""
        if part in self.missing:
            self.missing.discard(part)
            self.found[part] = body
            if not self.missing:
                self._wake()

    def over(self, done: Message) -> None:
        """Take in that the task has its terminal result."""
        self.done = done
        self._wake()

    async def news(self, within_s: float) -> None:
        """Wait until everything is there, the task is over, or the time is up."""
        loop = asyncio.get_running_loop()
        self._waker = loop.create_future()
        timer = loop.call_later(within_s, self._wake)
        try:
            await self._waker
        finally:
            timer.cancel()
            self._waker = None

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)


class Arrivals:
    """Waits for news on behalf of any number of tasks."""

    def __init__(self, bus: Bus, holding: Holding | None = None, on_gap: Callable[[], None] = lambda: None) -> None:
        """Wait on this bus; ``on_gap`` is called after every gap in the connection."""
        self._bus = bus
        self._on_gap = on_gap
        self._holding = holding or Holding()
        self._waiting: dict[str, list[Waiting]] = {}
        self._watches: list[Subscription] = []
        self._cancelled = Announcements()
        self._urgent = asyncio.Event()
        self._last_looks = asyncio.Semaphore(LAST_LOOKS_AT_ONCE)
        self._looking: asyncio.Task[None] | None = None
        self._ran_at = math.inf
        self._away_until = 0.0

    async def start(self, classes: Iterable[DataClass]) -> None:
        """Listen for news of some classes."""
        for data_class in classes:
            self._watches.append(await self._bus.watch(subjects.any_stored(data_class), self._stored, missed=self.missed))
            self._watches.append(await self._bus.watch(subjects.any_cancelled(data_class), self._announced, missed=self.missed))
        self._looking = asyncio.create_task(self._look_around())

    async def stop(self) -> None:
        """Listen no more."""
        if self._looking is not None:
            await end(self._looking)
        for watch in self._watches:
            await watch.stop()

    def expect(self, address: Address, lane: Lane, parts: Iterable[Part]) -> Waiting:
        """Begin to wait for results; call before their steps are published, and :meth:`forget` in the end.

        Each caller has a wait of its own: a replica may hold one task twice.
        """
        waiting = Waiting(address, lane, parts)
        self._waiting.setdefault(_key(address), []).append(waiting)
        return waiting

    def forget(self, waiting: Waiting) -> None:
        """Wait no more."""
        key = _key(waiting.address)
        waits = self._waiting[key]
        waits.remove(waiting)
        if not waits:
            del self._waiting[key]

    async def wait(self, waiting: Waiting, deadline: float) -> None:
        """Wait until every result is there, or ``deadline`` (the broker's clock) has passed.

        Raises:
            TaskOver: There is no more to wait for.
        """
        while waiting.missing and waiting.done is None:
            left_s = deadline - self._bus.now()
            if left_s <= 0:
                async with self._last_looks:  # many tasks may run out of time at once
                    await self._holding.until_done(lambda: self.read(waiting))
                break
            await waiting.news(left_s)
        if waiting.done is not None:
            raise TaskOver(waiting.done)

    async def read(self, waiting: Waiting) -> None:
        """Read the results that are missing, as far as they are stored."""
        for agent, answer in list(waiting.missing):
            found = await self._bus.read(subjects.result(waiting.address, agent, answer))
            if found is not None:
                waiting.came((agent, answer), found.body)

    def may_be_cancelled(self, address: Address) -> bool:
        """Tell whether a task may have been cancelled in the last seconds, on its way to this replica."""
        return self._cancelled.may_concern(address)

    @property
    def was_away(self) -> bool:
        """Whether this process did not run just now, so that others may have begun what it is handed first."""
        now = time.monotonic()
        return now - self._ran_at > AWAY_S or now < self._away_until

    def missed(self) -> None:
        """Look after everybody soon: there was a gap in the news."""
        self._on_gap()
        self._cancelled.unsure()
        now = time.monotonic()
        for waits in self._waiting.values():
            for waiting in waits:
                waiting.look_at = min(waiting.look_at, now)
                waiting.thorough = True
        self._urgent.set()

    def _stored(self, message: Message) -> None:
        key, agent, answer = message.subject.rsplit(".", 2)
        for waiting in self._waiting.get(key, ()):
            waiting.came((agent, answer), message.body)

    def _announced(self, message: Message) -> None:
        try:
            address = subjects.address_of(message.subject)
        except ValueError:
            return
        self._cancelled.hear(address)
        for waiting in self._waiting.get(_key(address), ()):
            waiting.look_at = 0.0
            self._urgent.set()

    async def _look_around(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._urgent.wait()
            self._urgent.clear()
            began = time.monotonic()
            self._note_gap(began)
            due = self._due(began)
            for waiting in due:
                await self._look_after(waiting)
                self._ran_at = time.monotonic()
            took_s = time.monotonic() - began
            await asyncio.sleep(max(0.0, len(due) / LOOKS_A_SECOND - took_s))

    def _note_gap(self, now: float) -> None:
        if now - self._ran_at > AWAY_S:
            logger().warning("was_away", seconds=round(now - self._ran_at, 1))
            self._away_until = now + AWAY_S
        self._ran_at = now

    def _due(self, now: float) -> list[Waiting]:
        """Return whom to look after in this round, the most urgent first."""
        due = [waiting for waits in self._waiting.values() for waiting in waits if waiting.look_at <= now]
        due.sort(key=lambda waiting: (waiting.look_at > 0, waiting.lane is not Lane.INTERACTIVE, waiting.look_at))
        return due[: int(LOOKS_A_SECOND * TICK_S)]

    async def _look_after(self, waiting: Waiting) -> None:
        try:
            done = await self._bus.read(subjects.done(waiting.address))
            if done is not None:
                waiting.over(done)
                return
            if waiting.thorough:
                await self.read(waiting)
        except Exception as error:  # noqa: BLE001 - most likely the broker is away; whatever it is, others are to be looked after
            logger().warning("look_failed", task_id=waiting.address.task_id, reason=type(error).__name__)
            waiting.look_at = time.monotonic() + AGAIN_S
            return
        waiting.thorough = True
        waiting.look_s = min(RAREST_LOOK_S, LATER * waiting.look_s)
        waiting.look_at = time.monotonic() + waiting.look_s


def _key(address: Address) -> str:
    return f"{_STORED}.{address}"
