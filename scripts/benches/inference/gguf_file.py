"""Writes a GGUF of one's own tensors, with metadata of another one.

The layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_MAGIC, _VERSION, _ALIGNMENT = b"GGUF", 3, 32
_U32, _F32, _STRING, _ARRAY = 4, 6, 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor to be written.

    Attributes:
        name: Its name.
        shape: The length of its rows first, as GGUF has it.
        kind: ggml's number of its type.
        n_bytes: Of all its blocks.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    n_bytes: int


def entries(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each key of a GGUF's metadata with its bytes as they stand in the file, key and type included."""
    magic, version, _, count = struct.unpack_from("<4sIQQ", raw)
    if (magic, version) != (_MAGIC, _VERSION):
        raise ValueError("not a GGUF of version 3")
    at = struct.calcsize("<4sIQQ")
    for _ in range(count):
        begun = at
        name, at = _string(raw, at)
        (kind,) = struct.unpack_from("<I", raw, at)
        at = _after(raw, at + 4, kind)
        yield name, raw[begun:at]


def _string(raw: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", raw, at)
    end = at + 8 + length
    return raw[at + 8 : end].decode(), end


def _after(raw: bytes, at: int, kind: int) -> int:
    if kind in _SIZES:
        return at + _SIZES[kind]
    if kind == _STRING:
        return _string_end(raw, at)
    inner, count = struct.unpack_from("<IQ", raw, at)
    at += 12
    if inner in _SIZES:
        return at + int(count) * _SIZES[inner]
    for _ in range(count):
        at = _string_end(raw, at)
    return at


def _string_end(raw: bytes, at: int) -> int:
    (length,) = struct.unpack_from("<Q", raw, at)
    return at + 8 + int(length)


def entry(key: str, value: Value) -> bytes:
    """Return the bytes of one key: an unsigned 32-bit number, a 32-bit float, or a string."""
    name = key.encode()
    head = struct.pack("<Q", len(name)) + name
    if isinstance(value, str):
        return head + struct.pack("<IQ", _STRING, len(value.encode())) + value.encode()
    return head + (struct.pack("<If", _F32, value) if isinstance(value, float) else struct.pack("<II", _U32, value))


@dataclass(frozen=True, slots=True)
class Contents:
    """What a GGUF is made of.

    Attributes:
        metadata: Keys as :func:`entries` or :func:`entry` gives them.
        tensors: Its tensors.
        data: The bytes of each, in the same order.
    """

    metadata: Sequence[bytes]
    tensors: Sequence[Tensor]
    data: Iterable[bytes]


def write(path: Path, contents: Contents) -> None:
    """Write a GGUF: it appears under its name once it is whole."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(struct.pack("<4sIQQ", _MAGIC, _VERSION, len(contents.tensors), len(contents.metadata)))
        file.write(b"".join(contents.metadata))
        file.write(b"".join(_infos(contents.tensors)))
        file.write(bytes(-file.tell() % _ALIGNMENT))
        for tensor, data in zip(contents.tensors, contents.data, strict=True):
            if len(data) != tensor.n_bytes:
                msg = f"{tensor.name} has {len(data)} bytes instead of {tensor.n_bytes}"
                raise ValueError(msg)
            file.write(data + bytes(-len(data) % _ALIGNMENT))
    part.rename(path)


def _infos(tensors: Sequence[Tensor]) -> Iterator[bytes]:
    offset = 0
    for tensor in tensors:
        name = tensor.name.encode()
        yield struct.pack(f"<Q{len(name)}sI", len(name), name, len(tensor.shape))
        yield struct.pack(f"<{len(tensor.shape)}QIQ", *tensor.shape, tensor.kind, offset)
        offset += tensor.n_bytes + -tensor.n_bytes % _ALIGNMENT
