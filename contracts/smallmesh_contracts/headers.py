"""Names of message headers that are ours, and how large headers are. Trace context travels in the standard ``traceparent``."""

from collections.abc import Mapping

REASON = "Smallmesh-Reason"
"""A dead letter's error as ASCII JSON (:class:`smallmesh_contracts.ErrorInfo`)."""
ORIGIN = "Smallmesh-Origin"
"""The subject a dead letter came from."""
DELIVERIES = "Smallmesh-Deliveries"
"""How often a dead letter had been delivered."""
ARRIVED = "Smallmesh-Arrived"
"""When the broker had taken in what is now a dead letter: ISO 8601, in UTC."""
ERROR_CODE = "Smallmesh-Error"
"""The error code of a reply that carries an error."""

_AROUND = len("NATS/1.0\r\n\r\n")


def line_size(name: str, value: str) -> int:
    """Return the bytes that one header takes on the wire."""
    return len(f"{name}: {value}\r\n".encode())


def size_of(headers: Mapping[str, str]) -> int:
    """Return the bytes that headers take of what the broker allows a message; nats-py 2.16 does not count them."""
    return _AROUND + sum(line_size(name, value) for name, value in headers.items()) if headers else 0
