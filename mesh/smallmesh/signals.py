"""Signals that end a program in the foreground: they cancel it, and its clean-up runs."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_until_signalled(main: Coroutine[Any, Any, T]) -> T | None:
    """Run a coroutine; Ctrl-C, SIGTERM or a closed terminal cancels it, and a second one hurries its clean-up.

    Returns:
        What it returned, or None where a signal ended it.
    """
    signalled = False

    async def run() -> T | None:
        task = asyncio.ensure_future(main)

        def end() -> None:
            nonlocal signalled
            signalled = True
            task.cancel()

        for number in ENDING:
            asyncio.get_running_loop().add_signal_handler(number, end)
        try:
            return await task
        except asyncio.CancelledError:
            if signalled:
                return None
            raise

    return asyncio.run(run())
