"""Health over HTTP: ``/livez`` (the process runs) and ``/readyz`` (it takes work)."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any

import uvicorn

Checks = Callable[[], Mapping[str, bool]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Health:
    """Answers health questions on a port of its own, on the event loop that inference never blocks."""

    def __init__(self, host: str, port: int, checks: Checks, live: Checks = dict) -> None:
        """Answer by conditions: the name of each, and whether it holds.

        Args:
            host: Where to listen.
            port: Where to listen; 0 takes a free one.
            checks: What must hold for the process to take work.
            live: What must hold for it to be of any use; where it does not, the process should be replaced.
        """
        self._host = host
        self._port = port
        self._checks = checks
        self._live = live

    async def start(self) -> str:
        """Begin to answer; return the address.

        Raises:
            OSError: The port is in use; the message names it and what to set.
        """
        try:
            listening = socket.create_server((self._host, self._port))
        except OSError as error:
            msg = (
                f"health port {self._host}:{self._port} cannot be opened ({error.strerror}): set SMALLMESH_HEALTH_PORT, 0 takes a free one"
            )
            raise OSError(msg) from error
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",  # uvicorn takes a bound method for an ASGI 2 application
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([listening]))
        host, port = listening.getsockname()[:2]
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Close the port."""
        self._server.leave.set()
        await self._serving

    async def _answer(self, scope: Mapping[str, Any], _receive: object, send: _Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/livez":
            checks = dict(self._live())
            live = all(checks.values())
            await _respond(send, 200 if live else 503, {"live": live, **checks})
        elif scope["path"] == "/readyz":
            checks = dict(self._checks())
            await _respond(send, 200 if all(checks.values()) else 503, checks)
        else:
            await _respond(send, 404, {"error": "there are /livez and /readyz"})


class _Server(uvicorn.Server):
    """Uvicorn that leaves the process's signals to the process, and sleeps while nobody asks."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.leave = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn's own loop wakes up ten times a second, in every process of the mesh."""
        await self.leave.wait()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _respond(send: _Send, status: int, body: Mapping[str, object]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
