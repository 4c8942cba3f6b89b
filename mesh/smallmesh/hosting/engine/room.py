"""Who has which sequences and cells of the context, and the beginnings that requests share."""

import itertools
from collections.abc import Iterable

from smallmesh.hosting.engine.port import Decoder
from smallmesh.hosting.engine.runs import Reading, Run
from smallmesh_contracts import Lane


class Beginning:
    """A shared beginning that is kept, or being read."""

    def __init__(self, reading: Reading) -> None:
        """Keep what is being read."""
        self.reading = reading
        self.users = 0
        self.used_at = 0

    @property
    def ready(self) -> bool:
        """Whether all of it is evaluated."""
        return self.reading.future.done()

    @property
    def in_use(self) -> bool:
        """Whether it is being read, or a request in hand begins with it."""
        return not self.ready or self.users > 0


class Room:
    """Gives sequences and cells to requests and takes them back.

    A request gets all the cells that it may need before it begins, so none fails for want of them later.
    """

    def __init__(self, decoder: Decoder) -> None:
        """Have all of a context to give."""
        self._decoder = decoder
        self._free = decoder.n_ctx
        self._sequences = list(range(decoder.n_sequences))
        self._beginnings: dict[tuple[int, ...], Beginning] = {}
        self._uses = itertools.count(1)

    def beginning(self, run: Run) -> Beginning | None:
        """Return what is kept of the beginning that a request shares."""
        return self._beginnings.get(run.prompt.shared)

    def read(self, run: Run) -> Reading | None:
        """Begin to read what a request shares; None where there is no room for it yet."""
        reading = Reading(run.prompt.shared, run.lane)
        if not self._take(reading):
            return None
        self._beginnings[run.prompt.shared] = Beginning(reading)
        return reading

    def admit(self, run: Run) -> bool:
        """Give a request its sequences, which begin with what it shares; tell whether there was room."""
        if not self._take(run):
            return False
        kept = self._beginnings.get(run.prompt.shared)
        if kept is not None:
            kept.users += 1
            kept.used_at = next(self._uses)
            for sequence in run.sequences:
                self._decoder.share(kept.reading.sequences[0], sequence, len(run.prompt.shared))
        return True

    def release(self, run: Run) -> None:
        """Take a request's sequences back."""
        kept = self._beginnings.get(run.prompt.shared)
        if kept is not None:
            kept.users -= 1
        self._give_back(run)
        run.rewind()

    def forget(self, reading: Reading) -> None:
        """Drop a beginning whose reading failed."""
        self._beginnings = {shared: kept for shared, kept in self._beginnings.items() if kept.reading is not reading}
        self._give_back(reading)

    def _take(self, run: Run) -> bool:
        while run.cells > self._free or run.n_sequences > len(self._sequences):
            if not self._forget_one(keep=run.prompt.shared):
                return False
        self._free -= run.cells
        run.sequences = tuple(self._sequences.pop() for _ in range(run.n_sequences))
        return True

    def _forget_one(self, keep: tuple[int, ...]) -> bool:
        """Drop the beginning that was not used for longest; False where all are in use."""
        idle = [(kept.used_at, shared) for shared, kept in self._beginnings.items() if not kept.in_use and shared != keep]
        if not idle:
            return False
        self._give_back(self._beginnings.pop(min(idle)[1]).reading)
        return True

    def _give_back(self, run: Run) -> None:
        for sequence in run.sequences:
            self._decoder.drop(sequence)
        self._sequences.extend(run.sequences)
        self._free += run.cells


def newest_bulk(runs: Iterable[Run]) -> Run | None:
    """Return the request that loses least where an interactive one needs its room."""
    bulk = [run for run in runs if run.lane is Lane.BULK and not isinstance(run, Reading)]
    return bulk[-1] if bulk else None
