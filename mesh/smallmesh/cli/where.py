"""Where the broker is, and a connection to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from smallmesh.settings import settings
from smallmesh_contracts import ContractError, ErrorCode

if TYPE_CHECKING:
    from smallmesh.bus.nats import NatsBus


def find_url(named: str | None) -> str:
    """Return the broker's address: named, else set in the environment, else that of the mesh that runs here, else the default."""
    chosen = settings()
    if named:
        return named
    if "nats_url" not in chosen.model_fields_set and (chosen.state_dir / "mesh.json").exists():
        from smallmesh.cli.state import read_state  # noqa: PLC0415 - the supervisor's imports, only where one has run

        running = read_state(chosen.state_dir)
        if running is not None and running.url:
            return running.url
    return chosen.nats_url


REACHED_WITHIN_S = 3.0


@asynccontextmanager
async def connected(named: str | None, *, problem: Callable[[Exception], None] | None = None) -> "AsyncIterator[NatsBus]":
    """Connect to the broker.

    Args:
        named: Its address, where one was named.
        problem: Called with every error of the connection, denied permissions included.

    Raises:
        ContractError: ``unavailable``, saying what to do.
    """
    from smallmesh.bus.nats import NatsBus  # noqa: PLC0415 - `serve` needs the address only

    url = find_url(named)
    check_reachable(url)
    bus = await NatsBus.connect(url, name="smallmesh-cli", problem=problem)
    try:
        yield bus
    finally:
        await bus.close()


def check_reachable(url: str) -> None:
    """See that something listens at an address, or at one of several: what is not there is said at once, and not after a while of trying.

    Raises:
        ContractError: ``unavailable`` where nothing does, ``invalid_request`` for what is no address.
    """
    from smallmesh.broker import reachable  # noqa: PLC0415
    from smallmesh.bus.nats import no_broker  # noqa: PLC0415

    try:
        if any(reachable(one, REACHED_WITHIN_S) for one in url.split(",")):
            return
    except ValueError as error:
        raise ContractError(ErrorCode.INVALID_REQUEST, f"not the address of a broker: {without_password(url)} ({error})") from None
    raise no_broker(url, ConnectionError("nothing listens there"))


def without_password(url: str) -> str:
    """Return an address as it may be shown, or several with commas between them."""
    return ",".join(_without_password(one) for one in url.split(","))


def _without_password(url: str) -> str:
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
