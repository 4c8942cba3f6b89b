"""Replaying dead letters: each becomes a new task, once, however often and by however many it is replayed.

First it is decided which letters become which task (:class:`Planner`); no text is held
meanwhile. Then each task is submitted, and its letters are removed (:class:`Replayer`).
The states in which that can end, and what follows from each when it is done again:

- before the submission is acknowledged: nothing has happened, or the submission is there and is found;
- after it, with all letters there or some: the submission or its result is found, the rest of the letters is removed;
- after the last letter is removed: there is nothing left to replay.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from weakref import WeakValueDictionary

from smallmesh.bus import Bus
from smallmesh.catalogue import Catalogue, CatalogueError
from smallmesh.dead_letters.keeping import publishable
from smallmesh.dead_letters.reading import Letter, find, forget
from smallmesh.dead_letters.repeating import Source, Steps, agent_of, replay_id, source_of
from smallmesh_contracts import Address, ContractError, ErrorCode, ErrorInfo, Lane, TaskResult, decode, subjects

MOST_TRIES = 1000
"""Ids that are tried for one replay: whoever has more tasks of that name should look at them."""
FULL_WAIT_S = 5.0
"""How long to wait where the broker's stream is full and it does not say itself."""
_SERVICES_S = 0.5
_OF_THE_BROKER = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.UNAUTHORIZED})


class State(StrEnum):
    """What became of a replay."""

    SUBMITTED = "submitted"
    ALREADY_THERE = "already_there"
    GONE = "gone"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Plan:
    """One task that is to be submitted for one letter or several.

    Attributes:
        address: Of the task that it repeats.
        lane: In which lane.
        wanted: The answers it wants.
        numbers: Its letters.
    """

    address: Address
    lane: Lane
    wanted: tuple[str, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a plan.

    Attributes:
        plan: The plan.
        state: ``submitted``; ``already_there`` where the same replay was submitted before; ``gone``
            where its letters had been replayed or dropped before; ``refused`` where it cannot be submitted, and they stay.
        address: Of the new task; None where there is none.
        error: Why it was refused.
    """

    plan: Plan
    state: State
    address: Address | None = None
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A letter that cannot be replayed, and stays."""

    number: int
    error: ErrorInfo


class Givers:
    """Which answer each agent gives: by its folder here, or else as it says itself on the broker."""

    def __init__(self, bus: Bus, folders: Iterable[Path]) -> None:
        """Look in these folders, and on this bus."""
        self._bus = bus
        self._folders = tuple(folders)
        self._known: dict[str, str] | None = None
        self._asked = False

    async def answer(self, agent: str) -> str:
        """Return the answer that an agent gives.

        Raises:
            ContractError: ``unknown_answer`` where nobody knows the agent.
        """
        if self._known is None:
            self._known = self._from_folders()
        if agent not in self._known and not self._asked:
            self._asked = True
            running = await self._bus.services(_SERVICES_S)
            self._known |= {one.name: one.metadata["answer"] for one in running if "answer" in one.metadata and one.name not in self._known}
        if agent not in self._known:
            hint = "start it, or put its folder on SMALLMESH_AGENT_PATH"
            raise ContractError(ErrorCode.UNKNOWN_ANSWER, f"nobody here knows which answer {agent} gives: {hint}")
        return self._known[agent]

    def _from_folders(self) -> dict[str, str]:
        try:
            return {name: found.agent.answer for name, found in Catalogue.load(self._folders).agents.items()}
        except CatalogueError:  # the agents of this mesh may be elsewhere: those who run say it too
            return {}


@dataclass
class Planner:
    """Decides which letters become which task.

    Attributes:
        givers: Who gives which answer.
        refused: Letters that cannot be replayed.
    """

    givers: Givers
    refused: list[Refused] = field(default_factory=list)
    _groups: dict[tuple[object, ...], "_Group"] = field(default_factory=dict)

    async def add(self, letter: Letter, payload: bytes) -> None:
        """Take in a letter; those of steps of one task become one, and so do two of the same submission."""
        try:
            agent = agent_of(letter)
            source = source_of(letter, payload, await self.givers.answer(agent) if agent is not None else None)
        except ContractError as error:
            self.refused.append(Refused(letter.number, error.info))
            return
        key = (source.address, source.lane, type(source), source.fingerprint())
        group = self._groups.setdefault(key, _Group(source.address, source.lane))
        group.wanted.update(dict.fromkeys(source.wanted))
        group.numbers.append(letter.number)

    def plans(self) -> list[Plan]:
        """Return the tasks that are to be submitted, in the order of their first letters."""
        return [Plan(group.address, group.lane, tuple(group.wanted), tuple(group.numbers)) for group in self._groups.values()]


@dataclass(slots=True)
class _Group:
    address: Address
    lane: Lane
    wanted: dict[str, None] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)


