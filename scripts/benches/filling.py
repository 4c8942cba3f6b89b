"""Filling streams: many messages in flight, each acknowledged, without the client library's price for a single one."""

import asyncio
import json
from collections.abc import Iterable, Mapping

from nats.aio.client import Client
from nats.aio.msg import Msg

IN_FLIGHT = 1000
PATIENCE_S = 30.0
FIRST_ONLY = {"Nats-Expected-Last-Subject-Sequence": "0"}
"""What the mesh sends with everything that is stored once."""
Sent = tuple[str, bytes, Mapping[str, str]]


class Filler:
    """Publishes over one connection and hears what the broker says to each."""

    def __init__(self, client: Client) -> None:
        """Publish over a connection."""
        self._client = client
        self._open = 0
        self._refused: list[str] = []
        self._room = asyncio.Event()

    async def fill(self, messages: Iterable[Sent], in_flight: int = IN_FLIGHT) -> None:
        """Publish all; return when each is acknowledged.

        Raises:
            RuntimeError: The broker refused one; the message is the broker's.
            TimeoutError: It has said nothing for a while.
        """
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox, cb=self._answered)
        try:
            for subject, body, headers in messages:
                while self._open >= in_flight:
                    await self._some_room()
                self._open += 1
                await self._client.publish(subject, body, reply=inbox, headers=dict(headers) or None)
            while self._open:
                await self._some_room()
        finally:
            await subscription.unsubscribe()

    async def _some_room(self) -> None:
        if self._refused:
            raise RuntimeError(self._refused[0])
        self._room.clear()
        async with asyncio.timeout(PATIENCE_S):
            await self._room.wait()

    async def _answered(self, msg: Msg) -> None:
        self._open -= 1
        if b'"error"' in msg.data or not msg.data:
            self._refused.append(json.loads(msg.data)["error"]["description"] if msg.data else "nobody takes it")
        self._room.set()
