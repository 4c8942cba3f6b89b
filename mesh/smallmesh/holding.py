"""Held in hand: what the broker does not take just now is tried again here, and not handed back.

A message that is handed back counts as delivered once more. Deliveries shall count
replicas that died of a message, and not a broker that was full or away for a while.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from smallmesh.retry import NotYetError, RetryPolicy
from smallmesh.telemetry import logger
from smallmesh_contracts import ContractError, ErrorCode

T = TypeVar("T")
PASSES = frozenset({ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE})
"""Codes of what a broker says for a while: a stream is full, nobody answers."""
LONGEST_WAIT_S = 5.0
"""Between two tries: a broker that comes back, or a stream that has room again, is used soon."""


def passes(error: ContractError) -> bool:
    """Tell whether the broker may take the same thing later; what waits for another delivery is no matter of the broker."""
    return error.info.code in PASSES and not isinstance(error, NotYetError)


@dataclass(frozen=True, slots=True)
class Holding:
    """How what is held in hand is tried again.

    Attributes:
        retry: The waits: short at first, because a leader is elected within seconds, and never long, because somebody waits.
    """

    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(base_s=0.1, cap_s=LONGEST_WAIT_S))

    async def until_done(self, attempt: Callable[[], Awaitable[T]], left_s: Callable[[], float] | None = None, **said: str) -> T:
        """Return what ``attempt`` gives, however often the broker refuses it before.

        Args:
            attempt: What to do; called at least once.
            left_s: Seconds left for it; without it there is no end.
            said: What else the log record says that tells of the first refusal.

        Raises:
            ContractError: What does not pass by waiting; or what did not pass in the time left.
        """
        tries = 0
        while True:
            try:
                return await attempt()
            except ContractError as error:
                left = math.inf if left_s is None else left_s()
                if not passes(error) or left <= 0:
                    raise
                tries += 1
                if tries == 1:
                    logger().warning("held", code=error.info.code.value, reason=error.info.message, **said)
                await asyncio.sleep(min(left, self.retry.delay_s(tries)))
                if left_s is not None and left_s() <= 0:
                    raise
