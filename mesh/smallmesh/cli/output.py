"""Where commands print: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)
WIDE = 160
"""Columns where there is no terminal: nobody wraps a log or a pipe."""


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one value as one line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def wide_console() -> Console:
    """Return a console for tables that is wide where the output is not a terminal."""
    return console if console.is_terminal else Console(highlight=False, width=WIDE)


def printable(text: str) -> str:
    """Return a text in one line without control characters, which a document could use to drive the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
