"""Rules as patterns over the signs of a reading."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from smallmesh.entities.found import Found
from smallmesh.entities.reading import ANY_LANGUAGE, BREAK, SPACE, Reading, Value
from smallmesh.entities.vocabulary import Vocabulary

_LEFT = r"[_@#%+]|{word}|{number}[.,:/-]?"
_RIGHT = r"(?![_@%])(?!{word})(?!{number})"
_LOOKAHEAD = 16  # signs; no pattern looks farther
AFTER_NUMBER = r"(?![.,:/]{number})"
"""Ends a pattern whose last sign is a number that may begin a span of time."""
AFTER_DIGITS = r"(?![.,:/-]{number})"
"""Ends a pattern of digits alone."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One place that a pattern fits, its words read in one language of those that know them all.

    The pattern saw the signs from ``offset`` on.
    """

    reading: Reading
    match: re.Match[str]
    offset: int
    language: str
    languages: Collection[str]

    @property
    def span(self) -> tuple[int, int]:
        """Offsets in the text of the group ``span``, or of all that fits."""
        return self._characters(*self._tokens("span" if "span" in self.match.re.groupindex else 0))

    def has(self, name: str) -> bool:
        """Whether a group took part."""
        return name in self.match.re.groupindex and self.match.start(name) >= 0

    def index(self, name: str) -> int:
        """Return the index of a group's first token."""
        return self.offset + self.match.start(name)

    def surface(self, name: str) -> str:
        """Return the characters of a group's first token, "" where it took no part."""
        return self.reading.surface(self.index(name)) if self.has(name) else ""

    def text(self, name: str) -> str:
        """Return the characters of a group, "" where it took no part."""
        if not self.has(name) or not self.match[name]:
            return ""
        start, end = self._characters(*self._tokens(name))
        return self.reading.text[start:end]

    def number(self, name: str) -> int | None:
        """Return the number that a group is."""
        return int(self.surface(name)) if self.has(name) else None

    def value(self, name: str, *kinds: str) -> Value | None:
        """Return the value of a group's first token, of the first of these kinds that it has."""
        found = (self._value(self.index(name), kind) for kind in kinds) if self.has(name) else ()
        return next((value for value in found if value is not None), None)

    def values(self, name: str, kind: str) -> list[Value]:
        """Return the values of this kind that a group's tokens have."""
        found = (self._value(index, kind) for index in range(*self._tokens(name)))
        return [value for value in found if value is not None]

    def before(self, words: int = 1) -> list[str]:
        """Return the words before the place, in small letters, the nearest first."""
        surfaces = (self.reading.surface(index).lower() for index in range(self.offset - 1, max(-1, self.offset - 1 - 2 * words), -1))
        return [surface for surface in surfaces if not surface.isspace()][:words]

    def after(self) -> str:
        """Return the token after the place, or after the white space there; "" at the text's end."""
        _, index = self._tokens(0)
        if self.reading.signs[index : index + 1] in (SPACE, BREAK):
            index += 1
        return self.reading.surface(index) if index < len(self.reading.tokens) else ""

    def _tokens(self, group: str | int) -> tuple[int, int]:
        first, last = self.match.span(group)
        return self.offset + first, self.offset + last

    def _characters(self, first: int, last: int) -> tuple[int, int]:
        return self.reading.tokens[first].start, self.reading.tokens[last - 1].end

    def _value(self, index: int, kind: str) -> Value | None:
        entry = self.reading.tokens[index].entry
        values = entry.meanings.get(kind, {}) if entry else {}
        return values.get(self.language, values.get(ANY_LANGUAGE))


Build = Callable[[Hit], Found | None]


class Grammar:
    """Rules of one kind of entity."""

    def __init__(self, vocabulary: Vocabulary, rules: Sequence[tuple[str, Build]]) -> None:
        """Take templates of :meth:`Vocabulary.pattern` with what they build; neither side of a place may touch a word or number."""
        self._vocabulary = vocabulary
        self._touched = vocabulary.pattern(rf"(?:{_LEFT})\Z")
        self._rules = [(vocabulary.pattern(f"(?:{template}){_RIGHT}"), build) for template, build in rules]

    def find(self, reading: Reading) -> Iterator[Found]:
        """Yield what each rule finds; the spans of several may overlap."""
        for pattern, build in self._rules:
            yield from self._fits(pattern, build, reading)

    def _fits(self, pattern: re.Pattern[str], build: Build, reading: Reading) -> Iterator[Found]:
        """What one rule finds; where it fits but builds nothing, it is tried again one token later."""
        place = pattern.search(reading.signs)
        while place is not None:
            found = self._built(place, build, reading)
            if found is not None:
                yield found
            place = pattern.search(reading.signs, place.end() if found is not None else place.start() + 1)

    def _built(self, place: re.Match[str], build: Build, reading: Reading) -> Found | None:
        """What is built in the languages that know all of the words so; where their values differ, none."""
        start = place.start()
        if start and self._touched.search(reading.signs, max(0, start - 2), start):
            return None
        built = [build(hit) for hit in self._read(place, reading)]
        found = list(dict.fromkeys(one for one in built if one is not None))
        if not found:
            return None
        first = found[0]
        same = [other for other in found if (other.start, other.end) == (first.start, first.end)]
        value, currency = (
            next(iter(said)) if len(said := {getattr(one, field) for one in same}) == 1 else None for field in ("value", "currency")
        )
        return first._replace(value=value, currency=currency)

    def _read(self, place: re.Match[str], reading: Reading) -> Iterator[Hit]:
        """The place as each language reads it."""
        first, last = place.span()
        languages = _common(reading, first, last)
        for language in languages:
            signs = reading.signs[first:last] if language == ANY_LANGUAGE else self._vocabulary.signs_in(language, reading, first, last)
            match = place.re.match(signs + reading.signs[last : last + _LOOKAHEAD])
            if match is not None:
                yield Hit(reading, match, first, language, languages)


def _common(reading: Reading, first: int, last: int) -> list[str]:
    """The languages that know every word of a place in some way."""
    common: dict[str, None] | None = None
    for token in reading.tokens[first:last]:
        values = token.entry.meanings.values() if token.entry else ()
        if values and not all(ANY_LANGUAGE in some for some in values):
            known = dict.fromkeys(language for some in values for language in some)
            common = known if common is None else {language: None for language in common if language in known}
    return [ANY_LANGUAGE] if common is None else list(common)
