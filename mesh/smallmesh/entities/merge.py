"""One list of entities out of several: in order, none overlapping."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from smallmesh_contracts import Entity, EntityType

ADDRESSES = frozenset({EntityType.EMAIL, EntityType.URL})
"""Their syntax leaves no doubt: nothing within one, or over its edge, is an entity."""


class _Placed(Protocol):
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


P = TypeVar("P", bound=_Placed)


def merge(entities: Iterable[Entity]) -> list[Entity]:
    """Return the entities that stay, in order of their place.

    Of two that overlap an address (``EMAIL``, ``URL``) stays; else the longer; of equally long ones the
    surer, then the earlier. So a person's name within a mail address goes, and so does the month within
    a longer name that the model found.
    """
    return select(entities, lambda entity: (entity.type not in ADDRESSES, entity.start - entity.end, -entity.confidence, entity.start))


def select(items: Iterable[P], rank: Callable[[P], Any]) -> list[P]:
    """Return those that overlap none of a lower rank that stays, in order of their place."""
    starts: list[int] = []
    ends: list[int] = []
    kept: list[P] = []
    for item in sorted(items, key=rank):
        place = bisect_left(starts, item.end)
        if place == 0 or ends[place - 1] <= item.start:
            starts.insert(place, item.start)
            ends.insert(place, item.end)
            insort(kept, item, key=lambda one: one.start)
    return kept
