"""Calls that wait for their answer."""

import re

from smallmesh.bus import Bus, Message
from smallmesh_contracts import ContractError, ErrorCode

_SUBJECT = re.compile(r"[A-Za-z0-9_.-]+")


async def call(bus: Bus, subject: str, body: bytes, timeout_s: float) -> Message:
    """Send a request to a subject that was formed from what a person typed.

    Raises:
        ContractError: ``invalid_request`` for a name that no subject can hold;
            else what the bus raises.
    """
    if _SUBJECT.fullmatch(subject) is None or ".." in subject:
        raise ContractError(ErrorCode.INVALID_REQUEST, "names of agents and tenants are letters, digits, _ and -")
    return await bus.request(subject, body, timeout_s=timeout_s)
