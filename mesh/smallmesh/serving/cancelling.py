"""Which tasks were cancelled a moment ago, as far as this process has heard."""

import time
from collections import OrderedDict
from collections.abc import Callable

from smallmesh_contracts import Address

REMEMBERED_S = 5.0
"""A fresh step is a second old at most when it comes; the rest is for messages that wait in this process."""
MOST = 10_000
"""Announcements remembered. A backlog cancelled at once may be more: then every step asks for a while."""


class Announcements:
    """Remembers announcements for some seconds, so that a fresh step need not ask the broker whether it is over.

    An announcement proves nothing and may be missed; the proof is the terminal result.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Remember nothing yet; ``now`` gives seconds of any clock that does not jump."""
        self._now = now
        self._heard: OrderedDict[Address, float] = OrderedDict()
        self._unsure_until = 0.0

    def __len__(self) -> int:
        return len(self._heard)

    def hear(self, address: Address) -> None:
        """Remember that a task is said to be cancelled."""
        self._forget()
        if len(self._heard) >= MOST:
            self._heard.popitem(last=False)
            self.unsure()
        self._heard[address] = self._now()
        self._heard.move_to_end(address)

    def unsure(self) -> None:
        """Take any task for one that may be cancelled, for as long as an announcement would be remembered."""
        self._unsure_until = self._now() + REMEMBERED_S

    def may_concern(self, address: Address) -> bool:
        """Tell whether a task may have been cancelled in the last seconds."""
        return address in self._heard or (self._unsure_until > 0.0 and self._now() < self._unsure_until)

    def _forget(self) -> None:
        before = self._now() - REMEMBERED_S
        while self._heard and next(iter(self._heard.values())) < before:
            self._heard.popitem(last=False)
