"""Long texts are read beside the event loop."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LONG = 2_000
"""Characters that are read in one millisecond, in seven where every line has two words; health must answer within a hundred."""


async def aside(function: Callable[[str], T], text: str) -> T:
    """Return ``function(text)``; of a long text it is computed on another thread, so that the event loop goes on."""
    return await asyncio.to_thread(function, text) if len(text) > LONG else function(text)
