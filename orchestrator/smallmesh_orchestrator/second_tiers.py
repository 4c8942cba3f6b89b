"""Which agents have a second model loaded, for requests that are harder: their running replicas say so."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Final

from smallmesh.bus import Bus
from smallmesh.bus.replicas import NEXT_TIER, all_replicas
from smallmesh.telemetry import logger
from smallmesh_contracts import ContractError

WAIT_S: Final = 1.0
FIRST_S: Final = 1.0
RAREST_S: Final = 30.0
"""Seconds between two looks, once a mesh has started. In between, a second tier that has come is not used yet, and for
one that has gone the router is waited for in vain: neither changes what is answered in more than the tier."""


class SecondTiers:
    """The agents of which some replica has a second tier, as of the last look. Nobody waits for a look."""

    def __init__(self, bus: Bus) -> None:
        """Know of none yet."""
        self._bus = bus
        self._agents: frozenset[str] = frozenset()

    def __contains__(self, agent: object) -> bool:
        return agent in self._agents

    async def look(self) -> None:
        """Ask who is there; where the broker does not answer, what was known stays."""
        try:
            replicas = await all_replicas(self._bus, WAIT_S)
        except ContractError:
            return
        found = frozenset(one.name for one in replicas if one.metadata.get(NEXT_TIER))
        if found != self._agents:
            logger().info("second_tiers", agents=sorted(found))
        self._agents = found

    async def keep_looking(self) -> None:
        """Look for as long as this runs: often at first, while a mesh starts."""
        for pause_s in _pauses():
            await self.look()
            await asyncio.sleep(pause_s)


def _pauses() -> Iterator[float]:
    pause_s = FIRST_S
    for _ in itertools.count():
        yield pause_s
        pause_s = min(RAREST_S, 2 * pause_s)
