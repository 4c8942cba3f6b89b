"""Names as an instruct model writes them, and where they stand in the text."""

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic import Field as Bound

from smallmesh.agent import TaggedWord
from smallmesh.hosting.engine.port import Generated
from smallmesh.hosting.words import iter_words

MOST = 24
"""Names of one answer; a window that has as many may have more, and is read again in halves."""
_START = re.compile(r"\{")


class Name(BaseModel):
    """One name, copied from the text."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    type: Literal["PERSON", "ORGANIZATION", "LOCATION"]


class Names(BaseModel):
    """All names of a text, in order: the schema that tagging generates under."""

    model_config = ConfigDict(extra="forbid")

    entities: Annotated[list[Name], Bound(max_length=MOST)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name stands; ``end`` is the offset after it."""

    start: int
    end: int


def tagged(text: str, start: int, end: int, names: Sequence[Name], confidence: Sequence[float]) -> list[TaggedWord]:
    """Return the words of the names that stand in ``text[start:end]``, in order; a name that does not is dropped.

    Args:
        text: The whole text.
        start: Where the part begins that the model was shown.
        end: Where it ends.
        names: What the model wrote.
        confidence: How sure it was, one a name.
    """
    found = zip(locate(text[start:end], [name.text for name in names]), names, confidence, strict=True)
    placed = sorted(((place, name, sure) for place, name, sure in found if place), key=lambda one: one[0].start)
    return [word for place, name, sure in placed for word in _words(text, start + place.start, start + place.end, name.type, sure)]


def locate(text: str, names: Sequence[str]) -> list[Place | None]:
    """Return where each name stands in a text, as whole words, none over another; None for what is not there.

    A name is looked for after the one before it, then anywhere; first as it is written, then whatever its case. White space
    within it may be any.
    """
    taken: list[Place] = []
    places: list[Place | None] = []
    after = 0
    for name in names:
        place = _place(text, name, after, taken)
        places.append(place)
        if place:
            taken.append(place)
            after = place.end
    return places


def confidences(generated: Generated, count: int) -> list[float]:
    """Return how sure a model was of each of ``count`` names: the geometric mean of its probabilities of the tokens it chose there.

    Tokens that were forced, such as quotes and keys, are none of its choices. Where the engine does not tell which token stands
    where, every name has the mean of all.
    """
    spans = list(_objects(generated.text))
    if not generated.starts or len(spans) != count:
        return [_mean(generated.confidence)] * count
    placed = list(zip(generated.starts, generated.confidence, strict=True))
    return [_mean([sure for at, sure in placed if start <= at < end]) for start, end in spans]


def _objects(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each object within the outermost one."""
    decoder = json.JSONDecoder()
    at = text.find("{") + 1
    while match := _START.search(text, at):
        _, at = decoder.raw_decode(text, match.start())
        yield match.start(), at


def _mean(probabilities: Sequence[float]) -> float:
    if not probabilities:
        return 1.0
    return min(1.0, math.exp(sum(math.log(max(one, 1e-12)) for one in probabilities) / len(probabilities)))


def _place(text: str, name: str, after: int, taken: Sequence[Place]) -> Place | None:
    words = name.split()
    if not words:
        return None
    for flags in (re.NOFLAG, re.IGNORECASE):
        compiled = re.compile(_edge(words[0][0], r"(?<!\w)") + r"\s+".join(map(re.escape, words)) + _edge(words[-1][-1], r"(?!\w)"), flags)
        for begin in (after, 0):
            for match in compiled.finditer(text, begin):
                place = Place(*match.span())
                if not any(one.start < place.end and place.start < one.end for one in taken):
                    return place
    return None


def _edge(character: str, boundary: str) -> str:
    """A boundary where scripts put blanks between words; others (ideographs, kana, Thai) have none to look for."""
    return boundary if unicodedata.category(character) in ("Lu", "Ll", "Lt", "Nd") else ""


def _words(text: str, start: int, end: int, kind: str, confidence: float) -> Iterator[TaggedWord]:
    edge = "B"
    for word in iter_words(text[start:end]):
        yield TaggedWord(start + word.start, start + word.end, f"{edge}-{kind}", confidence)
        edge = "I"
