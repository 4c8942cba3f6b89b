"""Where commands print: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

WIDE = 160
"""Columns where there is no terminal: nobody wraps a log or a pipe."""
console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
notes = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else WIDE)


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one value as one line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def printable(text: str) -> str:
    """Return a text in one line without control characters, which a document could use to drive the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def printable_lines(text: str) -> str:
    """Return a text in its own lines, without any other control character."""
    return "\n".join(map(printable, text.replace("\r\n", "\n").split("\n")))


def plain(console: Console) -> bool:
    """Tell whether colours are lost there, so that what they say must be said in characters."""
    return console.no_color or console.color_system is None
