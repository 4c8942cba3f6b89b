"""Which files documents come from, and of which kind each is."""

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import typer

from smallmesh.cli.intake.records import Columns, FileKindError, Record, count, csv_rows, json_lines, text_document, unreadable
from smallmesh_contracts import ContractError, ErrorCode

STDIN = "-"


class Kind(StrEnum):
    """What a file holds."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    TEXT = "text"


_BY_SUFFIX = {
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), Kind.JSONL),
    **dict.fromkeys((".csv",), Kind.CSV),
    **dict.fromkeys((".tsv", ".tab"), Kind.TSV),
    **dict.fromkeys((".txt", ".text", ".md", ".eml", ".html", ".htm", ".log"), Kind.TEXT),
}
"""Anything else is CSV where a column is named, and lines of JSON where none is."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file and how to read it.

    Attributes:
        path: Where it is; None for standard input.
        kind: What it holds.
        columns: Of CSV: which columns say what.
        name: Named in reports, where there are several files.
    """

    path: Path | None
    kind: Kind
    columns: Columns | None = None
    name: str = ""

    def records(self) -> Iterator[Record]:
        """Yield what is in it, bad records included.

        Raises:
            FileKindError: It is not what it was said to be.
        """
        try:
            opened = self._open()
        except OSError as error:
            yield unreadable(error, self.name)
            return
        with closing(opened) as file:
            if self.kind is Kind.TEXT:
                yield text_document(file, self.name or _name_of(self.path))
            elif self.columns is not None:
                yield from csv_rows(file, self.columns, self.name)
            else:
                yield from json_lines(file, self.name)

    def _open(self) -> BinaryIO:
        if self.path is not None:
            return self.path.open("rb")
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb")  # of its own: a thread may still wait for it at exit

    @property
    def countable(self) -> bool:
        """Whether it can be read twice."""
        return self.path is not None and self.path.is_file()


def _name_of(path: Path | None) -> str:
    """Return a file's name as text: names of files are bytes, and need not be UTF-8."""
    return path.as_posix().encode("utf-8", "replace").decode() if path is not None else STDIN


def find_sources(names: Sequence[str], kind: Kind | None, columns: Columns | None) -> list[Source]:
    """Return the files that were named, patterns among them, each with its kind.

    Raises:
        typer.BadParameter: One is not there, or CSV is to be read and no column was named.
    """
    paths = [path for name in names for path in _expand(name)]
    sources = [_source(path, kind, columns, _name_of(Path(path)) if len(paths) > 1 else "") for path in paths]
    if columns is not None and not any(source.columns for source in sources):
        raise typer.BadParameter("no file of these is CSV: say --as csv, if one is", param_hint="--column")
    return sources


def _source(path: str, kind: Kind | None, columns: Columns | None, name: str) -> Source:
    kind = kind or _kind_of(path, with_columns=columns is not None)
    if kind not in (Kind.CSV, Kind.TSV):
        return Source(_there(path), kind, None, name)
    if columns is None:
        raise typer.BadParameter(f"{path} is CSV: name the column that holds the text", param_hint="--column")
    delimiter = "\t" if kind is Kind.TSV else columns.delimiter
    return Source(_there(path), kind, Columns(columns.text, columns.id, columns.metadata, delimiter), name)


def _kind_of(path: str, *, with_columns: bool) -> Kind:
    return _BY_SUFFIX.get(Path(path).suffix.lower(), Kind.CSV if with_columns else Kind.JSONL)


def _expand(name: str) -> list[str]:
    if name == STDIN or Path(name).exists() or not glob.has_magic(name):
        return [name]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - the pattern may begin anywhere
    if not found:
        raise typer.BadParameter(f"no file matches {name}", param_hint="FILE")
    return found


def _there(path: str) -> Path | None:
    if path == STDIN:
        return None
    if Path(path).is_dir():
        raise typer.BadParameter(f"{path} is a folder: name its files, as in '{path}/*.txt'", param_hint="FILE")
    if not os.access(path, os.R_OK):
        why = "cannot be read" if Path(path).exists() else "is not there"
        raise typer.BadParameter(f"{path} {why}", param_hint="FILE")
    return Path(path)


def total_of(sources: Sequence[Source]) -> int | None:
    """Return how many records there are; None where that cannot be known before they come."""
    if not all(source.countable for source in sources):
        return None
    documents = sum(source.kind is Kind.TEXT for source in sources)  # not read: each is one
    return documents + count(records_of([source for source in sources if source.kind is not Kind.TEXT]))


def records_of(sources: Sequence[Source]) -> Iterator[Record]:
    """Yield the records of all files, one file after the other. One of several that cannot be read at all is a bad record.

    Raises:
        FileKindError: The only file is not what it was said to be.
    """
    for source in sources:
        try:
            yield from source.records()
        except FileKindError as error:
            if len(sources) == 1:
                raise
            yield Record(1, ContractError(ErrorCode.INVALID_REQUEST, str(error)).info, source.name)
