"""What became of many tasks: results written, failures reported, totals at the end."""

import json
import sys
import time
from collections import Counter
from typing import Any

from rich.text import Text

from smallmesh.cli.intake.lines import BadLine, Skipped, Submission
from smallmesh.cli.intake.outcomes import Outcome
from smallmesh.cli.intake.results import Results, error_of
from smallmesh.cli.output import notes, printable

BAD, GOOD, REPEATED, BEFORE, NO_RESULT = "bad", "good", "repeated", "done before", "without a result"


class Tally:
    """Counts outcomes, writes results and reports what failed.

    Attributes:
        counts: How many lines ended how.
        failed: How many of them not as they should.
        worked: How many cost work, in this run.
        waiting: How many had no result yet when it was given up.
    """

    def __init__(self, results: Results, *, as_json: bool) -> None:
        """Write to ``results``; report on standard error what is not written there."""
        self.counts: Counter[str] = Counter()
        self.failed = 0
        self.worked = 0
        self.waiting = 0
        self._results = results
        self._as_json = as_json
        self._began = time.monotonic()

    @property
    def done(self) -> int:
        """How many lines are dealt with."""
        return self.counts.total()

    def came(self, outcome: Outcome) -> None:
        """Take one outcome in."""
        self.worked += 1
        self.failed += not outcome.ok
        if outcome.status is not None:
            self.counts[outcome.status.value] += 1
            self._results.result(outcome)
        elif outcome.error is not None:
            self.counts[NO_RESULT] += 1
            self.waiting += not outcome.is_final
            self._report(error_of(outcome.submission, outcome.error), is_final=outcome.is_final)

    def bad(self, line: BadLine) -> None:
        """Take in a line that is not a task."""
        self.worked += 1
        self.failed += 1
        self.counts[BAD] += 1
        self._report(error_of(line, line.error), is_final=True)

    def skipped(self, line: Skipped) -> None:
        """Take in a line that needs no work."""
        self.failed += line.failed
        self.counts[BEFORE if line.before else REPEATED] += 1

    def _report(self, told: dict[str, Any], *, is_final: bool) -> None:
        """Write an error down where there is a file for them and no later run will find otherwise; else tell it."""
        if is_final and self._results.error(told):
            return
        if self._as_json:
            note_json(told)
            return
        place = f"{printable(told['file'])} line {told['line']}" if "file" in told else f"line {told['line']}"
        of = f" ({told['id']})" if told["id"] else ""
        notes.print(Text(f"{place}{of}: {told['error']['code']}: {printable(told['error']['message'])}"))

    def checked(self, submission: Submission) -> None:
        """Take in a document that would be submitted."""
        self.counts[GOOD] += 1
        self._results.known(submission)

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        self._results.flush()

    def sum_up(self, hints: list[str], *, complete: bool, ignored: set[str]) -> None:
        """Report the totals, and what to know beside them."""
        took_s = time.monotonic() - self._began
        if self._as_json:
            told = {"totals": self.counts, "took_s": round(took_s, 3), "complete": complete, "ignored": sorted(ignored)}
            note_json({**told, **({"hints": hints} if hints else {})})
            return
        if ignored:
            notes.print(Text(f"ignored fields: {', '.join(sorted(map(printable, ignored)))} (only `metadata` is echoed)"))
        counts = ", ".join(f"{number:,} {what}" for what, number in sorted(self.counts.items())) or "nothing"
        rate = f", {self.worked / took_s:,.0f} a second" if self.worked > 1 and took_s > 0 else ""
        for line in (f"{counts} in {took_s:,.1f} s{rate}", *hints):
            notes.print(Text(line))


def note_json(value: dict[str, object]) -> None:
    """Tell a program something, on standard error."""
    sys.stderr.write(json.dumps(value) + "\n")
    sys.stderr.flush()
