"""What became of many tasks: results written, failures reported, totals at the end."""

import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import IO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from smallmesh.cli.intake.lines import BadLine, LineReader
from smallmesh.cli.intake.submitting import Outcome
from smallmesh.cli.output import notes, printable
from smallmesh_contracts import ErrorInfo


class Tally:
    """Counts outcomes, writes results and reports what failed."""

    def __init__(self, target: IO[str], *, as_json: bool) -> None:
        """Write results to ``target``."""
        self.failed = 0
        self._target = target
        self._as_json = as_json
        self._counts: Counter[str] = Counter()
        self._began = time.monotonic()
        self._progress = Progress(
            TextColumn("submitted"),
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(show_speed=True),
            TimeElapsedColumn(),
            console=notes,
            disable=as_json or not notes.is_terminal,
        )

    @property
    def shows_progress(self) -> bool:
        """Whether somebody sees how far it is."""
        return not self._progress.disable

    @contextlib.contextmanager
    def shown(self, total: int | None) -> Iterator[None]:
        """Show progress while it lasts."""
        self._bar = self._progress.add_task("submitted", total=total)
        with self._progress:
            yield

    def came(self, outcome: Outcome) -> None:
        """Take one outcome in."""
        self._progress.advance(self._bar)
        self.failed += not outcome.ok
        if outcome.result is not None:
            self._counts[outcome.result.status.value] += 1
            self._target.write(outcome.result.model_dump_json() + "\n")
            self._target.flush()
        elif outcome.error is not None:
            self._counts["without a result"] += 1
            sent = outcome.submission
            self._report(sent.file, sent.line, outcome.error, sent.address.task_id)

    def bad(self, line: BadLine) -> None:
        """Take in a line that is not a task."""
        self._progress.advance(self._bar)
        self.failed += 1
        self._counts["bad"] += 1
        self._report(line.file, line.line, line.error)

    def _report(self, file: str, line: int, error: ErrorInfo, task_id: str | None = None) -> None:
        if self._as_json:
            place = {"file": file, "line": line} if file else {"line": line}
            self._note_json({**place, "id": task_id, "error": error.model_dump(mode="json", exclude_none=True)})
        else:
            place_text = f"{printable(file)} line {line}" if file else f"line {line}"
            of = f" ({task_id})" if task_id else ""
            notes.print(Text(f"{place_text}{of}: {error.code.value}: {printable(error.message)}"))

    def _note_json(self, value: dict[str, object]) -> None:
        sys.stderr.write(json.dumps(value) + "\n")

    def sum_up(self, reader: LineReader, *, complete: bool) -> None:
        """Report the totals."""
        took_s = time.monotonic() - self._began
        if self._as_json:
            self._note_json({"totals": self._counts, "took_s": round(took_s, 3), "complete": complete, "ignored": sorted(reader.ignored)})
            return
        if reader.ignored:
            notes.print(Text(f"ignored fields: {', '.join(sorted(map(printable, reader.ignored)))} (only `metadata` is echoed)"))
        counts = ", ".join(f"{number} {what}" for what, number in sorted(self._counts.items())) or "nothing"
        notes.print(f"{counts} in {took_s:.1f} s" + ("" if complete else "; interrupted: what was submitted goes on in the mesh"))
