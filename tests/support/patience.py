"""Waiting for a condition instead of for a while."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE_S = 60.0
"""Far more than anything takes: a test that waits so long has found something, also on a busy machine."""
_LOOK_S = 0.02
T = TypeVar("T")


async def until(probe: Callable[[], T | None] | Callable[[], Awaitable[T | None]], what: str, within_s: float = PATIENCE_S) -> T:
    """Return what ``probe`` gives as soon as that is true.

    Raises:
        AssertionError: It never was, naming what was waited for.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        given = probe()
        found = await given if inspect.isawaitable(given) else given
        if found:
            return found
        if loop.time() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what}")
        await asyncio.sleep(_LOOK_S)
