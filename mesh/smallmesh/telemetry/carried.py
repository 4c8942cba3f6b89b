"""A trace that passes through a process which records no spans: its context goes in and out unchanged.

OpenTelemetry's own way of recording nothing makes a context, an id and several objects
a span; a step has two spans, and together they cost more than reading its message.
"""

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar, Token

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_CURRENT: ContextVar[Mapping[str, str] | None] = ContextVar("trace context carried", default=None)


class Carrying:
    """A block whose messages and log records belong to the trace of some headers, to the one around it, or to a new one."""

    __slots__ = ("_headers", "_token")

    def __init__(self, headers: Mapping[str, str] | None) -> None:
        """Carry what ``headers`` say; None for the trace that is current."""
        self._headers = headers

    def begin(self) -> None:
        """Enter the block."""
        current = _CURRENT.get() if self._headers is None else _read(self._headers)
        self._token: Token[Mapping[str, str] | None] = _CURRENT.set(current or _new())

    def end(self) -> None:
        """Leave it."""
        _CURRENT.reset(self._token)


def carried() -> Mapping[str, str]:
    """Return the headers that carry the current trace on; none outside any."""
    return _CURRENT.get() or {}


def carried_trace_id() -> str | None:
    """Return the current trace's id as 32 hex digits, or None outside any."""
    current = _CURRENT.get()
    return None if current is None else current[TRACEPARENT][3:35]


def _read(headers: Mapping[str, str]) -> Mapping[str, str] | None:
    parent = headers.get(TRACEPARENT)
    if parent is None or _FORM.fullmatch(parent) is None:
        return None
    state = headers.get(TRACESTATE)
    return {TRACEPARENT: parent, TRACESTATE: state} if state else {TRACEPARENT: parent}


def _new() -> Mapping[str, str]:
    return {TRACEPARENT: f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"}
