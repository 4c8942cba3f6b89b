"""A text by its lines, and which of them are not to be read."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_LINE = re.compile(r"[^\n]+")


class Row(NamedTuple):
    """A line with something in it.

    Attributes:
        text: The line, without its ending.
        start: Offset of its first character.
        end: Offset after its last.
        gap: Whether a blank line stands before it.
    """

    text: str
    start: int
    end: int
    gap: bool


Place = tuple[int, int, str]
"""Start, end and kind of something that is not to be read."""


class Page:
    """The lines of a text that are not blank, who claimed them, and places cut out of the others.

    Blank lines are no rows, so whoever looks for the next line with words in it never searches.

    Attributes:
        rows: The lines.
        owners: What each row was found to be (``quote``, ``log``…); None where it is to be read.
        cuts: Start, end and kind of places within rows.
    """

    def __init__(self, text: str) -> None:
        """Cut a text into rows; nothing is claimed."""
        self.rows = list(_rows(text))
        self.owners: list[str | None] = [None] * len(self.rows)
        self.cuts: list[Place] = []

    def claim(self, first: int, end: int, kind: str) -> None:
        """Mark the rows from ``first`` to before ``end`` that nobody has claimed."""
        for index in range(first, end):
            self.owners[index] = self.owners[index] or kind

    def cut(self, start: int, end: int, kind: str) -> None:
        """Mark a place within a row."""
        self.cuts.append((start, end, kind))

    def free(self, first: int = 0, end: int | None = None) -> list[int]:
        """Return the indices of the rows that nobody has claimed, in order."""
        return [index for index in range(first, len(self.rows) if end is None else end) if self.owners[index] is None]

    def left_out(self) -> list[Place]:
        """Return the places not to be read, in order; neighbouring rows of one kind stand apart."""
        claimed = [(row.start, row.end, kind) for row, kind in zip(self.rows, self.owners, strict=True) if kind]
        starts = [row.start for row in self.rows]
        inside = [cut for cut in self.cuts if self.owners[bisect_right(starts, cut[0]) - 1] is None]
        return sorted(claimed + inside)


def _rows(text: str) -> Iterator[Row]:
    end = 0
    for match in _LINE.finditer(text):
        line = match.group()
        if line.isspace():
            continue
        gap = text.count("\n", end, match.start()) > 1
        yield Row(line.rstrip("\r"), match.start(), match.start() + len(line.rstrip("\r")), gap)
        end = match.end()


BLOCK = "\n\n"


def blanked(text: str, places: Iterable[Place], fills: Mapping[str, str] | None = None) -> str:
    """Return the text with each place replaced by as much white space; a sentence never reaches over one.

    Args:
        text: The text.
        places: Start, end and kind, in order; a place that begins inside an earlier one is taken from its end on.
        fills: Kinds whose white space is another than the two line ends that break a paragraph.
    """
    parts: list[str] = []
    at = 0
    for start, end, kind in places:
        begin = max(start, at)
        if begin >= end:
            continue
        fill = BLOCK if fills is None else fills.get(kind, BLOCK)
        parts += (text[at:begin], fill[: end - begin].ljust(end - begin))
        at = end
    parts.append(text[at:])
    return "".join(parts)
