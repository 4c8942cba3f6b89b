"""What the commands for dead letters do over the bus."""

import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rich.text import Text

from smallmesh.bus import Bus
from smallmesh.cli.output import console, notes, print_json
from smallmesh.cli.views.cards import print_task
from smallmesh.cli.views.dead import (
    counted,
    ended_line,
    progress,
    refused_as_json,
    refused_line,
    replayed_as_json,
    replayed_line,
)
from smallmesh.cli.where import connected
from smallmesh.dead_letters.many import for_each, results
from smallmesh.dead_letters.reading import Letter, Wanted, find, forget, letters
from smallmesh.dead_letters.replaying import Givers, Plan, Planner, Refused, Replayed, Replayer, State
from smallmesh.settings import settings
from smallmesh_contracts import Address, ContractError, ErrorCode, Status, TaskResult

Which = Wanted | Sequence[int]
"""The letters a command is about: those that are looked for, or those of some numbers."""
_SAID_AGAIN_S = 10.0


@asynccontextmanager
async def operating(nats: str | None) -> AsyncIterator[Bus]:
    """Connect as an operator.

    Raises:
        ContractError: What the bus raises; ``unauthorized`` where that came of what this user may not do.
    """
    problems: list[str] = []
    async with connected(nats, problem=lambda error: problems.append(str(error))) as bus:
        try:
            yield bus
        except ContractError as error:
            denied = next((one for one in problems if "permission" in one.lower()), None)
            if denied is None or error.info.code is not ErrorCode.UNAVAILABLE:
                raise
            raise ContractError(
                ErrorCode.UNAUTHORIZED, f"this user may not do that: {denied}; docs/dead-letters.md has the rights"
            ) from error


def not_there(number: int) -> ContractError:
    """Return what somebody is told who names a number that no letter has."""
    gone = "it was replayed or dropped before, was too old to be kept, or never was"
    return ContractError(ErrorCode.INVALID_REQUEST, f"there is no dead letter {number}: {gone}; `smallmesh dlq ls` lists those there are")


async def look(which: Wanted, came: Callable[[Letter], None], nats: str | None) -> bool:
    """Hand on every letter that is looked for."""
    async with operating(nats) as bus:
        async for letter, _ in letters(bus, which):
            came(letter)
    return True


@dataclass(frozen=True, slots=True)
class Shown:
    """One letter, and what its replay would be: a plan, or why there is none."""

    letter: Letter
    payload: bytes
    replay: Plan | Refused


async def look_at(number: int, nats: str | None) -> Shown:
    """Return one letter.

    Raises:
        ContractError: ``invalid_request`` where there is none of this number.
    """
    async with operating(nats) as bus:
        found = await find(bus, number)
        if found is None:
            raise not_there(number)
        planner = _planner(bus)
        await planner.add(*found)
        return Shown(*found, planner.refused[0] if planner.refused else planner.plans()[0])


async def plan(which: Which, nats: str | None, *, quiet: bool) -> Planner:
    """Decide which letters become which task."""
    async with operating(nats) as bus:
        planner = _planner(bus)
        with progress("read", None, quiet=quiet) as step:
            if isinstance(which, Wanted):
                async for letter, payload in letters(bus, which):
                    await planner.add(letter, payload)
                    step()
            else:
                for number in dict.fromkeys(which):
                    found = await find(bus, number)
                    if found is None:
                        planner.refused.append(Refused(number, not_there(number).info))
                    else:
                        await planner.add(*found)
    return planner


def _planner(bus: Bus) -> Planner:
    return Planner(Givers(bus, settings().agent_folders))


@dataclass
class Tally:
    """Tells what becomes of replays, and counts it.

    Attributes:
        as_json: Whether programs are told.
        alone: Whether there is one replay only, whose result is shown whole.
        new: Addresses of the tasks that there are now.
        failed: Whether something is not as it was wanted.
    """

    as_json: bool
    alone: bool
    new: list[Address] = field(default_factory=list)
    failed: bool = False
    _said_at: float = 0.0

    def refused(self, refused: Refused) -> None:
        """Take in a letter that cannot be replayed."""
        self.failed = True
        if self.as_json:
            print_json(refused_as_json(refused))
        else:
            notes.print(refused_line(refused), soft_wrap=True)

    def replayed(self, replayed: Replayed) -> None:
        """Take in what became of a replay."""
        if replayed.error is not None:
            for number in replayed.plan.numbers:
                self.refused(Refused(number, replayed.error))
            return
        if replayed.address is not None:
            self.new.append(replayed.address)
        if self.as_json:
            print_json(replayed_as_json(replayed))
        else:
            target = notes if replayed.state is State.GONE else console
            target.print(replayed_line(replayed), soft_wrap=True)

    def ended(self, result: TaskResult) -> None:
        """Take in the result of a replay."""
        self.failed |= result.status is not Status.COMPLETED
        if self.as_json:
            print_json({"event": "ended", "result": result.model_dump(mode="json")})
        elif self.alone:
            print_task(result, console)
        else:
            console.print(ended_line(result), soft_wrap=True)

    def full(self, wait_s: float) -> None:
        """Tell now and then that the broker takes no more for the moment."""
        if time.monotonic() - self._said_at > _SAID_AGAIN_S:
            self._said_at = time.monotonic()
            notes.print(Text(f"the broker's queue is full: tried again every {wait_s:g} s"))


async def replay(plans: Sequence[Plan], tally: Tally, nats: str | None, *, keep: bool) -> bool:
    """Submit what was planned, and remove its letters unless they are kept."""
    async with operating(nats) as bus:
        replayer = Replayer(bus, Givers(bus, settings().agent_folders), keep=keep, full=tally.full)
        with progress("replayed", len(plans), quiet=tally.as_json) as step:

            def came(replayed: Replayed) -> None:
                tally.replayed(replayed)
                step()

            await for_each(plans, replayer.replay, came)
    return True


async def wait(tally: Tally, nats: str | None) -> bool:
    """Wait for the results of replays, and tell them."""
    async with operating(nats) as bus:
        with progress("ended", len(tally.new), quiet=tally.as_json) as step:

            def came(result: TaskResult) -> None:
                tally.ended(result)
                step()

            await results(bus, tally.new, came)
    return True


async def numbers_of(which: Which, nats: str | None, *, quiet: bool) -> list[int]:
    """Return the numbers of letters."""
    if not isinstance(which, Wanted):
        return list(dict.fromkeys(which))
    found: list[int] = []
    with progress("read", None, quiet=quiet) as step:

        def came(letter: Letter) -> None:
            found.append(letter.number)
            step()

        await look(which, came, nats)
    return found


async def drop(numbers: Sequence[int], nats: str | None, *, as_json: bool) -> int:
    """Remove letters; return how many were there."""
    dropped = 0
    async with operating(nats) as bus:

        async def one(number: int) -> tuple[int, bool]:
            return number, await forget(bus, number)

        with progress("dropped", len(numbers), quiet=as_json) as step:

            def came(done: tuple[int, bool]) -> None:
                nonlocal dropped
                dropped += done[1]
                step()
                if as_json:
                    print_json({"event": "dropped" if done[1] else "gone", "number": done[0]})

            await for_each(numbers, one, came)
    return dropped


def can_ask() -> bool:
    """Tell whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def planned(plans: Sequence[Plan]) -> str:
    """Return what a replay would do, as a question."""
    number = sum(len(one.numbers) for one in plans)
    return f"Replay {counted(number, 'dead letter')} as {counted(len(plans), 'new task')}?"
