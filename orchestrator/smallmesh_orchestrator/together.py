"""Several things at once, in as few tasks as may be."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what several coroutines give, in their order; the first runs in the task that waits for them.

    If one fails, or the wait is cancelled, the others are cancelled too.
    """
    others = [asyncio.create_task(one) for one in work[1:]]
    try:
        first = [await one for one in work[:1]]
        return [*first, *[await other for other in others]]
    finally:
        for other in others:
            other.cancel()
