"""The broker's clock, read through this machine's monotonic one."""

import time


class BrokerClock:
    """Budgets count from the broker's arrival time, so its clock is the only one that matters.

    A wall clock here that is an hour off, or that jumps, changes nothing.
    """

    def __init__(self) -> None:
        """Start from this machine's time until the broker has told its own."""
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the broker's time in seconds since the epoch."""
        return time.monotonic() + self._offset

    def set(self, broker_time: float, asked_at: float, answered_at: float) -> None:
        """Take the broker's word, given between two readings of ``time.monotonic()``."""
        self._offset = broker_time - (asked_at + answered_at) / 2
