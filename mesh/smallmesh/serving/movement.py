"""Whether a model moves: what a sign of life is worth."""

from collections.abc import Callable

HEARTBEATS_A_WAIT = 3
"""Looks in one ack wait; as many signs of life."""
STUCK_WAITS = 2
"""Ack waits that a model may stand still. After one its messages are with other replicas; the second is for a host that
swaps. A forward pass takes a tenth of a second, an ack wait ten seconds: what stands still for two does not come back."""


class Movement:
    """Looks at a model's thread once a heartbeat.

    Time is counted in looks, not in seconds: a process that was stopped for an hour and goes on has not looked.

    Attributes:
        still: Looks in a row that have found the same job in hand as the look before.
    """

    def __init__(self, turn: Callable[[], int | None] = lambda: None) -> None:
        """Look at ``turn``: the number of the job in hand, None where there is none."""
        self.still = 0
        self._turn = turn
        self._seen: int | None = None

    def look(self) -> None:
        """Compare with the look before."""
        turn = self._turn()
        self.still = self.still + 1 if turn is not None and turn == self._seen else 0
        self._seen = turn

    @property
    def moves(self) -> bool:
        """Whether the model has nothing to do, or finished a job since the look before the last."""
        return self.still == 0

    @property
    def stuck(self) -> bool:
        """Whether it has stood still for so long that this process is of no use any more."""
        return self.still >= STUCK_WAITS * HEARTBEATS_A_WAIT
