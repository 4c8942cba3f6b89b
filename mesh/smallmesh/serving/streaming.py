"""Texts that pass by while they are written, for whoever listens."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from smallmesh.bus import Bus
from smallmesh_contracts import Address, ContractError, Delta, subjects


@asynccontextmanager
async def streamed(bus: Bus, address: Address, answer: str) -> AsyncIterator[Callable[[str], None]]:
    """Give what passes the parts of an answer's text on; parts that come faster than the broker takes them go together."""
    parts: asyncio.Queue[str | None] = asyncio.Queue()
    telling = asyncio.create_task(_tell(bus, subjects.delta(address), answer, parts))
    try:
        yield parts.put_nowait
    finally:
        parts.put_nowait(None)
        await telling


async def _tell(bus: Bus, subject: str, answer: str, parts: "asyncio.Queue[str | None]") -> None:
    ended = False
    for number in itertools.count():
        said = [await parts.get()]
        while not parts.empty():
            said.append(parts.get_nowait())
        ended = None in said
        text = "".join(part for part in said if part is not None)
        if text:
            with contextlib.suppress(ContractError):  # the broker is away: the gap in the numbers tells
                await bus.announce(subject, Delta(answer=answer, number=number, text=text).to_bytes())
        if ended:
            return
