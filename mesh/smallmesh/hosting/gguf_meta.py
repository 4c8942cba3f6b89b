"""Reads the metadata of a GGUF file: scalars, strings and numeric arrays; tensors are left to llama.cpp.

The ``gguf`` package does this too, but costs several hundred milliseconds to import: it stays with the training.
Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = str | int | float | bool | NDArray[Any]

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_BOOL, _STRING, _ARRAY = 7, 8, 9


class _Cursor:
    """A position in the mapped file; reading past the end raises ``struct.error`` or ``ValueError``."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise ValueError("a length points past the end of the file")
        self.at += size
        return self.data[self.at - size : self.at]

    def string(self) -> str:
        return self.take(self.scalar("Q")).decode("utf-8")

    def array(self) -> NDArray[Any] | None:
        kind, count = self.scalar("I"), self.scalar("Q")
        if kind in _SCALARS:
            dtype = np.dtype("?" if kind == _BOOL else "<" + _SCALARS[kind])
            return np.frombuffer(self.take(count * dtype.itemsize), dtype)
        if kind != _STRING:
            raise ValueError(f"arrays of kind {kind} are not used here")
        self.at = self._after_strings(count)
        return None

    def _after_strings(self, count: int) -> int:
        """Return where the next so many strings end. A vocabulary has hundreds of thousands: no call for each."""
        data, at, length = self.data, self.at, struct.Struct("<Q")
        for _ in range(count):
            (size,) = length.unpack_from(data, at)
            at += length.size + size
            if at > len(data):
                raise ValueError("a length points past the end of the file")
        return at


def read_metadata(path: Path) -> dict[str, Value]:
    """All scalars, strings and numeric arrays of the file's metadata by key; arrays of strings are skipped.

    Raises ValueError, naming the file, where it is not a GGUF file of version 2 or 3 or is cut off.
    """
    with path.open("rb") as stream:
        try:
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _read(_Cursor(data))
        except (ValueError, struct.error, KeyError) as error:
            raise ValueError(f"{path} is not a readable GGUF file: {error}") from error


def read_scalars(path: Path) -> dict[str, str]:
    """The scalars and strings of the file's metadata as text; raises as :func:`read_metadata` does."""
    return {key: str(value) for key, value in read_metadata(path).items() if not isinstance(value, np.ndarray)}


def _read(cursor: _Cursor) -> dict[str, Value]:
    if cursor.take(4) != b"GGUF" or cursor.scalar("I") not in (2, 3):
        raise ValueError("no GGUF header of version 2 or 3")
    cursor.scalar("Q")
    found: dict[str, Value] = {}
    for _ in range(cursor.scalar("Q")):
        key, kind = cursor.string(), cursor.scalar("I")
        if kind == _ARRAY:
            array = cursor.array()
            if array is not None:
                found[key] = array
        else:
            found[key] = cursor.string() if kind == _STRING else cursor.scalar(_SCALARS[kind])
    return found
