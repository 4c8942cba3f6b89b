"""One submission of many documents, from its files to its last result."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from smallmesh.cli.intake.choices import Existing, Ids
from smallmesh.cli.intake.feed import stream
from smallmesh.cli.intake.lines import BadLine, Ended, LineReader, Skipped, Submission
from smallmesh.cli.intake.progress import Teller, Total, view
from smallmesh.cli.intake.results import Results
from smallmesh.cli.intake.resuming import open_errors, open_results
from smallmesh.cli.intake.sources import Source, records_of
from smallmesh.cli.intake.submitting import Submitter
from smallmesh.cli.intake.tally import REPEATED, Tally
from smallmesh.cli.where import connected


@dataclass(frozen=True, slots=True)
class Files:
    """Where results and errors go.

    Attributes:
        out: For results; None for standard output.
        errors: For what failed; None for standard error, and for failed tasks as ``out``.
        existing: What to do with what is there.
    """

    out: Path | None = None
    errors: Path | None = None
    existing: Existing = Existing.REFUSE

    @contextlib.contextmanager
    def opened(self, reader: LineReader) -> Iterator[Results]:
        """Open them while it lasts; what ended in an earlier run, the reader passes over.

        Raises:
            typer.BadParameter: One cannot be written, or must not be.
        """
        ended = Ended()
        with contextlib.ExitStack() as stack:
            out, errors = sys.stdout.buffer, None
            if self.out is not None:
                out = stack.enter_context(_closing(open_results(self.out, self.existing, ended)))
            if self.errors is not None:
                errors = stack.enter_context(_closing(open_errors(self.errors, self.existing, ended, reader.tenant)))
            if self.existing is Existing.RESUME:
                reader.ended = ended
            yield Results(out, errors)


@contextlib.contextmanager
def _closing(file: BinaryIO) -> Iterator[BinaryIO]:
    """Close a file at the end; that it could not be written was said before."""
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


@dataclass
class Job:
    """What is to be done, and how.

    Attributes:
        sources: Where documents come from.
        reader: Makes submissions of them.
        tally: Takes in what becomes of them.
        in_flight: Tasks in the mesh at once.
        timeout_s: Seconds after the last document until no result is waited for; None for ever.
        as_json: Whether reports are for programs.
        outstanding: Tasks that were in the mesh when it ended.
    """

    sources: Sequence[Source]
    reader: LineReader
    tally: Tally
    in_flight: int
    timeout_s: float | None
    as_json: bool
    outstanding: int = 0

    async def submit(self, nats: str | None) -> bool:
        """Submit every document and wait for its result.

        Raises:
            ContractError: The broker is away for good, or refuses everything; results cannot be written.
            FileKindError: The only file is not what it was said to be.
        """
        async with connected(nats) as bus, Submitter(bus, self.reader.tenant, self.tally.came, in_flight=self.in_flight) as submitter:
            with view(as_json=self.as_json) as shown:
                teller = Teller(self.tally, Total(self.sources), submitter, shown)
                telling = asyncio.create_task(teller.keep_telling())
                try:
                    await self._feed(submitter)
                    await submitter.finished(self.timeout_s)
                finally:
                    telling.cancel()
                    teller.tell()
                    self.outstanding = submitter.outstanding
        self.tally.flush()
        return True

    async def _feed(self, submitter: Submitter) -> None:
        async with contextlib.aclosing(stream(map(self.reader.take, records_of(self.sources)))) as lines:
            async for read in lines:
                if isinstance(read, Submission):
                    await submitter.submit(read)
                else:
                    self._count(read)

    def check(self) -> bool:
        """Read every document and tell its id; submit nothing.

        Raises:
            FileKindError: As :meth:`submit`.
        """
        for read in map(self.reader.take, records_of(self.sources)):
            if isinstance(read, Submission):
                self.tally.checked(read)
            else:
                self._count(read)
        self.tally.flush()
        return True

    def _count(self, read: BadLine | Skipped) -> None:
        if isinstance(read, BadLine):
            self.tally.bad(read)
        else:
            self.tally.skipped(read)

    def sum_up(self, files: Files, *, complete: bool) -> None:
        """Report what became of it, if anything was begun."""
        if complete or self.tally.done or self.outstanding:
            self.tally.sum_up(self._hints(files, complete=complete), complete=complete, ignored=self.reader.ignored)

    def _hints(self, files: Files, *, complete: bool) -> list[str]:
        """Return what to know beside the totals, and what to do."""
        told = []
        if (repeated := self.tally.counts[REPEATED]) and self.reader.ids is Ids.CONTENT:
            told.append(f"{repeated:,} repeated: the same as a line above is the same task; `--id random` makes a task of each")
        ended = self.reader.ended
        if complete and ended is not None and ended.met < len(ended):
            told.append(f"{len(ended) - ended.met:,} results from before belong to no line read here: is the input another, or an option?")
        if not complete or self.tally.waiting:
            told.append(self._how_to_go_on(files))
        return told

    def _how_to_go_on(self, files: Files) -> str:
        left = self.outstanding or self.tally.waiting
        stand = f"{left:,} tasks were under way and go on in the mesh" if left else "no task is under way"
        if self.reader.ids is Ids.RANDOM:
            return f"{stand}; their ids are new ones each time, so the same command would submit all again"
        if files.out is None:
            return f"{stand}; the same command again collects their results, for a day, and submits none twice"
        return f"{stand}; the same command with --resume goes on where this one ended"
