"""A step's patience with the broker: for as long as somebody may be waiting for it, and no longer."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from smallmesh.holding import LONGEST_WAIT_S, Holding, passes
from smallmesh.retry import RetryPolicy
from smallmesh.serving.in_hand import Held
from smallmesh_contracts import ContractError, ErrorCode

T = TypeVar("T")


class Patience:
    """Holds what a step wants of the broker. The step stays in hand meanwhile, and gives signs of life."""

    def __init__(self, policy: RetryPolicy, now: Callable[[], float]) -> None:
        """Wait between tries as ``policy`` says, but never long; ``now`` is the broker's clock, in seconds."""
        self._holding = Holding(replace(policy, cap_s=min(policy.cap_s, LONGEST_WAIT_S)))
        self._now = now

    async def hold(self, held: Held, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what ``attempt`` gives, which only the broker can make fail. It is tried once at least.

        Raises:
            ContractError: ``expired`` after the step's deadline; at once what does not pass by itself.
        """
        said = {"subject": held.delivery.subject, "state": held.state.name.lower()}
        try:
            return await self._holding.until_done(attempt, lambda: held.deadline - self._now(), **said)
        except ContractError as error:
            if not passes(error):
                raise
            raise ContractError(ErrorCode.EXPIRED, f"the time budget is used up; {error.info.message}") from error
