"""A NATS client that sends whatever it is told: bytes that a well-meaning client refuses."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlsplit

ANSWER_S = 10.0
_CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"raw","version":"0"}\r\n'
_LINE = 1 << 20


class RawNats:
    """One TCP connection that speaks the NATS protocol.

    Attributes:
        info: What the broker said of itself when the connection was opened.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, info: dict[str, Any]) -> None:
        """Use an open connection."""
        self.info = info
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator[Self]:
        """Connect, and leave at the end."""
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=_LINE)
        try:
            info = json.loads((await reader.readline()).removeprefix(b"INFO "))
            writer.write(_CONNECT)
            yield cls(reader, writer, info)
        finally:
            writer.close()

    async def publish(self, subject: bytes, body: bytes, *, header: bytes | None = None, reply: bytes = b"") -> list[bytes]:
        """Publish these bytes; ``header`` is the whole block as it stands on the wire.

        Returns:
            What the broker says to it until it has answered a PING: nothing where it took the message,
            ``-ERR`` lines where it did not, and a last empty one where it closed the connection.
        """
        to = b" ".join(filter(None, (subject, reply)))
        if header is None:
            self._writer.write(b"PUB %b %d\r\n" % (to, len(body)))
        else:
            self._writer.write(b"HPUB %b %d %d\r\n" % (to, len(header), len(header) + len(body)))
        self._writer.writelines([header or b"", body, b"\r\nPING\r\n"])
        return await self._said()

    async def announce(self, subject: bytes, size: int) -> list[bytes]:
        """Say that a body of so many bytes follows, and begin to send it; return what the broker says to that."""
        self._writer.write(b"PUB %b %d\r\n" % (subject, size))
        self._writer.write(b"x" * min(size, _LINE))
        return await self._said()

    async def _said(self) -> list[bytes]:
        said: list[bytes] = []
        async with asyncio.timeout(ANSWER_S):
            while (line := await self._line()) != b"PONG":
                if line != b"PING":
                    said.append(line)
                if not line:
                    break
        return said

    async def _line(self) -> bytes:
        try:
            return (await self._reader.readline()).strip()
        except ConnectionError:
            return b""
