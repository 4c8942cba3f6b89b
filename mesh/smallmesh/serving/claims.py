"""Claims: whoever is about to pay for an answer says so first, and nobody else pays for it meanwhile.

A claim is the first message of its subject and goes away by itself: it outlives the
call that it was made for, and so a process that dies costs one more call at most.
"""

import contextlib
import uuid
from typing import Annotated

from pydantic import Field

from smallmesh.bus import Bus
from smallmesh.retry import NotYetError
from smallmesh_contracts import ContractError, Wire, decode

AGAIN_S = 1.0
"""A claim that has run out goes away within a second: the broker counts in whole ones."""


class Claim(Wire):
    """A claim's body.

    Attributes:
        holder: Tells one claim from another.
        until: When its call has ended, whatever became of it, by the broker's clock.
    """

    holder: str
    until: Annotated[float, Field(allow_inf_nan=False)]


class Claims:
    """The claims that one process has made."""

    def __init__(self, bus: Bus) -> None:
        """Have made none yet."""
        self._bus = bus
        self._made: dict[str, Claim] = {}

    async def make(self, subject: str, for_s: float) -> None:
        """Claim a subject for some seconds.

        Raises:
            NotYetError: Somebody else has claimed it; look again when that claim has run out.
            ContractError: The broker does not take it: without a claim nothing may be paid for.
        """
        claim = Claim(holder=uuid.uuid4().hex, until=self._bus.now() + for_s)
        if not await self._bus.store(subject, claim.to_bytes(), ttl_s=for_s + AGAIN_S):
            found = await self._bus.read(subject)
            there = None if found is None else decode(Claim, found.body)
            if there != claim:  # the same: it was stored, and the broker's word of it lost
                left_s = 0.0 if there is None else there.until - self._bus.now()
                raise NotYetError("another delivery has claimed this answer", max(AGAIN_S, left_s))
        self._made[subject] = claim

    async def drop(self, subject: str) -> None:
        """Let go of a claim, where this process made it and it has not run out."""
        claim = self._made.pop(subject, None)
        if claim is not None and self._bus.now() < claim.until:
            with contextlib.suppress(ContractError):  # it runs out by itself
                await self._bus.drop(subject)
