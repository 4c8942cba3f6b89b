"""What the chassis lends the escalation service, over the bus."""

import json
from collections.abc import Mapping

from pydantic import JsonValue

from smallmesh.bus import Bus
from smallmesh.frontier import Frontier
from smallmesh_contracts import Address, Evidence, StepResult, decode, subjects


class BusPorts:
    """The :class:`smallmesh.service.Ports` of a running escalation service."""

    def __init__(self, bus: Bus, frontier: Frontier) -> None:
        """Lend this frontier and what the bus has stored."""
        self._bus = bus
        self._frontier = frontier

    @property
    def frontier(self) -> Frontier:
        """The frontier model."""
        return self._frontier

    async def stored(self, address: Address, evidence: Evidence) -> StepResult | None:
        """Read one stored result of the task itself: a copy in a request proves nothing."""
        found = await self._bus.read(subjects.result(address, evidence.agent, evidence.answer))
        return None if found is None else decode(StepResult, found.body)

    async def audit(self, record: Mapping[str, JsonValue], *, record_id: str) -> None:
        """Write one record to the audit log."""
        await self._bus.append(subjects.AUDIT, json.dumps(record).encode(), {}, message_id=record_id)
