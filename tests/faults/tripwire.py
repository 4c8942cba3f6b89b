"""Freezes processes the moment a message passes by: the one way to find, from outside, a state that lasts a millisecond."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from smallmesh.bus import Message
from tests.support.client import Client

SETTLED_S = 0.01
"""What a process had written before it was frozen has reached the broker by then."""
TRIPPED_WITHIN_S = 3.0
RANDOM_S = 0.5
"""A freeze that waits for no message comes at a random moment within this."""


@asynccontextmanager
async def frozen_at(client: Client, subject: str | None, pids: Sequence[int]) -> AsyncIterator[bool]:
    """Freeze processes when something is published under a subject, or at a random moment; those that still live then go on afterwards.

    Gives whether they were frozen.
    """
    tripped = asyncio.Event()

    def freeze(_: Message | None = None) -> None:
        if not tripped.is_set():
            tripped.set()
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)

    if subject is None:
        await asyncio.sleep(random.uniform(0, RANDOM_S))
        freeze()
    watch = await client.bus.watch(subject, freeze) if subject else None
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(tripped.wait(), TRIPPED_WITHIN_S)
        await asyncio.sleep(SETTLED_S)
        yield tripped.is_set()
    finally:
        tripped.set()
        if watch is not None:
            await watch.stop()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # killed meanwhile
                os.kill(pid, signal.SIGCONT)
