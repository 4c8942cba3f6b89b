"""Which tasks came before, in a few bytes each: ids may be long and many."""

import hashlib
from array import array
from dataclasses import dataclass

_SLOTS = 1 << 12
_FULLEST = 2 / 3
"""Above this share of taken slots a search becomes long; the table is doubled."""
_LINE_BITS = 40
_TAG = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task was first seen.

    Attributes:
        file: Number of its file, from 0.
        line: In that file; 0 is nowhere in the input.
        digest: The first eight hexadecimal digits of its body's digest, as a number; 0 where that is not known.
    """

    file: int
    line: int
    digest: int = 0


class Seen:
    """Remembers names: 24 bytes a slot, 36 to 72 bytes each, whatever their length.

    A name is kept as 96 bits of its hash. Among ten million names the chance that any two
    are taken for one is below 10⁻¹⁴. Sets and dictionaries of Python take 150 bytes and more.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._count = 0
        self._make(_SLOTS)

    def __len__(self) -> int:
        return self._count

    def add(self, name: str, place: Place) -> Place | None:
        """Remember a name and return None; where it was there before, change nothing and return its place."""
        key, rest = _hash(name)
        slot = self._slot(key, rest)
        if self._keys[slot]:
            return self._place(slot)
        if self._count >= _FULLEST * len(self._keys):
            self._double()
            slot = self._slot(key, rest)
        self._count += 1
        self._keys[slot] = key
        self._rests[slot] = rest << 32 | place.digest & _TAG
        self._places[slot] = place.file << _LINE_BITS | place.line
        return None

    def find(self, name: str) -> Place | None:
        """Return the place of a name; None where it was never added."""
        slot = self._slot(*_hash(name))
        return self._place(slot) if self._keys[slot] else None

    def _make(self, slots: int) -> None:
        self._keys, self._rests, self._places = (array("Q", bytes(8 * slots)) for _ in range(3))

    def _place(self, slot: int) -> Place:
        where = self._places[slot]
        return Place(where >> _LINE_BITS, where & (1 << _LINE_BITS) - 1, self._rests[slot] & _TAG)

    def _slot(self, key: int, rest: int) -> int:
        """Return where a name is, or the free slot where it belongs."""
        keys, last = self._keys, len(self._keys) - 1
        slot = key & last
        while keys[slot] and (keys[slot] != key or self._rests[slot] >> 32 != rest):
            slot = slot + 1 & last
        return slot

    def _double(self) -> None:
        keys, rests, places = self._keys, self._rests, self._places
        self._make(2 * len(keys))
        for key, rest, place in zip(keys, rests, places, strict=True):
            if key:
                slot = self._slot(key, rest >> 32)
                self._keys[slot], self._rests[slot], self._places[slot] = key, rest, place


def _hash(name: str) -> tuple[int, int]:
    """Return 64 bits, never 0, which is a free slot, and 32 more."""
    hashed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=12).digest(), "big")
    return hashed >> 32 or 1, hashed & _TAG
