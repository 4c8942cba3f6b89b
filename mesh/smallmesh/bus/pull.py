"""A standing pull: requests for work that stay open at the broker and are renewed as they are used up."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from smallmesh.bus.nats_services import run_dry
from smallmesh.tasks import end, wind_up

EXPIRES_S = 5.0
"""A request left unanswered ends after this; it is also how late a broker's restart is noticed."""
STOP_GRACE_S = 2.0
"""What is in hand at a stop may end within this; what does not is cancelled."""
_GRACE_S = 1.0
_NANOSECONDS = 1_000_000_000


class Pace:
    """How many messages to hold at once.

    As many as are worked off within a given time: the next is in hand when one is
    done, and yet none waits here for long while another replica is idle.
    """

    _SMOOTHING = 0.2

    def __init__(self, slots: int, ahead_s: float | None) -> None:
        """Hold ``slots`` at most; with ``ahead_s``, at most what is worked off in so many seconds, and one at first."""
        self._slots = slots
        self._ahead_s = ahead_s
        self._each_s = ahead_s or 0.0
        self._last = 0.0

    def finished(self, began: float, now: float) -> None:
        """Count a message that was in hand from ``began`` to ``now``: it had the hand to itself since the last one ended."""
        took = now - max(began, self._last)
        self._last = now
        self._each_s += self._SMOOTHING * (took - self._each_s)

    @property
    def limit(self) -> int:
        """How many to hold just now."""
        if self._ahead_s is None or self._each_s * self._slots <= self._ahead_s:
            return self._slots
        return max(1, int(self._ahead_s / self._each_s))


class StandingPull:
    """Takes messages from one durable consumer, a bounded number in hand.

    A fetch a message costs a round trip each; here the broker holds a request for
    as many messages as there are free slots, and sends each as it comes.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        client: Client,
        stream: str,
        consumer: str,
        handle: Callable[[Msg], Awaitable[None]],
        pace: Pace,
        grace_s: float | None = None,
    ) -> None:
        """Prepare; nothing is sent before :meth:`start`. What is in hand at a stop may take ``grace_s``, else ``STOP_GRACE_S``."""
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._handle = handle
        self._pace = pace
        self._grace_s = grace_s
        self._requested = 0
        self._in_hand: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stopping = False

    async def start(self) -> None:
        """Open the inbox and begin to ask for work."""
        self._inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(self._inbox, cb=self._received)
        self._asking = asyncio.create_task(self._ask())

    async def stop(self) -> None:
        """Ask for nothing more and end what is in hand; a handler that is cancelled hands its message back.

        What the broker has sent meanwhile is handed back too: unsubscribing at once would throw it away.
        """
        if self._stopping:
            return
        self._stopping = True
        await end(self._asking)
        await run_dry(self._client, self._subscription)
        with contextlib.suppress(nats.errors.Error):
            await self._subscription.unsubscribe()
        await wind_up(self._in_hand, STOP_GRACE_S if self._grace_s is None else self._grace_s)

    def ask_anew(self) -> None:
        """Forget what was asked for: the broker was away, and with it our requests."""
        self._requested = 0
        self._changed.set()

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        while True:
            limit = self._pace.limit
            free = limit - len(self._in_hand) - self._requested
            if free > 0 and (self._requested == 0 or free >= limit // 2):
                await self._request(free)
                asked_at = loop.time()
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EXPIRES_S + _GRACE_S):  # not wait_for, which can swallow the cancellation of stop()
                    await self._changed.wait()
            if loop.time() - asked_at > EXPIRES_S + _GRACE_S:
                self._requested = 0  # nothing was heard of our requests: ask anew

    async def _request(self, count: int) -> None:
        body = {"batch": count, "expires": int(EXPIRES_S * _NANOSECONDS)}
        with contextlib.suppress(Exception):  # not connected: asked again when the time is up
            await self._client.publish(self._next, json.dumps(body).encode(), reply=self._inbox)
            self._requested += count

    async def _received(self, msg: Msg) -> None:
        status = (msg.headers or {}).get("Status") if not msg.reply else None
        if status is not None:
            await self._request_ended(msg)
            return
        self._requested = max(0, self._requested - 1)
        if self._stopping:
            await msg.nak()
            return
        task = asyncio.ensure_future(self._see_to(msg))
        self._in_hand.add(task)
        task.add_done_callback(self._finished)

    async def _see_to(self, msg: Msg) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        await self._handle(msg)
        self._pace.finished(began, clock())

    async def _request_ended(self, msg: Msg) -> None:
        unfilled = (msg.headers or {}).get("Nats-Pending-Messages")
        if unfilled is None:  # no consumer or no leader just now: do not ask in a tight circle
            await asyncio.sleep(_GRACE_S)
            self._requested = 0
        else:
            self._requested = max(0, self._requested - int(unfilled))
        self._changed.set()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        if self._requested == 0 or 2 * (len(self._in_hand) + self._requested) <= self._pace.limit:
            self._changed.set()
