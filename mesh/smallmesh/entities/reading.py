"""A text as tokens with exact offsets, each with one sign for what it is: rules are patterns over the signs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(r"\d+|[^\W\d_]+(?:[\u0300-\u036f]+[^\W\d_]*)*|\s+|.", re.DOTALL)
_LONGEST_SPACE = 8
LONGEST_WORD = 40
"""Characters; no word of a vocabulary is longer."""
_MOST_DIGITS = 5

# Signs of tokens that no vocabulary knows. Digits are signed "1" to "5" by their count (5: or more), punctuation by itself.
WORD, OTHER, SPACE, BREAK, GAP = "w", "x", " ", "~", "\n"
PUNCTUATION = {
    **{sign: sign for sign in ".,:/()"},
    **dict.fromkeys("'\u2019\u02bc", "'"),
    **dict.fromkeys("-\u2010\u2011\u2212", "-"),
    **dict.fromkeys("\u2013\u2014", "\u2013"),
    "_": "_",
    "#": "#",
    "@": "@",
    "+": "+",
    "%": "%",
    "\u00a9": "\u00a9",
}


Value = int | str
ANY_LANGUAGE = ""


class Meaning(NamedTuple):
    """One meaning of a phrase; the value tells the number of a month, the code of a currency and the like."""

    phrase: str
    kind: str
    value: Value = 0
    language: str = ANY_LANGUAGE


class Entry(NamedTuple):
    """What a word or phrase means: its value by kind and language, and the sign that stands for this set of kinds."""

    sign: str
    meanings: Mapping[str, Mapping[str, Value]]


class Token(NamedTuple):
    """One token; a phrase of the vocabulary is one too. ``text[start:end]`` of the source are its characters."""

    start: int
    end: int
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A text and its tokens; ``signs[i]`` is the sign of ``tokens[i]``."""

    text: str
    tokens: Sequence[Token]
    signs: str

    def surface(self, index: int) -> str:
        """Return the characters of a token."""
        token = self.tokens[index]
        return self.text[token.start : token.end]


def key(token: str) -> str:
    """Return the form of a token in which a vocabulary knows it: composed, in small letters; white space of one kind."""
    return _key(token) if len(token) <= LONGEST_WORD else token


@lru_cache(maxsize=16_384)
def _key(token: str) -> str:
    if token.isspace():
        return GAP if _sign_of_space(token) == GAP else SPACE
    return token.lower() if token.isascii() else unicodedata.normalize("NFC", token).lower()


def keys(phrase: str) -> tuple[str, ...]:
    """Return the keys of a phrase's tokens."""
    return tuple(key(piece) for _, _, piece in cut(phrase))


def cut(text: str) -> list[tuple[int, int, str]]:
    """Return the text's tokens as start, end and characters; together they are the text."""
    return [(match.start(), match.end(), match.group()) for match in _TOKEN.finditer(text)]


def sign_of(token: str) -> str:
    """Return the sign of a token that no vocabulary knows; a single letter is its own, in upper case."""
    first = token[0]
    if first.isalpha():
        return first.upper() if len(token) == 1 and first.isascii() else WORD
    if first.isdecimal():
        return str(min(len(token), _MOST_DIGITS))
    return _sign_of_space(token) if first.isspace() else PUNCTUATION.get(token, OTHER)


def _sign_of_space(token: str) -> str:
    if token == SPACE:
        return SPACE
    breaks = len(f"{token[: _LONGEST_SPACE + 1]}x".splitlines()) - 1
    if breaks > 1 or len(token) > _LONGEST_SPACE:
        return GAP
    return SPACE if breaks == 0 and len(token) == 1 else BREAK
