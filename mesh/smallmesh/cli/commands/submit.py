"""``smallmesh submit``: many tasks."""

import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, BinaryIO

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from smallmesh.cli.exits import Exit
from smallmesh.cli.lines import BadLine, LineReader, count_lines, stream_lines
from smallmesh.cli.options import DEFAULT_TENANT, AsJson, Class, Nats, Tenant
from smallmesh.cli.output import notes, printable
from smallmesh.cli.submitting import Outcome, Submitter
from smallmesh.cli.where import connected
from smallmesh.supervise.signals import run_until_signalled
from smallmesh_contracts import Address, DataClass, ErrorInfo, Lane

EXAMPLES = (
    ("smallmesh submit tickets.jsonl --out results.jsonl", 'lines like {"id": "t-1", "text": "...", "wanted": ["sentiment"]}'),
    ("producer | smallmesh submit - --class internal | jq .answers", "results as they come, one object a line"),
    ("smallmesh submit cases.jsonl --lane interactive --timeout 60", "ahead of the backlog; gives up waiting after a minute"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many tasks may be out at once, and how long the last ones are waited for."""

    in_flight: int
    timeout_s: float | None


def command(  # noqa: PLR0913 - its options
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file of JSON objects, one a line, or - for input.", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where results go; else to standard output.")] = None,
    data_class: Class = DataClass.RESTRICTED,
    lane: Annotated[Lane, typer.Option(help="Of lines that name none.")] = Lane.BULK,
    tenant: Tenant = DEFAULT_TENANT,
    in_flight: Annotated[int, typer.Option(min=1, metavar="N", help="Tasks in the mesh at once.")] = 1000,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.001, help="Give up waiting so long after the last line. Default: never.")
    ] = None,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Submit many texts, one JSON object a line, and collect their results.

    A line has "text", and may have "id", "wanted", "instruction", "metadata", "timeout_s",
    "data_class" and "lane". With ids of your own a repeated call is safe: what was done is not
    done again. A bad line is reported with its number, and the rest goes on.

    Results are one JSON object a line, in the order in which they come. With --json the reports
    on standard error are JSON, too.
    """
    if not Address(tenant, data_class, "id").is_valid():
        raise typer.BadParameter("it must match [A-Za-z0-9_-]{1,64}", param_hint="--tenant")
    reader = LineReader(tenant, data_class, lane)
    with contextlib.ExitStack() as stack:
        source, total = _open(file, stack)
        target = stack.enter_context(out.open("w", encoding="utf-8")) if out else sys.stdout
        tally = Tally(target, as_json=as_json)
        stack.enter_context(tally.shown(total))
        complete = run_until_signalled(_submit(reader, source, tally, Limits(in_flight, timeout), nats))
    tally.sum_up(reader, complete=bool(complete))
    if not complete:
        raise typer.Exit(Exit.INTERRUPTED)
    if tally.failed:
        raise typer.Exit(Exit.ERROR)


def _open(file: str, stack: contextlib.ExitStack) -> tuple[BinaryIO, int | None]:
    if file == "-":
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb"), None  # of its own: a thread may still wait for it at exit
    try:
        source = stack.enter_context(Path(file).open("rb"))  # noqa: SIM115 - the stack closes it
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="FILE") from error
    total = count_lines(source)
    source.seek(0)
    return source, total


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
            self._report(outcome.submission.line, outcome.error, outcome.submission.address.task_id)

    def bad(self, line: BadLine) -> None:
        """Take in a line that is not a task."""
        self._progress.advance(self._bar)
        self.failed += 1
        self._counts["bad lines"] += 1
        self._report(line.line, line.error)

    def _report(self, line: int, error: ErrorInfo, task_id: str | None = None) -> None:
        if self._as_json:
            self._note_json({"line": line, "id": task_id, "error": error.model_dump(mode="json", exclude_none=True)})
        else:
            of = f" ({task_id})" if task_id else ""
            notes.print(f"line {line}{of}: {error.code.value}: {printable(error.message)}", markup=False)

    def _note_json(self, value: dict[str, object]) -> None:
        sys.stderr.write(json.dumps(value) + "\n")

    def sum_up(self, reader: LineReader, *, complete: bool) -> None:
        """Report the totals."""
        took_s = time.monotonic() - self._began
        if self._as_json:
            self._note_json({"totals": self._counts, "took_s": round(took_s, 3), "complete": complete, "ignored": sorted(reader.ignored)})
            return
        if reader.ignored:
            notes.print(f"ignored fields: {', '.join(sorted(map(printable, reader.ignored)))} (only `metadata` is echoed)", markup=False)
        counts = ", ".join(f"{number} {what}" for what, number in sorted(self._counts.items())) or "nothing"
        notes.print(f"{counts} in {took_s:.1f} s" + ("" if complete else "; interrupted: what was submitted goes on in the mesh"))


async def _submit(reader: LineReader, source: BinaryIO, tally: Tally, limits: Limits, nats: str | None) -> bool:
    async with connected(nats) as bus, Submitter(bus, reader.tenant, tally.came, in_flight=limits.in_flight) as submitter:
        number = 0
        async for raw in stream_lines(source):
            number += 1
            match reader.read(number, raw):
                case BadLine() as bad:
                    tally.bad(bad)
                case None:
                    pass
                case submission:
                    await submitter.submit(submission)
        await submitter.finished(limits.timeout_s)
    return True
