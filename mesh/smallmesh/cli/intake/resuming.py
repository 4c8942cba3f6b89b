"""Files of results that may be there already: refused, begun anew, or gone on with. Nothing in them is lost by accident."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import typer
from pydantic import BaseModel, Field, JsonValue

from smallmesh.cli.intake.choices import Existing
from smallmesh.cli.intake.lines import Ended
from smallmesh_contracts import Address, DataClass, Status

_BUFFER: Final = 1 << 18
_BEGINNINGS = (b'{"line":', b'{"file":')
"""How every line begins that is written here."""


class _Result(BaseModel):
    """What is read of a line of results."""

    tenant: str
    data_class: DataClass
    task_id: str
    digest: str
    status: str


class _Error(BaseModel):
    """What is read of a line of errors; of a line that was no task there is no class."""

    line: int
    file: str = ""
    id: str | None = None
    data_class: DataClass | None = None
    error: dict[str, JsonValue] = Field(min_length=1)


def open_results(path: Path, existing: Existing, ended: Ended) -> BinaryIO:
    """Open a file for results; what ended, as it says, goes into ``ended``. Close it when all is written.

    Raises:
        typer.BadParameter: It cannot be written, or must not be.
    """

    def take(line: bytes) -> None:
        said = _Result.model_validate_json(line)
        address = Address(said.tenant, said.data_class, said.task_id)
        ended.task(address, said.digest, failed=said.status != Status.COMPLETED)

    return _open(path, existing, take, "--out")


def open_errors(path: Path, existing: Existing, ended: Ended, tenant: str) -> BinaryIO:
    """Open a file for errors, as :func:`open_results` one for results."""

    def take(line: bytes) -> None:
        said = _Error.model_validate_json(line)
        if said.id is not None and said.data_class is not None:
            ended.task(Address(tenant, said.data_class, said.id), failed=True)
        else:
            ended.bad_line(said.file, said.line)

    return _open(path, existing, take, "--errors")


def _open(path: Path, existing: Existing, take: Callable[[bytes], None], option: str) -> BinaryIO:
    try:
        if path.exists() and not path.is_file():  # a pipe or a device: nothing is in it
            return path.open("wb", buffering=_BUFFER)
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=_BUFFER)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}", param_hint=option) from error
    try:
        _hold(file, path, option)
        _begin(file, path, existing, take, option)
    except BaseException:
        file.close()
        raise
    return file


def _hold(file: BinaryIO, path: Path, option: str) -> None:
    """Keep others out: two runs that write to one file would break each other's lines."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise typer.BadParameter(f"another run writes to {path} just now", param_hint=option) from error


def _begin(file: BinaryIO, path: Path, existing: Existing, take: Callable[[bytes], None], option: str) -> None:
    if existing is Existing.RESUME:
        _go_on(file, path, take, option)
    elif existing is Existing.OVERWRITE:
        file.truncate(0)
    elif os.fstat(file.fileno()).st_size:
        hint = "go on with it by --resume, or give up what is in it by --overwrite"
        raise typer.BadParameter(f"{path} is there and not empty: {hint}", param_hint=option)


def _go_on(file: BinaryIO, path: Path, take: Callable[[bytes], None], option: str) -> None:
    """Take in every line and stand at the end. A last line that was not written whole is cut off."""
    whole, is_ended = 0, True
    for number, line in enumerate(file, 1):
        try:
            take(line)
        except ValueError as error:
            if _is_half(line):
                break
            what = f"line {number} of {path} is not of this command: is it another file?"
            raise typer.BadParameter(what, param_hint=option) from error
        whole += len(line)
        is_ended = line.endswith(b"\n")
    file.seek(whole)
    file.truncate()
    file.write(b"" if is_ended else b"\n")


def _is_half(line: bytes) -> bool:
    """Tell whether it is the beginning of a line that was being written when the run was killed."""
    begins_so = any(line[: len(begins)] == begins[: len(line)] for begins in _BEGINNINGS)
    return not line.endswith(b"\n") and (begins_so or not line.strip(b"\0"))  # a crash of the machine can leave zeros
