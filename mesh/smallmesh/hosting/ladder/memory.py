"""Whether a model fits into the memory that is left: reckoned before it is loaded, because the kernel says it by killing."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smallmesh.hosting.card import ModelCard, ModelError

BUFFERS = 150_000_000
"""Bytes of llama.cpp's buffers and of the vocabulary's words in Python, at most for vocabularies of 150,000 words."""
_BYTES = 2
"""Of one key or value: 16 bits."""
_STATE_BYTES = 4
"""Of one number of a state."""
_UNLIMITED = 1 << 60
"""A limit of control groups, version 1, that is none."""
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that a model takes.

    Attributes:
        weights: As much as its file has. Some are mapped and some repacked, which takes memory of its own.
        cells: Keys and values of its whole context, and where a model has states those of all its sequences.
        buffers: What passes are computed in, and the rest.
    """

    weights: int
    cells: int
    buffers: int = BUFFERS

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cells + self.buffers

    def __str__(self) -> str:
        """Say it for people."""
        parts = f"{mb(self.weights)} weights, {mb(self.cells)} keys and values, {mb(self.buffers)} buffers"
        return f"{mb(self.total)} MB ({parts})"


def need_of(path: Path, card: ModelCard) -> Need:
    """Return what a GGUF that generates needs, by its own metadata.

    Args:
        path: The GGUF.
        card: Its card, for the tokens that all requests may hold together, and for how many of them there are.

    Raises:
        ModelError: It is no GGUF, or does not say its shape.
        OSError: It cannot be read.
    """
    from smallmesh.hosting.engine import BEGINNINGS  # noqa: PLC0415 - needs numpy, which a list of models does not
    from smallmesh.hosting.gguf_meta import read_metadata  # noqa: PLC0415 - likewise

    try:
        metadata = read_metadata(path)
        return Need(path.stat().st_size, cells_of(metadata, card.context) + states_of(metadata, card.slots + BEGINNINGS))
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"{path} does not say its shape as a GGUF of a model that generates does ({error!r})") from error


def cells_of(metadata: Mapping[str, Any], context: int) -> int:
    """Return the bytes of keys and values for so many tokens, by a GGUF's metadata.

    Raises:
        KeyError: The metadata lacks a dimension.
    """
    prefix = metadata["general.architecture"]
    layers = int(metadata[f"{prefix}.block_count"]) // int(metadata.get(f"{prefix}.full_attention_interval", 1))
    heads = metadata[f"{prefix}.attention.head_count"]
    kept = metadata.get(f"{prefix}.attention.head_count_kv", heads)
    most = heads if isinstance(heads, int) else max(heads.tolist())
    if not most and f"{prefix}.ssm.state_size" in metadata:
        return 0
    width = int(metadata[f"{prefix}.embedding_length"]) // int(most)
    keys = int(metadata.get(f"{prefix}.attention.key_length", width))
    values = int(metadata.get(f"{prefix}.attention.value_length", width))
    return (layers * kept if isinstance(kept, int) else sum(kept.tolist())) * (keys + values) * context * _BYTES


def states_of(metadata: Mapping[str, Any], sequences: int) -> int:
    """Return the bytes of so many sequences' states, for a model that has some in its layers; by a GGUF's metadata.

    Raises:
        KeyError: The metadata lacks a dimension.
    """
    prefix = metadata["general.architecture"]
    inner, size, kernel, groups = (
        int(metadata.get(f"{prefix}.ssm.{name}", 0)) for name in ("inner_size", "state_size", "conv_kernel", "group_count")
    )
    short = int(metadata.get(f"{prefix}.shortconv.l_cache", 1)) - 1
    numbers = inner * size + max(kernel - 1, 0) * (inner + 2 * groups * size) + short * int(metadata[f"{prefix}.embedding_length"])
    return int(metadata[f"{prefix}.block_count"]) * sequences * numbers * _STATE_BYTES


def available(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process may still take: of the machine, its control group or its address space, the least.

    None where nothing says it.
    """
    found = [*_of_machine(root), *_of_groups(root), *_of_address_space(root)]
    return min(found) if found else None


def _of_machine(root: Path) -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError):
        yield _number_in(root / "proc/meminfo", "MemAvailable:") * 1024
        return
    with contextlib.suppress(ModuleNotFoundError):
        import psutil  # noqa: PLC0415 - of the extra `broker`; where there is no /proc

        yield int(psutil.virtual_memory().available)


def _of_groups(root: Path) -> Iterator[int]:
    """Yield what is left to this process's control group and to those above it; their files that can be dropped count as free."""
    for folder in _groups(root):
        with contextlib.suppress(OSError, ValueError):
            most, taken = folder / "memory.max", folder / "memory.current"
            if not most.exists():
                most, taken = folder / "memory.limit_in_bytes", folder / "memory.usage_in_bytes"
            limit = int(most.read_text(encoding="ascii"))  # `max` is no number: no limit
            if limit < _UNLIMITED:
                yield max(0, limit - int(taken.read_text(encoding="ascii")) + _droppable(folder))


def _groups(root: Path) -> Iterator[Path]:
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            top = root / "sys/fs/cgroup" / controllers
            own = top / path.lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))


def _droppable(folder: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return _number_in(folder / "memory.stat", "inactive_file")
    return 0


def _of_address_space(root: Path) -> Iterator[int]:
    import resource  # noqa: PLC0415 - not on every system

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError, ValueError):
        if limit != resource.RLIM_INFINITY:
            yield max(0, limit - _number_in(root / "proc/self/status", "VmSize:") * 1024)


def _number_in(file: Path, key: str) -> int:
    """Return the number after a word; ValueError where the word is not there."""
    for line in file.read_text(encoding="ascii").splitlines():
        words = line.split()
        if words and words[0] == key:
            return int(words[1])
    raise ValueError(key)


def too_little(card: ModelCard, need: Need, free: int | None) -> str | None:
    """Return what to say where a model does not fit; None where it does, or nobody knows."""
    if free is None or need.total <= free:
        return None
    return f"too little memory for {card.id}: it needs {need}, {mb(free)} MB are available"


def mb(size: float) -> str:
    """Return bytes as megabytes for people."""
    return f"{size / _MB:,.0f}"
