"""Tasks that keep flowing while something is broken."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from smallmesh.tasks import end
from smallmesh_contracts import Address, DataClass, Lane, Task
from tests.faults.ledger import Ledger
from tests.faults.states import ANALYSIS, Tracked
from tests.support.rules import HARD

IN_FLIGHT = 12
BUDGET_S = 900.0
"""Far beyond any trial: nothing here is about deadlines."""
_LOOK_S = 0.02
BROKEN = "nonsense"
"""An answer that nobody gives: a task that wants it is a dead letter and has a failed result."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task.

    Attributes:
        wanted: What it wants; an analysis is of a text that is complex.
        windows: How often an agent takes ``seconds`` over it.
        seconds: A window's time.
        budget_s: Until it expires.
    """

    wanted: tuple[str, ...]
    windows: int = 2
    seconds: float = 0.1
    budget_s: float = BUDGET_S

    def task(self, address: Address) -> Task:
        """Return one of this kind."""
        words = HARD if ANALYSIS in self.wanted else "easily"
        text = f"Hello {words} id:{address.task_id} windows:{self.windows}x{self.seconds}"
        return Task(text=text, wanted=self.wanted, timeout_s=self.budget_s)


SENTIMENT = Kind(("sentiment",))
ENTITIES = Kind(("entities",), windows=1)
TWO_STEPS = Kind(("sentiment", "entities"), windows=1)
PAID = Kind((ANALYSIS,))
REFUSED = Kind((BROKEN,))
MIXED = (TWO_STEPS, PAID, SENTIMENT, PAID, TWO_STEPS, REFUSED)


class Flow:
    """What flows.

    Attributes:
        tracked: Every task submitted, so that its state can be asked for.
    """

    def __init__(self, ledger: Ledger, kinds: Sequence[Kind], lanes: Sequence[Lane], data_class: DataClass) -> None:
        """Submit into a ledger; see :func:`flowing`."""
        self.tracked: dict[Address, Tracked] = {}
        self._ledger = ledger
        self._turns = itertools.cycle(itertools.product(kinds, lanes))
        self._class = data_class

    @property
    def open(self) -> list[Tracked]:
        """The tasks that are not at their end, as far as was looked."""
        return [self.tracked[address] for address in self._ledger.open if address in self.tracked]

    async def submit(self) -> None:
        """Submit one more task, of the kind and lane whose turn it is."""
        kind, lane = next(self._turns)
        await self.enter(self.track(kind, lane))

    def track(self, kind: Kind, lane: Lane) -> Tracked:
        """Prepare a task."""
        address = self._ledger.address(self._class)
        tracked = self.tracked[address] = Tracked(address, lane, kind.task(address), broken=BROKEN in kind.wanted)
        return tracked

    async def enter(self, tracked: Tracked) -> None:
        """Submit a prepared task."""
        await self._ledger.submit(tracked.address, tracked.task, tracked.lane)

    async def keep(self, in_flight: int) -> None:
        """Keep so many tasks open, for ever."""
        while True:
            while len(self.open) < in_flight:
                await self.submit()
            await asyncio.sleep(_LOOK_S)


@asynccontextmanager
async def flowing(
    ledger: Ledger,
    kinds: Kind | Sequence[Kind] = SENTIMENT,
    *,
    in_flight: int = IN_FLIGHT,
    data_class: DataClass = DataClass.PUBLIC,
    lanes: Sequence[Lane] = tuple(Lane),
) -> AsyncIterator[Flow]:
    """Keep so many tasks open, of each kind and lane in turn, while the body runs; see to none of them afterwards."""
    flow = Flow(ledger, [kinds] if isinstance(kinds, Kind) else kinds, lanes, data_class)
    feeding = asyncio.create_task(flow.keep(in_flight))
    try:
        yield flow
        if feeding.done():
            feeding.result()
    finally:
        await end(feeding)
