"""Findings for people: the level as a sign and a colour, and what to do below."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from smallmesh.cli.output import printable
from smallmesh.doctor import Finding, Level

SIGNS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.PROBLEM: ("✗", "bold red")}
_ONE_AND_MANY = {Level.PROBLEM: ("problem", "problems"), Level.WARNING: ("warning", "warnings"), Level.OK: ("check ok", "checks ok")}


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print every finding, and how many there are of each level."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        told = Text(printable(finding.message))
        if finding.todo:
            told.append(f"\n→ {printable(finding.todo)}", "dim")
        sign, style = SIGNS[finding.level]
        table.add_row(Text(sign, style), Text(finding.check, "bold"), told)
    console.print(table)
    console.print()
    console.print(_totals(findings))


def _totals(findings: Sequence[Finding]) -> Text:
    counts = Counter(finding.level for finding in findings)
    told = [Text(f"{counts[level]} {words[counts[level] > 1]}", SIGNS[level][1]) for level, words in _ONE_AND_MANY.items() if counts[level]]
    return Text(", ").join(told)
