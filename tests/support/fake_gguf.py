"""GGUF files of nothing but metadata: enough to reckon with, and not to load."""

import struct
from collections.abc import Mapping
from pathlib import Path

QWEN_05B: Mapping[str, int | str] = {
    "general.architecture": "qwen2",
    "qwen2.block_count": 24,
    "qwen2.embedding_length": 896,
    "qwen2.attention.head_count": 14,
    "qwen2.attention.head_count_kv": 2,
}
"""The shape of Qwen2.5-0.5B, as its publisher states it: 24 layers, 14 heads of 64, of which keys and values have 2."""
_UINT32, _STRING = 4, 8


def write_gguf(path: Path, metadata: Mapping[str, int | str] = QWEN_05B, *, size: int = 0) -> bytes:
    """Write a file with this metadata, and return its bytes.

    Args:
        path: Of the file.
        metadata: By key.
        size: Bytes that it is to have at least; what is missing is zeros.
    """
    pairs = b"".join(_text(key) + _value(value) for key, value in metadata.items())
    body = b"GGUF" + struct.pack("<IQQ", 3, 0, len(metadata)) + pairs
    body = body.ljust(size, b"\0")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return body


def _value(value: int | str) -> bytes:
    return struct.pack("<I", _STRING) + _text(value) if isinstance(value, str) else struct.pack("<II", _UINT32, value)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()
