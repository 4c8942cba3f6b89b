"""What words mean to the rules: names of months, days and currencies from Babel, the rest from ``words.toml``."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from smallmesh.entities.reading import (
    ANY_LANGUAGE,
    LONGEST_WORD,
    OTHER,
    WORD,
    Entry,
    Meaning,
    Reading,
    Token,
    Value,
    cut,
    key,
    keys,
    sign_of,
)

_FIRST_SIGN = 0xE000  # private use: no text's own character is a sign
_CASED = {"relative_lower": str.islower, "iso": str.isupper}
_WITHIN = ("of", "elided", "the", "joint", "and", "suffix")
_BESIDE = ("before_date", "before_month", "modifier", "modifier_after", "approx", "lead", "trail")
_ALONE = ("relative", "relative_lower", "day_part", "vague", "unit", "quarter", "week", "ignore")
_NUMBERED = ("weekday_short", "month_short", "multiplier")
_NAMED = ("currency", "cents")
_FIRST_TENS = 30
_Kinds = Mapping[str, Mapping[str, Value]]
_Phrases = dict[int, dict[tuple[str, ...], _Kinds]]
"""What follows a phrase's first token, by how many tokens that are, the most first."""
_MOST_SEEN = 50_000


@cache
def words() -> Mapping[str, Any]:
    """Return ``words.toml``."""
    return tomllib.loads((files("smallmesh.entities") / "words.toml").read_text(encoding="utf-8"))


def split(phrases: str) -> list[str]:
    """Return the phrases of one line of ``words.toml``."""
    return [phrase.strip() for phrase in phrases.split(",") if phrase.strip()]


def listed(kind: str) -> Mapping[str, frozenset[str]]:
    """Return what ``words.toml`` lists under one name, by language; a language without is empty."""
    return defaultdict(frozenset, {language: frozenset(split(section[kind])) for language, section in words().items() if kind in section})


class Vocabulary:
    """Phrases and their meanings, and the signs under which patterns know them."""

    def __init__(self, meanings: Iterable[Meaning]) -> None:
        """Take all meanings; of two values of one kind in one language the first counts."""
        known: dict[tuple[str, ...], dict[str, dict[str, Value]]] = {}
        for phrase, kind, value, language in meanings:
            known.setdefault(keys(phrase), {}).setdefault(kind, {}).setdefault(language, value)
        self._signs: dict[tuple[bool, frozenset[str]], str] = {}
        self._phrases: dict[str, _Phrases] = {}
        for phrase_keys, kinds in sorted(known.items(), key=lambda item: -len(item[0])):
            self._phrases.setdefault(phrase_keys[0], {}).setdefault(len(phrase_keys) - 1, {})[phrase_keys[1:]] = kinds
            for some in _subsets(kinds):
                self._sign(phrase_keys[-1], some)
        self._entries: dict[tuple[int, frozenset[str]], Entry] = {}
        self._seen: dict[str, tuple[str, _Phrases]] = {}

    def _sign(self, piece: str, kinds: Iterable[str]) -> str:
        is_word, found = piece[-1].isalpha(), frozenset(kinds)
        if not found:
            return WORD if is_word else OTHER
        return self._signs.setdefault((is_word, found), chr(_FIRST_SIGN + len(self._signs)))

    def signs_in(self, language: str, reading: Reading, first: int, last: int) -> str:
        """Return the signs of some tokens as a reader of one language alone would give them."""
        return "".join(self._sign_in(language, reading, index) for index in range(first, last))

    def _sign_in(self, language: str, reading: Reading, index: int) -> str:
        entry = reading.tokens[index].entry
        if entry is None:
            return reading.signs[index]
        return self._sign(reading.surface(index), _in_language(entry.meanings, language))

    def read(self, text: str) -> Reading:
        """Return the text's tokens, each of the longest phrase that is known where it stands."""
        pieces = cut(text)
        tokens: list[Token] = []
        signs: list[str] = []
        index = 0
        while index < len(pieces):
            start, end, piece = pieces[index]
            sign, phrases = self._looked_up(piece)
            entry = None
            for length, meanings in phrases.items():
                kinds = meanings.get(tuple(key(other) for _, _, other in pieces[index + 1 : index + 1 + length]))
                if kinds is not None:
                    index += length
                    entry = self._entry(piece, pieces[index][2], kinds)
                    sign, end = entry.sign, pieces[index][1]
                    break
            tokens.append(Token(start, end, entry))
            signs.append(sign)
            index += 1
        return Reading(text, tokens, "".join(signs))

    def _looked_up(self, piece: str) -> tuple[str, _Phrases]:
        """The sign of a token on its own, and the phrases that it may begin."""
        known = self._seen.get(piece)
        if known is None:
            known = sign_of(piece), self._phrases.get(key(piece), {})
            if len(piece) <= LONGEST_WORD and len(self._seen) < _MOST_SEEN:
                self._seen[piece] = known
        return known

    def _entry(self, first: str, last: str, kinds: _Kinds) -> Entry:
        dropped = frozenset(kind for kind, fits in _CASED.items() if kind in kinds and not fits(first))
        cached = self._entries.get((id(kinds), dropped))
        if cached is None:
            kept = {kind: meaning for kind, meaning in kinds.items() if kind not in dropped}
            cached = Entry(self._sign(last, kept), kept)
            self._entries[id(kinds), dropped] = cached
        return cached

    def pattern(self, template: str) -> re.Pattern[str]:
        """Compile a pattern over signs in which ``{kind}`` stands for every token that may mean it.

        ``{word}`` is any word, ``{number}`` any number, ``{S}`` white space within a line or over one line's end.
        """
        return re.compile(re.sub(r"\{([a-zA-Z_]+)\}", lambda found: self._set(found.group(1)), template))

    def _set(self, kind: str) -> str:
        if kind == "S":
            return "[ ~]"
        if kind == "number":
            return "[1-5]"
        if kind == "word":
            return "[A-Zw" + "".join(sign for (is_word, _), sign in self._signs.items() if is_word) + "]"
        return "[" + "".join(sign for (_, kinds), sign in self._signs.items() if kind in kinds) + "\uffff]"


