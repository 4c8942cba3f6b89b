"""What the chassis lends the escalation service, over the bus."""

import json
from collections.abc import Mapping
from functools import partial

from pydantic import JsonValue

from smallmesh.bus import Bus
from smallmesh.frontier import Frontier
from smallmesh.retry import NotYetError
from smallmesh.service import Escalation
from smallmesh.serving.claims import Claims
from smallmesh.serving.in_hand import Held
from smallmesh.serving.patience import Patience
from smallmesh.serving.states import StepState
from smallmesh_contracts import Address, Evidence, StepResult, decode, subjects


class BusPorts:
    """The :class:`smallmesh.service.Ports` of one step of a running escalation service."""

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, from what only that place has
        self, bus: Bus, frontier: Frontier, claims: Claims, patience: Patience, held: Held, result: str
    ) -> None:
        """Lend this frontier and what the bus has stored, for a step in hand whose result goes to the subject ``result``."""
        self._bus = bus
        self._frontier = frontier
        self._claims = claims
        self._patience = patience
        self._held = held
        self._result = result

    @property
    def frontier(self) -> Frontier:
        """The frontier model."""
        return self._frontier

    async def stored(self, address: Address, evidence: Evidence) -> StepResult | None:
        """Read one stored result of the task itself: a copy in a request proves nothing."""
        subject = subjects.result(address, evidence.agent, evidence.answer)
        found = await self._patience.hold(self._held, partial(self._bus.read, subject))
        return None if found is None else decode(StepResult, found.body)

    async def claim(self, asked: Escalation, for_s: float) -> None:
        """Claim the answer, and see that nobody has given it since this step was looked at."""
        self._held.state = StepState.CLAIMING
        subject = subjects.claim(asked.address, asked.answer)
        await self._patience.hold(self._held, partial(self._claims.make, subject, for_s))
        if await self._patience.hold(self._held, partial(self._bus.read, self._result)) is not None:
            raise NotYetError("another delivery has answered just now", 0.0)
        self._held.state = StepState.CALLING

    async def audit(self, record: Mapping[str, JsonValue], *, record_id: str) -> None:
        """Write one record to the audit log."""
        body = json.dumps(record).encode()
        await self._patience.hold(self._held, lambda: self._bus.append(subjects.AUDIT, body, {}, message_id=record_id))
