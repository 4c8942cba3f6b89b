"""Tasks that are surely ended."""

import asyncio

_AGAIN_S = 0.2


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel a task that loops for ever, and wait until it has ended, however it ended.

    Before Python 3.12 ``asyncio.wait_for``, which nats-py uses throughout, can
    swallow a cancellation that comes at the moment of its result; so it is repeated.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_S)
