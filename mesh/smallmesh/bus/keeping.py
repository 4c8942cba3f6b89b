"""How an operator wants streams kept: on how many brokers, how much, how long. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smallmesh.bus.layout import DAY_S, DEAD, DONE, STREAMS, Stream

STORE_BYTES = sum(stream.max_bytes for stream in STREAMS)
"""What all streams may take together where nobody says, on each broker that keeps them."""
LEAST_STORE_BYTES = 256 * 1024**2
"""With less the smallest queue would not take two of the largest messages."""
_WHOLE = 100
"""From here on a number is told without decimals."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is decided where a mesh is operated, and not by the layout.

    Attributes:
        replicas: Brokers that keep each stream: 1, or 3 in a cluster of three or more.
        store_bytes: What all streams may take together, on each of those brokers.
        done_kept_s: How long a terminal result is kept, and its id is taken.
        dead_kept_s: How long a dead letter is kept.
    """

    replicas: int = 1
    store_bytes: int = STORE_BYTES
    done_kept_s: float = DAY_S
    dead_kept_s: float = DEAD.max_age_s

    def bytes_of(self, stream: Stream) -> int:
        """Return the size at which a stream refuses more: its share of the whole."""
        return stream.max_bytes * self.store_bytes // STORE_BYTES

    def age_of(self, stream: Stream) -> float:
        """Return how many seconds a stream keeps a message; 0 is for ever."""
        return {DONE.name: self.done_kept_s, DEAD.name: self.dead_kept_s}.get(stream.name, stream.max_age_s)


def fitting(room_bytes: int) -> int:
    """Return how much all streams may take together on a disk of so much room: the default, halved until it fits.

    Halves, so that a disk with a little more or less room does not change every stream.
    """
    size = STORE_BYTES
    while size > max(room_bytes, LEAST_STORE_BYTES):
        size //= 2
    return max(size, LEAST_STORE_BYTES)


def in_units(size: int) -> str:
    """Return a number of bytes as a person reads it: ``28.1 GiB``."""
    for unit, of_bytes in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size >= of_bytes:
            value = size / of_bytes
            return f"{value:.0f} {unit}" if value >= _WHOLE else f"{value:.3g} {unit}"
    return f"{size} bytes"


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the names of settings that are not as they should be. What a broker does not mention is off, or nothing."""
    return sorted(name for name, value in expected.items() if found.get(name, value if not value else None) != value)
