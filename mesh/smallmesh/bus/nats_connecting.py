"""The one way in which every process connects to the broker, and what it is told where there is none."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import nats.errors

from smallmesh.bus.nats_bytes import mend
from smallmesh_contracts import ContractError, ErrorCode

T = TypeVar("T")
mend()  # every connection of a process is opened with what is here
CONNECT_WITHIN_S = 5.0
"""A broker that is not there when a process starts is said at once; one that goes away later is waited for."""

PING_S = 3
"""A connection that is cut without a word is noticed after three of these; the client library's own are two minutes long."""


async def first_connection(connecting: Coroutine[Any, Any, T], url: str) -> T:
    """Wait for a process's first connection, which nats-py would try for ever where a lost one shall be.

    Raises:
        ContractError: ``unavailable``, saying what to do.
    """
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            return await connecting
    except TimeoutError as error:
        raise no_broker(url, TimeoutError(f"no connection within {CONNECT_WITHIN_S:.0f} s")) from error
    except (nats.errors.Error, OSError) as error:
        raise no_broker(url, error) from error


def connection_options(
    url: str,
    *,
    name: str,
    lost: Callable[[], None] | None = None,
    problem: Callable[[Exception], None] | None = None,
    gap: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Return the options of a connection that comes back by itself for as long as the process lives.

    Args:
        url: Where the broker is, or several of a cluster with commas between them; user and password may be part of it.
        name: Shown in the broker's connection list.
        lost: Called once if the connection is closed for good.
        problem: Called with every error of the connection, denied permissions included.
        gap: Called where messages may have passed by unseen: the connection was away, or this process too slow.
    """

    async def closed() -> None:
        if lost is not None:
            lost()

    async def failed(error: Exception) -> None:
        if problem is not None:
            problem(error)
        if gap is not None and isinstance(error, nats.errors.SlowConsumerError):
            gap()

    async def reconnected() -> None:
        if gap is not None:
            gap()

    return {
        "servers": [one.strip() for one in url.split(",")],
        "name": name,
        "connect_timeout": 2,
        "ping_interval": PING_S,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.5,
        "closed_cb": closed,
        "error_cb": failed,
        "reconnected_cb": reconnected,
    }


def no_broker(url: str, error: Exception) -> ContractError:
    """Say that no broker is there, and what to do."""
    shown = ", ".join(one.rpartition("@")[2] for one in url.split(","))
    hint = "start one with `smallmesh up`, or name yours with --nats URL or SMALLMESH_NATS_URL"
    return ContractError(ErrorCode.UNAVAILABLE, f"no NATS broker at {shown} ({str(error) or type(error).__name__}): {hint}")
