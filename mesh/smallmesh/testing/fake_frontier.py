"""A local server that speaks enough of Anthropic's Messages API for the real SDK, and can misbehave on demand.

Everything it says is labelled FAKE, so that none of it can be taken for a model's answer.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from smallmesh.frontier.prices import estimate_tokens

LABEL = "[FAKE FRONTIER]"
MODEL_ID = "fake-frontier"
_PATH = "/v1/messages"
_BITE = 8


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server sends to one request.

    Attributes:
        status: HTTP status.
        body: Sent as it is.
        headers: Beside content type and length.
        pause_s: Seconds between two bites of eight bytes; 0 sends all at once.
        hang_up_after: Bytes after which the connection is closed; None sends them all.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    pause_s: float = 0.0
    hang_up_after: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in. Names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


def answered(text: str = "No model has read this.", *, stop_reason: str = "end_turn", model: str = MODEL_ID, **usage: int) -> Reply:
    """Make an answer, labelled FAKE. An empty text is left out whole."""
    content = [{"type": "text", "text": f"{LABEL} {text}"}] if text else []
    counted = {"input_tokens": 100, "output_tokens": estimate_tokens(text), **usage}
    message = {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": counted,
    }
    return Reply(200, json.dumps(message).encode())


def refused() -> Reply:
    """Make the answer of a model that refuses."""
    return answered("", stop_reason="refusal")


def failed(status: int, quoted: str = "", **headers: str) -> Reply:
    """Make an HTTP error whose message quotes something, as a vendor's may."""
    error = {"type": "error", "error": {"type": "fake_error", "message": f"{LABEL} failed on purpose {quoted}"}}
    return Reply(status, json.dumps(error).encode(), headers)


def rate_limited(retry_after: str) -> Reply:
    """Make a 429 with a Retry-After."""
    return failed(429, **{"Retry-After": retry_after})


def dripping(pause_s: float = 0.05) -> Reply:
    """Make an answer that comes in small bites, so that no inactivity timeout ever fires."""
    return Reply(200, answered("drip " * 2000).body, pause_s=pause_s)


def garbled(body: bytes = b'{"type": "message", "content": [{"te') -> Reply:
    """Make an answer that says it is JSON and is not, or is another JSON."""
    return Reply(200, body)


def hanging_up(after: int = 40) -> Reply:
    """Make an answer that breaks off."""
    return Reply(200, answered().body, hang_up_after=after)


class FakeFrontier:
    """The server, as a context manager, on a free port of the loopback interface.

    It gives its replies in order and the last one for ever.

    Attributes:
        received: Every request so far.
    """

    def __init__(self, *replies: Reply) -> None:
        """Prepare; without replies it answers :func:`answered`."""
        self.received: list[Received] = []
        self._replies = list(replies) or [answered()]
        self._stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self), bind_and_activate=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name=MODEL_ID, daemon=True)

    @property
    def url(self) -> str:
        """What to give as the frontier's base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Start listening."""
        self._server.server_bind()
        self._server.server_activate()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop, also in the middle of a reply."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, request: Received) -> Reply:
        """Note a request and return its reply."""
        self.received.append(request)
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    def pause(self, seconds: float) -> bool:
        """Wait; tell whether the server goes on."""
        return not self._stopping.wait(seconds)


def _handler(fake: FakeFrontier) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            received = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(body))
            reply = fake.take(received) if self.path == _PATH else failed(404)
            try:
                self._send(reply)
            except ConnectionError:
                self.close_connection = True  # the client has gone

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(reply.body)), "Connection": "close", **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            body = reply.body[: reply.hang_up_after]
            size = _BITE if reply.pause_s else max(1, len(body))
            for start in range(0, len(body), size):
                if reply.pause_s and not fake.pause(reply.pause_s):
                    return
                self.wfile.write(body[start : start + size])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
            """Say nothing: requests are in ``received``."""

    return Handler
