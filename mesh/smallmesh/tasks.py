"""Tasks that are surely ended."""

import asyncio
from collections.abc import Collection
from typing import Any

_AGAIN_S = 0.2


async def end(task: "asyncio.Task[Any]") -> None:
    """Cancel a task whose result nobody waits for, and wait until it has ended, however it ended.

    Before Python 3.12 ``asyncio.wait_for``, which nats-py uses throughout, can
    swallow a cancellation that comes at the moment of its result; so it is repeated.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_S)


async def wind_up(in_hand: Collection["asyncio.Task[Any]"], grace_s: float) -> None:
    """Wait for what is in hand, and cancel what takes longer than ``grace_s`` seconds."""
    if in_hand:
        _, unfinished = await asyncio.wait(in_hand, timeout=grace_s)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
