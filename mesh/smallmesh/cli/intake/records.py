"""Documents out of files: lines of JSON, rows of CSV, files of text. Bounded memory, and a broken one never ends the rest.

Whatever is read, a record is one of three: bytes (a line of JSON, as it is), fields (what a row
or a file says of a task), or the error for which it cannot be read. Numbers count the lines of
the file from 1, as an editor does; a row of several lines has the number of its first.
"""

import csv
import io
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from pydantic import JsonValue

from smallmesh_contracts import ContractError, ErrorCode, ErrorInfo, Lane, limits

LONGEST_LINE: Final = 6 * limits.TEXT_BYTES[Lane.BULK] + limits.METADATA_BYTES + limits.INSTRUCTION_BYTES + 64 * limits.KIB
"""Bytes. The longest text with every character escaped in JSON (six bytes each), and what else a task may have."""
LONGEST_ROW: Final = 2 * limits.TEXT_BYTES[Lane.BULK]
"""Bytes of a row of CSV, over all its lines: the longest text with every quote doubled. A quote that nobody closes goes no further."""
PATIENCE: Final = 16 * LONGEST_ROW
"""Bytes that may be read a second time because of unclosed quotes in one file. After that a row must end in its line, so
that no file takes more than a few passes."""

NOT_UTF8 = "not valid UTF-8; convert a file in another encoding first: iconv -f CP1252 -t UTF-8"
_IMPATIENT = "; there were so many of these above that a row must end in its line from here on"


@dataclass(frozen=True, slots=True)
class Record:
    """One document as it stands in a file.

    Attributes:
        line: Number of its first line.
        content: A line of JSON, a task's fields, or why there are none.
        file: Which file, where there are several.
    """

    line: int
    content: bytes | Mapping[str, JsonValue] | ErrorInfo
    file: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a CSV file say what of a task.

    Attributes:
        text: The document.
        id: The task's id; without it one is made, and the line's number goes into the metadata.
        metadata: Echoed in the result.
        delimiter: Between cells.
    """

    text: str
    id: str | None = None
    metadata: tuple[str, ...] = ()
    delimiter: str = ","

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is used."""
        return (self.text, *([self.id] if self.id else []), *self.metadata)


class FileKindError(ValueError):
    """A file is not what it was said to be; the message says what to do."""


def json_lines(file: BinaryIO, name: str = "") -> Iterator[Record]:
    """Yield lines of JSON as they are; one too long to be a task is passed over, and never held."""
    for number, line in enumerate(_lines(file, LONGEST_LINE), 1):
        if line is None:
            yield Record(number, _error(ErrorCode.TOO_LONG, f"the line has more than {LONGEST_LINE} bytes"), name)
        elif line.strip():
            yield Record(number, line, name)


def text_document(file: BinaryIO, name: str) -> Record:
    """Return what is in a file of text as one document. Its name goes into the metadata."""
    limit = limits.TEXT_BYTES[Lane.BULK]
    body = file.read(limit + len(BOM_UTF8) + 1).removeprefix(BOM_UTF8)
    if len(body) > limit:
        return Record(1, _error(ErrorCode.TOO_LONG, f"the text has more than {limit} bytes"), name)
    try:
        return Record(1, {"text": body.decode(), "metadata": {"file": name}}, name)
    except UnicodeError:
        return Record(1, _error(ErrorCode.INVALID_REQUEST, NOT_UTF8), name)


def csv_rows(file: BinaryIO, columns: Columns, name: str = "") -> Iterator[Record]:
    """Yield the rows below the header as the fields of tasks.

    A row that is broken is an error with its number, and reading goes on below its first line:
    a quote that is never closed takes no other row with it.

    Raises:
        FileKindError: The header cannot be read, or lacks a column that was named.
    """
    rows = _Rows(file, columns.delimiter)
    header = _header(rows, columns)
    for number, cells in rows:
        if isinstance(cells, str):
            yield Record(number, _error(ErrorCode.INVALID_REQUEST, cells), name)
        elif cells:
            yield Record(number, _fields(number, cells, header, columns), name)


def _header(rows: "_Rows", columns: Columns) -> Sequence[str]:
    cells = next((cells for _, cells in rows if cells), "there is nothing in it")
    if isinstance(cells, str):
        raise FileKindError(f"the header cannot be read: {cells}")
    cells = [cell.strip() for cell in cells]
    missing = [one for one in columns.all if cells.count(one) != 1]
    if missing:
        named = ", ".join(cells)[:200]
        hint = "; is the delimiter another? Say --delimiter ';' or --delimiter tab" if len(cells) == 1 else ""
        often = "is there more than once" if missing[0] in cells else "is not there"
        raise FileKindError(f"the column {missing[0]!r} {often}; there are: {named}{hint}")
    return cells


