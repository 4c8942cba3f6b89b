"""Results as they come in: whoever waits for a subject is woken when the broker has stored it."""

import asyncio
from collections.abc import Iterable

from smallmesh.bus import Bus, Message, Subscription
from smallmesh_contracts import DataClass, subjects

FIRST_LOOK_S = 5.0
"""An announcement can be missed while a connection is away, so whoever waits also looks by itself, ever less often."""
RAREST_LOOK_S = 30.0


class Arrivals:
    """Waits for stored results on behalf of any number of tasks, over one subscription a class."""

    def __init__(self, bus: Bus) -> None:
        """Wait on this bus."""
        self._bus = bus
        self._waiting: dict[str, set[asyncio.Future[Message]]] = {}
        self._watches: list[Subscription] = []

    async def start(self, classes: Iterable[DataClass]) -> None:
        """Listen for results of some classes."""
        for data_class in classes:
            self._watches.append(await self._bus.watch(subjects.any_stored(data_class), self._stored))

    async def stop(self) -> None:
        """Listen no more."""
        for watch in self._watches:
            await watch.stop()

    def expect(self, subject: str) -> "asyncio.Future[Message]":
        """Begin to wait for a result; call before the step is published.

        Each caller gets a future of its own: a replica may hold one task twice.
        """
        announced = subjects.stored(subject)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(announced, set()).add(future)
        future.add_done_callback(lambda f: self._forget(announced, f))
        return future

    def _forget(self, announced: str, future: "asyncio.Future[Message]") -> None:
        futures = self._waiting.get(announced, set())
        futures.discard(future)
        if not futures:
            self._waiting.pop(announced, None)

    def _stored(self, message: Message) -> None:
        for future in self._waiting.get(message.subject, ()):
            if not future.done():
                future.set_result(message)

    async def wait(self, subject: str, future: "asyncio.Future[Message]", deadline: float) -> Message | None:
        """Return a result, or None when it has not come by ``deadline`` (the broker's clock)."""
        look_s = FIRST_LOOK_S
        while (left_s := deadline - self._bus.now()) > 0:
            done, _ = await asyncio.wait([future], timeout=min(look_s, left_s))
            if done:
                return future.result()
            found = await self._bus.read(subject)
            if found is not None:
                return found
            look_s = min(RAREST_LOOK_S, 2 * look_s)
        return None
