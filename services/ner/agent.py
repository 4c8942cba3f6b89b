"""Names in a text: persons, organisations, locations."""

from collections.abc import Iterator, Sequence

from smallmesh.agent import Agent, Model, TaggedWord
from smallmesh_contracts import EntitiesRequest, EntitiesResult, Entity, EntityType

OUTSIDE = "O"


class Names(Agent[EntitiesRequest, EntitiesResult]):
    """Finds names by token classification; offsets refer to the original text.

    A span's confidence is that of its least certain word. The answer as a whole
    has none: how sure the spans found are says nothing about names missed.
    """

    name = "ner"
    answer = "entities"
    description = "Finds persons, organisations and locations, with character offsets into the original text"
    request = EntitiesRequest
    result = EntitiesResult

    async def respond(self, request: EntitiesRequest, model: Model) -> EntitiesResult:
        """Return the names in order of their place, longest spans, no overlaps."""
        return EntitiesResult(entities=tuple(_entities(request.text, await model.tag(request.text))))


def _entities(text: str, tagged: Sequence[TaggedWord]) -> Iterator[Entity]:
    span: list[TaggedWord] = []
    for word in tagged:
        begins, _, kind = word.label.partition("-")
        if span and (begins != "I" or kind != _kind(span)):
            yield _entity(text, span)
            span = []
        if begins != OUTSIDE:
            span.append(word)
    if span:
        yield _entity(text, span)


def _kind(span: Sequence[TaggedWord]) -> str:
    return span[0].label.partition("-")[2]


def _entity(text: str, span: Sequence[TaggedWord]) -> Entity:
    start, end = span[0].start, span[-1].end
    confidence = min(word.probability for word in span)
    return Entity(start=start, end=end, text=text[start:end], type=EntityType(_kind(span)), confidence=confidence)


AGENT = Names()
