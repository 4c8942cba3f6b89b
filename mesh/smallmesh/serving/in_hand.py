"""The steps that a process has in hand: their signs of life, and their end where a task is over before its step."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable
from functools import cached_property
from types import TracebackType
from typing import Self

from smallmesh.bus import Bus, Delivery, Message, Subscription
from smallmesh.serving.cancelling import Announcements
from smallmesh.serving.lenient import check_digest
from smallmesh.serving.movement import Movement
from smallmesh.serving.states import StepState
from smallmesh_contracts import Address, ContractError, subjects


class StepIsOver(Exception):  # noqa: N818 - it is an end, not an error
    """The task has its terminal result: nobody waits for this step."""


class Held:
    """A step in hand. As a context it can be broken off from outside; what was said then is raised at its end.

    Attributes:
        delivery: The message.
        state: Where it is.
        deadline: When its budget is used up, in seconds of the broker's clock.
        digest: Of the submitted body, once it is read.
        movement: Of the model that answers it, where that is not the first of the process.
    """

    def __init__(self, delivery: Delivery) -> None:
        """Take a message in hand."""
        self.delivery = delivery
        self.state = StepState.TAKEN
        self.deadline = math.inf
        self.digest: str | None = None
        self.movement: Movement | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._why: Exception | None = None

    @cached_property
    def address(self) -> Address | None:
        """Whose step it is; None for a subject without an address."""
        try:
            return subjects.address_of(self.delivery.subject)
        except ValueError:
            return None

    @property
    def address_or_fail(self) -> Address:
        """Whose step it is.

        Raises:
            ValueError: There is no address in its subject.
        """
        return self.address or subjects.address_of(self.delivery.subject)

    def break_off(self, why: Exception) -> None:
        """Cancel the work; ``why`` is raised in its place. Nothing where there is no work to cancel."""
        if self._task is not None and self._why is None:
            self._why = why
            self._task.cancel()

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task else 0
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        task, self._task = self._task, None
        why, self._why = self._why, None
        if task is None or why is None:
            return
        others = task.uncancel() > self._cancelling  # this process is stopping too
        if isinstance(error, asyncio.CancelledError) and not others:
            raise why from None


class InHand:
    """The steps in hand of one process.

    One ticker gives the signs of life of all: most steps end before the first is due, so a timer for each would be work for nothing.
    """

    def __init__(self, bus: Bus, *movements: Movement) -> None:
        """Hold nothing yet; ``movements`` are those of the models which answer, where there are any."""
        self.movements = movements or (Movement(),)
        self.announced = Announcements()
        self._bus = bus
        self._held: dict[int, Held] = {}
        self._doubtful: set[Held] = set()
        self._looking: asyncio.Task[None] | None = None

    @property
    def movement(self) -> Movement:
        """That of the model which answers, unless a step says which other one does."""
        return self.movements[0]

    @property
    def stuck(self) -> bool:
        """Whether one of the models will not move any more."""
        return any(movement.stuck for movement in self.movements)

    def take(self, delivery: Delivery) -> Held | None:
        """Take a message in hand; None where it is in hand already, by an earlier delivery that decides its fate."""
        if delivery.sequence in self._held:
            return None
        held = self._held[delivery.sequence] = Held(delivery)
        return held

    def of(self, delivery: Delivery) -> Held:
        """Return what was taken."""
        return self._held[delivery.sequence]

    def release(self, held: Held) -> None:
        """Let a message go."""
        del self._held[held.delivery.sequence]

    async def watch(self) -> Subscription:
        """Hear from now on which tasks are cancelled."""
        return await self._bus.watch(subjects.any_cancelled(), self._hear, missed=self._missed)

    def _hear(self, message: Message) -> None:
        try:
            address = subjects.address_of(message.subject)
        except ValueError:  # of a class that is none
            return
        self.announced.hear(address)
        self._look_at([held for held in self._held.values() if held.address == address])

    def _missed(self) -> None:
        self.announced.unsure()
        self._look_at(self._held.values())

    async def beat(self, every_s: float, stuck: Callable[[], None] = lambda: None) -> None:
        """Give signs of life for as long as this runs; call ``stuck`` where a model will not move any more."""
        while True:
            await asyncio.sleep(every_s)
            for movement in self.movements:
                movement.look()
            if self.stuck:
                stuck()
            self._look_at(self._held.values())  # the announcement may have been missed
            for held in list(self._held.values()):
                if self._lives(held):
                    with contextlib.suppress(Exception):  # not connected: the broker will redeliver, and the late result be refused
                        await held.delivery.in_progress()

    def _lives(self, held: Held) -> bool:
        """Tell whether a step gets on: it waits for no model, or for one that moves; and nobody waits longer than its budget."""
        movement = held.movement or self.movement
        return (held.state is not StepState.ANSWERING or movement.moves) and self._bus.now() < held.deadline

    def _look_at(self, doubtful: Iterable[Held]) -> None:
        self._doubtful.update(doubtful)
        if self._doubtful and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Read the terminal results of the tasks whose steps may be in vain."""
        while self._doubtful:
            held = self._doubtful.pop()
            if held.address is not None and self._held.get(held.delivery.sequence) is held:
                with contextlib.suppress(ContractError):  # the broker is away: looked at again at the next beat
                    done = await self._bus.read(subjects.done(held.address))
                    if done is not None:
                        held.break_off(_why_over(held, done.body))


def _why_over(held: Held, done: bytes) -> Exception:
    try:
        if held.digest is not None:
            check_digest(done, held.digest)
    except ContractError as conflict:
        return conflict
    return StepIsOver()
