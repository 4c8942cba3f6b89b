"""Items from a thread that may have to wait for them, to the event loop, which may not."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable
from threading import Condition, Thread
from typing import Final, Generic, TypeVar

T = TypeVar("T")
ROOM: Final = 1 << 20
"""Bytes that are read before they are wanted."""
_LEAST: Final = 2048
"""Bytes that an item counts for beside its own size: small ones are bounded in number."""


def size_of(item: object) -> int:
    """Return the bytes that an item holds, where it says so."""
    return len(getattr(item, "body", b""))


async def stream(items: Iterable[T], size: Callable[[T], int] = size_of) -> AsyncGenerator[T]:
    """Yield items as they come, in order. A thread takes them, which nobody waits for when the program ends.

    One that is there is handed over at once, however slowly they come; where they come fast,
    one wake-up hands over many.

    Raises:
        Exception: What taking them raised, after all that was taken before.
    """
    feed = _Feed(asyncio.get_running_loop(), items, size)
    Thread(target=feed.fill, name="records", daemon=True).start()
    try:
        while (ready := await feed.take()) is not None:
            for item in ready:
                yield item
    finally:
        feed.close()
    if feed.failed is not None:
        raise feed.failed


class _Feed(Generic[T]):
    def __init__(self, loop: asyncio.AbstractEventLoop, items: Iterable[T], size: Callable[[T], int]) -> None:
        self.failed: Exception | None = None
        self._loop = loop
        self._items = items
        self._size = size
        self._changed = Condition()
        self._there = asyncio.Event()
        self._ready: list[T] = []
        self._held = 0
        self._ended = False
        self._closed = False

    def fill(self) -> None:
        """Take all items, as far as there is room; the thread's part."""
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except Exception as error:  # noqa: BLE001 - raised where somebody can hear it
            self.failed = error
        with self._changed:
            self._ended = True
        self._wake()

    async def take(self) -> list[T] | None:
        """Return what has come, at least one; None at the end."""
        while True:
            await self._there.wait()
            with self._changed:
                ready, self._ready, self._held = self._ready, [], 0
                ended = self._ended
                if not ended:
                    self._there.clear()
                self._changed.notify()
            if ready:
                return ready
            if ended:
                return None

    def close(self) -> None:
        """Want no more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _put(self, item: T) -> bool:
        with self._changed:
            while self._held >= ROOM and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._ready.append(item)
            self._held += _LEAST + self._size(item)
            first = len(self._ready) == 1
        if first:
            self._wake()
        return True

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody wants more
            self._loop.call_soon_threadsafe(self._there.set)
