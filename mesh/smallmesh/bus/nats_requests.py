"""Requests and their replies over one inbox of a connection.

The client library's own requests cost twice the processor time: a random token, a
task's time-out and an acknowledgement read into an object for each. And they do not hear
of a refusal by permission, which comes apart from any reply.
"""

import asyncio
import itertools
import re

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from smallmesh.bus.port import Headers

_NOBODY = "503"
_DENIED = re.compile(r'permissions violation for publish to "([^"]+)"')


class PublishDeniedError(nats.errors.Error):
    """This connection's user may not publish there."""


class Requests:
    """Sends requests of one connection and wakes whoever waits for the reply."""

    def __init__(self, client: Client) -> None:
        """Send over a connection; the inbox is opened with the first request."""
        self._client = client
        self._numbers = itertools.count()
        self._waiting: dict[str, tuple[str, asyncio.Future[Msg]]] = {}
        self._opening: asyncio.Task[str] | None = None

    async def send(self, subject: str, body: bytes, headers: Headers | None, timeout_s: float) -> Msg:
        """Publish and wait for one reply.

        Raises:
            NoRespondersError: Nobody listens there.
            TimeoutError: No reply within ``timeout_s`` seconds; it is nats-py's, and an asyncio one.
            PublishDeniedError: Not permitted.
            Error: Whatever else publishing raises.
        """
        inbox = await self._inbox()
        number = str(next(self._numbers))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Msg] = loop.create_future()
        self._waiting[number] = (subject, future)
        late = loop.call_later(timeout_s, _fail, future, nats.errors.TimeoutError())
        try:
            await self._client.publish(subject, body, reply=inbox + number, headers=dict(headers) if headers else None)
            msg = await future
        finally:
            late.cancel()
            del self._waiting[number]
        if not msg.data and msg.headers and msg.headers.get("Status") == _NOBODY:
            raise nats.errors.NoRespondersError
        return msg

    def problem(self, error: Exception) -> None:
        """Hear of an error of the connection: whoever was refused need not wait for a reply."""
        denied = _DENIED.search(str(error))
        if denied is None:
            return
        for subject, future in list(self._waiting.values()):
            if subject.lower() == denied[1].lower():  # the client library hands errors on in lower case
                _fail(future, PublishDeniedError(f"not permitted to publish to {subject}"))

    async def _inbox(self) -> str:
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        return self._opening.result() if self._opening.done() else await asyncio.shield(self._opening)

    async def _open(self) -> str:
        inbox = self._client.new_inbox() + "."
        await self._client.subscribe(inbox + "*", cb=self._replied)
        self._skipped = len(inbox)
        return inbox

    async def _replied(self, msg: Msg) -> None:
        waiting = self._waiting.get(msg.subject[self._skipped :])
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(msg)


def _fail(future: "asyncio.Future[Msg]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