def _fields(number: int, cells: Sequence[str], header: Sequence[str], columns: Columns) -> Mapping[str, JsonValue] | ErrorInfo:
    if len(cells) != len(header):
        quote = "; a cell with a delimiter in it needs quotes" if len(cells) > len(header) else ""
        return _error(ErrorCode.INVALID_REQUEST, f"the row has {len(cells)} cells, the header {len(header)}{quote}")
    row = dict(zip(header, cells, strict=True))
    metadata: dict[str, JsonValue] = {one: row[one] for one in columns.metadata}
    if columns.id is None:
        return {"text": row[columns.text], "metadata": {"line": number, **metadata}}
    return {"text": row[columns.text], "id": row[columns.id].strip(), "metadata": metadata}


class _Rows(Iterator[tuple[int, "list[str] | str"]]):
    """Rows with the numbers of their first lines; in the place of a broken one, what is wrong with it."""

    def __init__(self, file: BinaryIO, delimiter: str) -> None:
        self._lines = _Rewindable(_lines(file, LONGEST_ROW))
        self._delimiter = delimiter
        self._patience = PATIENCE
        csv.field_size_limit(LONGEST_ROW)

    def __next__(self) -> tuple[int, list[str] | str]:
        self._lines.begin()
        first = next(self._lines)
        number = self._lines.number
        if first is None:
            return number, f"the row has more than {LONGEST_ROW} bytes"
        try:
            cells = self._row(first.removeprefix(BOM_UTF8) if number == 1 else first)
        except csv.Error:
            self._patience -= self._lines.rewind()
            return number, "a quote in it is not closed, or closes amid a cell" + ("" if self._patience > 0 else _IMPATIENT)
        valid = all(cell.isascii() or is_unicode(cell) for cell in cells)
        return number, cells if valid else NOT_UTF8

    def _row(self, first: bytes) -> list[str]:
        """Parse one row. Bytes that are not UTF-8 are kept as lone surrogates: they do not change where the row ends."""
        lines = (line.decode("utf-8", "surrogateescape") for line in self._further(first))
        return next(csv.reader(lines, delimiter=self._delimiter, strict=True), [])

    def _further(self, first: bytes) -> Iterator[bytes]:
        """Yield the lines that a row may go on over, as far as patience lasts."""
        yield first
        size = len(first)
        while self._patience > 0 and (line := next(self._lines, None)) is not None:
            size += len(line)
            if size > LONGEST_ROW:
                return
            yield line


class _Rewindable(Iterator[bytes | None]):
    """Lines that can be read again from the second one on; at most :data:`LONGEST_ROW` bytes and a line are held."""

    def __init__(self, lines: Iterator[bytes | None]) -> None:
        self._lines = lines
        self._again: list[bytes | None] = []
        self._taken: list[bytes | None] = []
        self.number = 0

    def begin(self) -> None:
        """Forget what was taken: the next line is a row's first."""
        self._taken.clear()

    def __next__(self) -> bytes | None:
        line = self._again.pop() if self._again else next(self._lines)
        self._taken.append(line)
        self.number += 1
        return line

    def rewind(self) -> int:
        """Give back all but the first line taken; return how many bytes will be read again."""
        back = self._taken[1:]
        self._again.extend(reversed(back))
        self.number -= len(back)
        self._taken.clear()
        return sum(len(line or b"") for line in back)


def _lines(file: BinaryIO, longest: int) -> Iterator[bytes | None]:
    """Yield lines with their ends; None for one that is longer, which is passed over without being held."""
    if _is_utf16(file):
        raise FileKindError("the file is in UTF-16; convert it first: iconv -f UTF-16 -t UTF-8")
    while line := file.readline(longest + 1):
        if len(line) <= longest:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(longest)
        yield None


def unreadable(error: OSError, name: str) -> Record:
    """Return what stands for a file that cannot be opened."""
    return Record(1, _error(ErrorCode.INVALID_REQUEST, f"the file cannot be read: {error.strerror}"), name)


def is_unicode(text: str) -> bool:
    """Tell whether a text can be UTF-8: it has no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_utf16(file: BinaryIO) -> bool:
    peek = file.peek(2)[:2] if isinstance(file, io.BufferedReader) else b""
    return peek in (BOM_UTF16_LE, BOM_UTF16_BE)


def count(records: Iterable[Record]) -> int:
    """Return how many there are, bad ones included."""
    return sum(1 for _ in records)


def _error(code: ErrorCode, message: str) -> ErrorInfo:
    return ContractError(code, message).info
