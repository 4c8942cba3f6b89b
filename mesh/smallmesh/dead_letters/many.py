"""Much to do, a few at once; and waiting for what becomes of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from smallmesh.bus import Bus
from smallmesh_contracts import Address, TaskResult, decode, subjects

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 16
"""In hand at once: the broker answers each question in a fraction of a millisecond."""
FIRST_LOOK_S = 0.1
RAREST_LOOK_S = 2.0


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[R]], came: Callable[[R], object]) -> None:
    """Do some work for each of many, and hand on what comes of it, in the order in which it comes.

    Raises:
        Exception: The first that the work raised; nothing is begun after it, and what was in hand is cancelled.
    """
    in_hand: set[asyncio.Future[R]] = set()
    try:
        for item in items:
            in_hand.add(asyncio.ensure_future(work(item)))
            if len(in_hand) >= AT_ONCE:
                in_hand = await _some(in_hand, came)
        while in_hand:
            in_hand = await _some(in_hand, came)
    finally:
        for one in in_hand:
            one.cancel()
        await asyncio.gather(*in_hand, return_exceptions=True)


async def _some(in_hand: "set[asyncio.Future[R]]", came: Callable[[R], object]) -> "set[asyncio.Future[R]]":
    done, rest = await asyncio.wait(in_hand, return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        came(one.result())
    return rest


async def results(bus: Bus, addresses: Iterable[Address], came: Callable[[TaskResult], object]) -> None:
    """Wait for the terminal results of tasks, looking ever less often."""
    missing = set(addresses)
    pause_s = FIRST_LOOK_S

    async def look(address: Address) -> TaskResult | None:
        found = await bus.read(subjects.done(address))
        if found is None:
            return None
        missing.discard(address)
        return decode(TaskResult, found.body)

    while missing:
        before = len(missing)
        await for_each(list(missing), look, lambda found: found and came(found))
        pause_s = FIRST_LOOK_S if len(missing) < before else min(RAREST_LOOK_S, 2 * pause_s)
        if missing:
            await asyncio.sleep(pause_s)
