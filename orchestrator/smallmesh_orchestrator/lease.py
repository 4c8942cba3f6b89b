"""One submission in hand."""

import asyncio
from collections.abc import Callable

from smallmesh.bus import Delivery
from smallmesh_orchestrator.states import State

_ALL_IN = frozenset({State.ANSWERED, State.ANALYSED, State.BURIED, State.FINISHED, State.OVER})


class Lease:
    """One submission in hand.

    Attributes:
        delivery: The submission, as it was delivered last.
        worker: The task that works on it.
        state: How far it has come.
        on_begun: Called once, as soon as nothing of it is left to do but to wait.
    """

    __slots__ = ("delivery", "on_begun", "state", "worker")

    def __init__(self, delivery: Delivery) -> None:
        """Take a submission in hand, to be worked on by the current task."""
        worker = asyncio.current_task()
        assert worker is not None  # noqa: S101 - for the type checker: coroutines run in tasks
        self.delivery = delivery
        self.worker = worker
        self.state = State.TAKEN
        self.on_begun: Callable[[], None] | None = None

    @property
    def ends_soon(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.state in _ALL_IN

    def reached(self, state: State) -> None:
        """Note how far it has come."""
        self.state = state
        if state is not State.FANNING_OUT:
            self.begun()

    def begun(self) -> None:
        """Tell whoever waits for it that it has begun."""
        if self.on_begun is not None:
            self.on_begun()
            self.on_begun = None
