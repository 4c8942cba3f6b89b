"""The names that a model tags, as entities."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from smallmesh.entities.merge import ADDRESSES
from smallmesh_contracts import Entity, EntityType

if TYPE_CHECKING:
    from smallmesh.agent import TaggedWord

OUTSIDE = "O"


def named(text: str, tagged: Sequence[TaggedWord], rules: Sequence[Entity]) -> Iterator[Entity]:
    """Yield the names; a span's confidence is that of its least certain word.

    Words within an address that a rule found are no names, so that a name ends where its mail address begins.
    """
    addresses = [entity for entity in rules if entity.type in ADDRESSES]
    starts = [entity.start for entity in addresses]
    span: list[TaggedWord] = []
    for word in tagged:
        place = bisect_right(starts, word.start)
        outside = word.label == OUTSIDE or (place > 0 and addresses[place - 1].end > word.start)
        begins, _, kind = word.label.partition("-")
        if span and (outside or begins != "I" or kind != _kind(span)):
            yield _entity(text, span)
            span = []
        if not outside:
            span.append(word)
    if span:
        yield _entity(text, span)


def _kind(span: Sequence[TaggedWord]) -> str:
    return span[0].label.partition("-")[2]


def _entity(text: str, span: Sequence[TaggedWord]) -> Entity:
    start, end = span[0].start, span[-1].end
    confidence = min(word.probability for word in span)
    return Entity(start=start, end=end, text=text[start:end], type=EntityType(_kind(span)), confidence=confidence)