def _in_language(kinds: _Kinds, language: str) -> Iterator[str]:
    return (kind for kind, values in kinds.items() if language in values or ANY_LANGUAGE in values)


def _subsets(kinds: _Kinds) -> Iterator[frozenset[str]]:
    """Every set of kinds that a reading may be left with: by the word's case, in one language."""
    cased = [frozenset(kinds), *(frozenset(kinds) - {kind} for kind in _CASED if kind in kinds)]
    languages = {language for values in kinds.values() for language in values}
    for some in cased:
        yield some
        yield from (some & frozenset(_in_language(kinds, language)) for language in languages)


def build(locales: Sequence[str], regions: Sequence[str]) -> Vocabulary:
    """Return the vocabulary of some locales; ``regions`` say what a bare "$" is."""
    from smallmesh.entities import locale_names  # noqa: PLC0415 - it loads Babel, which only an agent's process has

    languages = dict.fromkeys(locale.partition("_")[0] for locale in locales)
    sources = [_symbols(), *(_listed(language) for language in languages), locale_names.of(locales, regions)]
    return Vocabulary(meaning for source in sources for meaning in source)


def _symbols() -> Iterator[Meaning]:
    for code, phrases in words()["symbol"].items():
        yield from (Meaning(phrase, "symbol", code) for phrase in split(phrases))


def _listed(language: str) -> Iterator[Meaning]:
    section = words().get(language, {})
    for kind in (*_WITHIN, *_BESIDE, *_ALONE):
        yield from (Meaning(phrase, kind, 0, language) for phrase in split(section.get(kind, "")))
    for kind in (*_NUMBERED, *_NAMED):
        for value, phrases in section.get(kind, {}).items():
            yield from (Meaning(phrase, kind, value if kind in _NAMED else int(value), language) for phrase in split(phrases))
    for kind, list_, first, step in (("ordinal", "ordinal", 1, 1), ("quantity", "quantity", 1, 1), ("quantity", "tens", _FIRST_TENS, 10)):
        for number, forms in enumerate(split(section.get(list_, ""))):
            yield from (Meaning(form, kind, first + number * step, language) for form in forms.split("/"))
