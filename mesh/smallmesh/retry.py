"""Failure classes: what becomes of a message whose handling failed."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from smallmesh_contracts import ContractError, ErrorCode, ErrorInfo

_LATER = frozenset({ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE, ErrorCode.MODEL_FAILED, ErrorCode.INTERNAL})
"""Codes that another try, perhaps on another replica, may cure."""
_MOST_DOUBLINGS = 64
"""A message that the broker takes no answer to is kept for as long as it must be; a float ends at 1,024 doublings."""


class NotYetError(ContractError):
    """Not to be done just now, for a reason that passes by itself: it waits in hand, and no try is spent.

    Attributes:
        after_s: Seconds after which to look again.
    """

    def __init__(self, message: str, after_s: float) -> None:
        """Say why, and when to look again."""
        super().__init__(ErrorCode.UNAVAILABLE, message, retry_after_s=after_s)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Hand the message back and try again after a while."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Answer with the error. ``dead_letter`` tells whether operators should see it too."""

    error: ErrorInfo
    dead_letter: bool


Fate = RetryLater | GiveUp


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon to try again.

    A negative acknowledgement without a delay burns all deliveries within
    milliseconds, so there always is one: ``base_s`` doubled each time, at most
    ``cap_s``, with up to half of it added at random.
    """

    max_deliveries: int = 5
    base_s: float = 0.5
    cap_s: float = 30.0
    jitter: Callable[[], float] = random.random

    def delay_s(self, deliveries: int) -> float:
        """Return the wait after the n-th delivery failed, in seconds."""
        doublings = min(deliveries - 1, _MOST_DOUBLINGS)
        wait = min(self.cap_s, self.base_s * 2.0**doublings)
        return wait * (1 + self.jitter() / 2)

    def check(self, deliveries: int) -> None:
        """Refuse a message that was delivered more often than allowed: whoever held it before has died of it.

        Raises:
            ContractError: ``internal``.
        """
        if deliveries > self.max_deliveries:
            raise ContractError(ErrorCode.INTERNAL, f"given up after {deliveries - 1} deliveries that never ended")

    def fate(self, error: ErrorInfo, deliveries: int, left_s: float) -> Fate:
        """Decide what becomes of a message that failed on its n-th delivery with ``left_s`` of its budget left."""
        if error.code is ErrorCode.EXPIRED or left_s <= 0:
            return GiveUp(ErrorInfo(code=ErrorCode.EXPIRED, message="the time budget is used up", step=error.step), dead_letter=False)
        if error.code is ErrorCode.CANCELLED:
            return GiveUp(error, dead_letter=False)
        if error.code in _LATER and deliveries < self.max_deliveries:
            delay = max(self.delay_s(deliveries), error.retry_after_s or 0.0)
            if delay < left_s:
                return RetryLater(delay)
        return GiveUp(error, dead_letter=True)


def error_of(raised: BaseException, step: str) -> ErrorInfo:
    """Turn whatever was raised into an error of the closed list, without its values."""
    if isinstance(raised, ContractError):
        return raised.info.model_copy(update={"step": raised.info.step or step})
    if isinstance(raised, TimeoutError):
        return ErrorInfo(code=ErrorCode.EXPIRED, message="the time budget is used up", step=step)
    if isinstance(raised, ValidationError):
        return ErrorInfo(code=ErrorCode.INVALID_OUTPUT, message=f"the answer does not fit {raised.title}", step=step)
    return ErrorInfo(code=ErrorCode.MODEL_FAILED, message=f"{type(raised).__name__} in {step}", retryable=True, step=step)
