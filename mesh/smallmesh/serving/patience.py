"""Patience with the broker: what it would not do just now is tried again in hand, not handed back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from smallmesh.retry import NotYetError, RetryPolicy
from smallmesh.serving.in_hand import Held
from smallmesh.telemetry import logger
from smallmesh_contracts import ContractError, ErrorCode

T = TypeVar("T")
LONGEST_WAIT_S = 5.0
"""Between two tries: a broker that comes back, or a stream that has room again, is used soon."""
_PASSES = frozenset({ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE})


class Patience:
    """Tries again for as long as somebody may be waiting. The step stays in hand, and gives signs of life."""

    def __init__(self, policy: RetryPolicy, now: Callable[[], float]) -> None:
        """Wait between tries as ``policy`` says; ``now`` is the broker's clock, in seconds."""
        self._policy = policy
        self._now = now

    async def hold(self, held: Held, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what ``attempt`` gives, which only the broker can make fail. It is tried once at least.

        Raises:
            ContractError: ``expired`` after the step's deadline; at once what does not pass by itself.
        """
        tries = 0
        while True:
            try:
                return await attempt()
            except ContractError as error:
                left_s = held.deadline - self._now()
                if error.info.code not in _PASSES or isinstance(error, NotYetError):
                    raise
                if left_s <= 0:
                    raise ContractError(ErrorCode.EXPIRED, f"the time budget is used up; {error.info.message}") from error
                tries += 1
                if tries == 1:
                    logger().warning("step_held", subject=held.delivery.subject, state=held.state.name.lower(), reason=error.info.message)
            await asyncio.sleep(min(self._policy.delay_s(tries), LONGEST_WAIT_S, left_s))
