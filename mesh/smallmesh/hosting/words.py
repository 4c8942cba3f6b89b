"""Words of a text with exact offsets, and what their case says. Training and serving both use this module."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_CHUNK = re.compile(r"\S+")
# Beyond category P, BERT takes every ASCII sign for punctuation ("$", "+", "<", "=", ">", "^", "`", "|", "~").
_ASCII_SIGNS = frozenset("$+<=>^`|~")
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_TERMINAL = frozenset(".!?\u2026\u3002\uff01\uff1f")


MAX_CHUNK_CHARACTERS = 500
"""No sentence in ASCII goes on for so long without white space: a blob, which counts as one word, not as thousands of tokens."""


class Word(NamedTuple):
    """One word or one punctuation sign; ``source[start:end] == text``."""

    text: str
    start: int
    end: int


@lru_cache(maxsize=4096)
def _stands_alone(character: str) -> bool:
    if character in _ASCII_SIGNS or unicodedata.category(character).startswith("P"):
        return True
    return any(low <= ord(character) <= high for low, high in _IDEOGRAPHS)


@lru_cache(maxsize=4096)
def _vanishes(character: str) -> bool:
    """Whether BERT's tokenizer drops the character: control and format signs, the replacement sign."""
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf")


def split_words(text: str) -> list[Word]:
    """The words of ``text`` in order: cut at white space, around every punctuation sign and every CJK ideograph.

    The same cuts as BERT's basic tokenizer makes, but nothing is lower-cased or normalised, so offsets are exact.
    Runs that its tokenizer drops whole (control signs) are no words.
    """
    return list(iter_words(text))


def iter_words(text: str) -> Iterator[Word]:
    """Yield the words of :func:`split_words` one by one, reading the text no further than asked."""
    for match in _CHUNK.finditer(text):
        chunk, base = match.group(), match.start()
        if chunk.isascii() and (chunk.isalnum() or len(chunk) > MAX_CHUNK_CHARACTERS):
            yield Word(chunk, base, base + len(chunk))
        else:
            yield from _cut(chunk, base)


def _cut(chunk: str, base: int) -> list[Word]:
    words: list[Word] = []
    start = 0
    for index, character in enumerate(chunk):
        if _stands_alone(character):
            _keep(words, chunk, start, index, base)
            words.append(Word(character, base + index, base + index + 1))
            start = index + 1
    _keep(words, chunk, start, len(chunk), base)
    return words


def _keep(words: list[Word], chunk: str, start: int, end: int, base: int) -> None:
    piece = chunk[start:end]
    if piece and (piece.isalnum() or not all(_vanishes(character) for character in piece)):
        words.append(Word(piece, base + start, base + end))


# --- case ---------------------------------------------------------------------------------------------------------

CASES = ("lower", "title", "capital", "upper", "mixed", "number", "terminal", "sign", "none")
"""Case of a word: one capital letter alone is ``capital``; ``none`` stands for no neighbour."""

_STYLE_FEATURES = 4
CASE_FEATURES = 3 * len(CASES) + _STYLE_FEATURES
"""Columns of :func:`case_features`: the word's own case, the previous, the next (one-hot), then four style flags."""


@lru_cache(maxsize=16384)
def word_case(text: str) -> str:
    """Which of ``CASES`` a word is."""
    if text.islower():
        return "lower"
    if text.isupper():
        return "capital" if sum(map(str.isalpha, text)) == 1 else "upper"
    if any(map(str.isalpha, text)):
        return "title" if text[:1].isupper() and not any(map(str.isupper, text[1:])) else "mixed"
    if any(map(str.isdigit, text)):
        return "number"
    return "terminal" if text in _TERMINAL else "sign"


def case_features(words: Sequence[Word]) -> NDArray[np.float32]:
    """What the case of each word and of its surroundings says, (len(words), CASE_FEATURES), zeros and ones.

    The style flags are: no capital letter, no small letter; first in the word's sentence (cut at terminal
    punctuation), then in all words given. They tell a small-letter name in a chat from a common noun.
    """
    cases = [CASES.index(word_case(word.text)) for word in words]
    none, width = CASES.index("none"), len(CASES)
    features = np.zeros((len(words), CASE_FEATURES), np.float32)
    rows = np.arange(len(words))
    for block, column in enumerate((cases, [none, *cases[:-1]], [*cases[1:], none])):
        features[rows, block * width + np.array(column[: len(words)], dtype=np.intp)] = 1
    features[:, 3 * width + 2 :] = _style(cases)
    start = 0
    for index, case in enumerate(cases):
        if CASES[case] == "terminal" or index == len(cases) - 1:
            features[start : index + 1, 3 * width : 3 * width + 2] = _style(cases[start : index + 1])
            start = index + 1
    return features


def _style(cases: Sequence[int]) -> tuple[bool, bool]:
    seen = {CASES[case] for case in cases}
    return not seen & {"title", "capital", "upper", "mixed"}, not seen & {"lower", "title", "mixed"}
