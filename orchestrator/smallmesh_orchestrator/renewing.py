"""Renewals: one ticker for every lease of a replica, a slice of them at a time."""

import asyncio
import contextlib
import random

from smallmesh.bus import Delivery

LEAST_TICK_S = 0.1
"""A tick renews its slice without a pause: with 10,000 leases and ten seconds that is 100 of them, 3 ms."""


class Renewals:
    """Asks the broker for another acknowledgement window for each lease held, every so many seconds.

    Each lease is in one of as many slices as there are ticks, at random: leases that
    were taken in one burst are not renewed in one.
    """

    def __init__(self, every_s: float) -> None:
        """Renew each lease every ``every_s`` seconds."""
        ticks = max(1, round(every_s / LEAST_TICK_S))
        self._tick_s = every_s / ticks
        self._slices: list[dict[Delivery, None]] = [{} for _ in range(ticks)]
        self._slice_of: dict[Delivery, dict[Delivery, None]] = {}
        self._any = asyncio.Event()
        self._all = asyncio.Event()

    def add(self, delivery: Delivery) -> None:
        """Renew a lease from now on."""
        chosen = random.choice(self._slices)  # noqa: S311 - spreads a load, keeps no secret
        chosen[delivery] = None
        self._slice_of[delivery] = chosen
        self._any.set()

    def remove(self, delivery: Delivery) -> None:
        """Renew it no more."""
        del self._slice_of.pop(delivery)[delivery]

    def all_now(self) -> None:
        """Renew all soon: the connection was away, and with it perhaps some renewals."""
        self._all.set()

    async def run(self) -> None:
        """Renew for as long as this runs."""
        while True:
            for each in self._slices:
                if not self._slice_of:
                    self._any.clear()
                    await self._any.wait()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._tick_s):
                        await self._all.wait()
                if self._all.is_set():
                    self._all.clear()
                    await self._renew_all()
                await _renew(each)

    async def _renew_all(self) -> None:
        for each in self._slices:
            await _renew(each)
            await asyncio.sleep(0)  # let others have the loop


async def _renew(leases: dict[Delivery, None]) -> None:
    for delivery in list(leases):
        with contextlib.suppress(Exception):  # not connected: the broker redelivers
            await delivery.in_progress()
