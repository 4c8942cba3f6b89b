"""How fast to submit: what the mesh has no room for is offered again later, and less of it at once."""

import random
import time
from collections.abc import Callable
from typing import Final

from smallmesh_contracts import ContractError, ErrorCode

FULL_WAIT_S: Final = 5.0
"""How long to wait where the mesh is full and it does not say itself."""
AWAY_WAIT_S: Final = (1.0, 2.0, 4.0, 8.0)
"""After the first time that the broker does not answer, the second and so on; the last one stands for all others."""
AWAY_S: Final = 600.0
"""A broker that took tasks and went away is waited for so long: restarts, upgrades and failovers are shorter."""
_JITTER = 0.5
"""Up to this share is added to a wait, so that many submitters do not come back at once."""


class Pace:
    """How many tasks may be out at once, and how long a refused one waits.

    A refusal for want of room halves the number, at most once in the time it asks to wait; every
    task that is taken adds one. A broker that does not answer is waited for, once it has taken something.
    """

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic, jitter: Callable[[], float] = random.random) -> None:
        """Begin with ``most`` tasks at once, which is also the most there ever will be."""
        self.limit = most
        self.trouble: ErrorCode | None = None
        self._most = most
        self._clock = clock
        self._jitter = jitter
        self._taken_at: float | None = None
        self._halved_until = 0.0

    def taken(self) -> None:
        """Hear that the broker does what it is asked."""
        self._taken_at = self._clock()
        self.trouble = None
        if self.limit < self._most:
            self.limit += 1

    def wait_s(self, error: ContractError, tries: int, out: int) -> float | None:
        """Return how long to wait before the same task is offered again; None where that would not help.

        Args:
            error: Why it was not taken.
            tries: How often it was refused before.
            out: How many tasks are without an outcome.
        """
        match error.info.code:
            case ErrorCode.OVERLOADED:
                asked_s = error.info.retry_after_s or FULL_WAIT_S
                self._halve(out, asked_s)
            case ErrorCode.UNAVAILABLE if self._was_there():
                asked_s = AWAY_WAIT_S[min(tries, len(AWAY_WAIT_S) - 1)]
            case _:
                return None
        self.trouble = error.info.code
        return asked_s * (1 + _JITTER * self._jitter())

    def ends_all(self, error: ContractError) -> bool:
        """Tell whether an error that no wait helps is about the whole submission, and not about one task of it."""
        code = error.info.code
        return code is ErrorCode.UNAVAILABLE or (code is ErrorCode.UNAUTHORIZED and self._taken_at is None)

    def _was_there(self) -> bool:
        return self._taken_at is not None and self._clock() - self._taken_at < AWAY_S

    def _halve(self, out: int, asked_s: float) -> None:
        now = self._clock()
        if now >= self._halved_until:
            self.limit = max(1, min(self.limit, out) // 2)
            self._halved_until = now + asked_s