class Replayer:
    """Submits planned replays."""

    def __init__(self, bus: Bus, givers: Givers, *, keep: bool = False, full: Callable[[float], object] = lambda _: None) -> None:
        """Prepare.

        Args:
            bus: Where.
            givers: Who gives which answer.
            keep: Whether letters stay where they are.
            full: Called when the broker takes no more for now, with the seconds that are waited.
        """
        self._bus = bus
        self._givers = givers
        self._keep = keep
        self._full = full
        self._turns: WeakValueDictionary[Address, asyncio.Lock] = WeakValueDictionary()

    async def replay(self, plan: Plan) -> Replayed:
        """Submit one planned replay, unless it is there already, and remove its letters.

        Raises:
            ContractError: ``unavailable`` or ``unauthorized``: it can be done again.
        """
        turn = self._turns.setdefault(plan.address, asyncio.Lock())
        async with turn:  # the broker keeps two replays of one id apart in one lane, but not in two
            try:
                return await self._replay(plan)
            except ContractError as error:
                if error.info.code in _OF_THE_BROKER:
                    raise
                return Replayed(plan, State.REFUSED, error=error.info)

    async def _replay(self, plan: Plan) -> Replayed:
        found = await self._first_of(plan)
        if found is None:
            return Replayed(plan, State.GONE)
        source, carried = found
        state, address = await self._submitted(source, carried)
        if not self._keep:
            for number in plan.numbers:
                await forget(self._bus, number)
        return Replayed(plan, state, address)

    async def _first_of(self, plan: Plan) -> tuple[Source, Mapping[str, str]] | None:
        """Return what a plan repeats, from the first of its letters that is still there.

        All that was planned is wanted also where some letters have gone meanwhile: whoever
        replays them at this moment has planned the same, and it is one task.
        """
        for number in plan.numbers:
            found = await find(self._bus, number)
            if found is not None:
                letter, payload = found
                agent = agent_of(letter)
                source = source_of(letter, payload, await self._givers.answer(agent) if agent is not None else None)
                wanted = source.wanting(plan.wanted) if isinstance(source, Steps) else source
                return wanted, publishable(letter.carried)
        return None

    async def _submitted(self, source: Source, carried: Mapping[str, str]) -> tuple[State, Address]:
        """Submit under the first id under which nothing is, or this already."""
        for number in range(1, MOST_TRIES + 1):
            address = replace(source.address, task_id=replay_id(source.address.task_id, number))
            state = await self._submitted_as(address, source, carried)
            if state is not None:
                return state, address
        message = f"{MOST_TRIES} other tasks are called {source.address.task_id}-r1 and so on"
        raise ContractError(ErrorCode.ID_CONFLICT, message)

    async def _submitted_as(self, address: Address, source: Source, carried: Mapping[str, str]) -> State | None:
        """Submit under an address; None where another task has it."""
        while True:
            there = await self._is_there(address, source)
            if there is not None:
                return State.ALREADY_THERE if there else None
            if await self._store(subjects.submit(source.lane, address), source.body(address), carried):
                return State.SUBMITTED

    async def _is_there(self, address: Address, source: Source) -> bool | None:
        """Tell whether what has an address is this replay; None where nothing has it.

        A task goes from its submission to its result, and so does this.
        """
        for lane in Lane:
            submitted = await self._bus.read(subjects.submit(lane, address))
            if submitted is not None:
                return source.is_in(submitted.body, address)
        done = await self._bus.read(subjects.done(address))
        return None if done is None else source.is_done_by(decode(TaskResult, done.body), address)

    async def _store(self, subject: str, body: bytes, carried: Mapping[str, str]) -> bool:
        while True:
            try:
                return await self._bus.store(subject, body, carried)
            except ContractError as error:
                if error.info.code is not ErrorCode.OVERLOADED:
                    raise
                wait_s = error.info.retry_after_s or FULL_WAIT_S
                self._full(wait_s)
                await asyncio.sleep(wait_s)
