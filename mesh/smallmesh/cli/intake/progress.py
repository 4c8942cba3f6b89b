"""How far a submission is: a bar on a terminal, a line now and then elsewhere."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Final, Protocol

from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from smallmesh.cli.intake.records import FileKindError
from smallmesh.cli.intake.sources import Source, total_of
from smallmesh.cli.intake.submitting import Submitter
from smallmesh.cli.intake.tally import Tally, note_json
from smallmesh.cli.output import notes
from smallmesh_contracts import ContractError, ErrorCode

TICK_S: Final = 0.25
"""How often it is redrawn, and what was written is flushed."""
BAR_COLUMNS: Final = 12
_SAMPLE_S: Final = 1.0
LINE_EVERY_S: Final = 10.0
RATE_OVER_S: Final = 20.0
"""Seconds over which the rate is taken: long enough to be calm, short enough to follow a mesh that is scaled."""
_TROUBLES = {
    ErrorCode.OVERLOADED: "the mesh is full, waiting",
    ErrorCode.UNAVAILABLE: "the broker does not answer, waiting",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How far it is.

    Attributes:
        done: Lines dealt with.
        total: Lines there are, where that is known.
        failed: Of those dealt with, how many not as they should.
        per_s: Tasks a second, just now.
        left_s: Seconds until the end, where that can be said.
        trouble: Why nothing moves, where something is in the way.
    """

    done: int
    total: int | None
    failed: int
    per_s: float
    left_s: float | None
    trouble: ErrorCode | None

    def words(self) -> str:
        """Return it in words."""
        of = f"/{self.total:,}" if self.total is not None else ""
        moving = f"{self.per_s:,.0f}/s" if self.trouble is None else _TROUBLES.get(self.trouble, self.trouble.value)
        left = [f"{_clock(self.left_s)} left"] if self.left_s is not None else []
        return " · ".join([f"{self.done:,}{of}", moving, f"{self.done - self.failed:,} ok", f"{self.failed:,} failed", *left])

    def as_json(self) -> dict[str, object]:
        """Return it for programs."""
        told: dict[str, object] = {"done": self.done, "total": self.total, "failed": self.failed, "per_s": round(self.per_s, 1)}
        left_s = None if self.left_s is None else round(self.left_s)
        return {"progress": {**told, "left_s": left_s, "waiting": self.trouble.value if self.trouble else None}}


def _clock(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


class Meter:
    """The rate of something that is counted, over the last while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing, now."""
        self._clock = clock
        self._samples = deque([(clock(), 0)])

    def per_s(self, count: int) -> float:
        """Take in how many there are by now, and return how many more there are each second."""
        now = self._clock()
        while len(self._samples) > 1 and now - self._samples[1][0] >= RATE_OVER_S:
            self._samples.popleft()
        since, before = self._samples[0]
        if now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now, count))
        return (count - before) / (now - since) if now > since else 0.0


class Total:
    """How many lines there are. They are counted beside the work, which does not wait for it."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """Begin to count."""
        self.known: int | None = None
        self.thread = Thread(target=self._count, args=(sources,), name="count", daemon=True)
        self.thread.start()

    def _count(self, sources: Sequence[Source]) -> None:
        try:
            self.known = total_of(sources)
        except FileKindError:
            return  # whoever reads it says so


class View(Protocol):
    """Where it is shown."""

    def show(self, standing: Standing) -> None:
        """Show how far it is, if it is time to."""


class Bar:
    """A bar on a terminal."""

    def __init__(self, progress: Progress) -> None:
        """Draw with a progress that somebody else begins and ends."""
        self._progress = progress
        self._task = progress.add_task("submitted", total=None, words="")

    def show(self, standing: Standing) -> None:
        """Redraw it."""
        self._progress.update(self._task, completed=standing.done, total=standing.total, words=standing.words())
        self._progress.refresh()


class Lines:
    """A line now and then, for a log."""

    def __init__(self, *, as_json: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Say nothing yet: what is short needs none."""
        self._as_json = as_json
        self._clock = clock
        self._next = clock() + LINE_EVERY_S

    def show(self, standing: Standing) -> None:
        """Print it, if the last line is old enough."""
        if self._clock() < self._next:
            return
        self._next += LINE_EVERY_S
        if self._as_json:
            note_json(standing.as_json())
        else:
            notes.print(Text(standing.words()))


@contextmanager
def view(*, as_json: bool) -> Iterator[View]:
    """Show progress while it lasts."""
    if as_json or not notes.is_terminal:
        yield Lines(as_json=as_json)
        return
    columns = (BarColumn(bar_width=BAR_COLUMNS), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=notes, auto_refresh=False) as progress:
        yield Bar(progress)


class Teller:
    """Tells how far a submission is, and hands over what was written, now and then."""

    def __init__(self, tally: Tally, total: Total, submitter: Submitter, shown: View) -> None:
        """Tell nothing yet."""
        self._tally = tally
        self._total = total
        self._submitter = submitter
        self._view = shown
        self._meter = Meter()

    async def keep_telling(self) -> None:
        """Do it until cancelled. What cannot be written ends the submission."""
        while True:
            await asyncio.sleep(TICK_S)
            self.tell()
            try:
                self._tally.flush()
            except (ContractError, OSError) as error:
                self._submitter.give_up(error)

    def tell(self) -> None:
        """Show how far it is."""
        done, total, per_s = self._tally.done, self._total.known, self._meter.per_s(self._tally.worked)
        left_s = max(0, total - done) / per_s if total is not None and per_s > 0 else None
        self._view.show(Standing(done, total, self._tally.failed, per_s, left_s, self._submitter.pace.trouble))
