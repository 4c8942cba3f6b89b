"""Texts in windows of a model's own tokens: whole sentences where they fit, whole words else."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from smallmesh.hosting.sentences import split_sentences

LEAST = 64
"""Tokens a window has room for at least: sixteen of any characters."""
_WORD = re.compile(r"\S{1,80}")
_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")
_RUNS = re.compile(r"([^\w\s])\1{8,}")
_HALVED = 40
"""Tokens of a window that may be halved: some ten names."""
_SEAM = 2
"""Tokens that a unit may cost more between others than alone."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text as the model is shown it.

    Attributes:
        start: Offset of its first character in the text.
        end: Offset after its last.
        shown: The part, squeezed.
        tokens: How many tokens ``shown`` has.
    """

    start: int
    end: int
    shown: str
    tokens: int


@dataclass(frozen=True, slots=True)
class _Unit:
    start: int
    end: int
    tokens: int


def squeeze(text: str) -> str:
    """Return a text without what says nothing and costs tokens: runs of blanks, empty lines, rules of a thousand dashes."""
    return _RUNS.sub(lambda run: run[1] * 8, _LINES.sub("\n", _BLANKS.sub(" ", text)).strip())


class Windower:
    """Cuts texts by a model's own tokenizer."""

    def __init__(self, tokenize: Callable[[str], list[int]], room: int) -> None:
        """Use a tokenizer for texts that go on from others; ``room`` is the most tokens of a window.

        Raises:
            ValueError: There is room for less than ``LEAST``.
        """
        if room < LEAST:
            raise ValueError(f"a window needs room for {LEAST} tokens, and there is room for {room}")
        self._tokenize = tokenize
        self.room = room

    def windows(self, text: str) -> Iterator[Window]:
        """Yield the windows of a text; together they hold all of its words, each once."""
        return self._together(text, self._units(text, 0, self.room), self.room)

    def halves(self, text: str, window: Window) -> list[Window]:
        """Return a window as two or more smaller ones; itself alone where it has too few tokens."""
        if window.tokens < _HALVED:
            return [window]
        room = window.tokens // 2 + 1
        return list(self._together(text, self._units(text[window.start : window.end], window.start, room), room))

    def tokens(self, text: str) -> int:
        """Return how many tokens a text has."""
        return len(self._tokenize(text))

    def _together(self, text: str, units: Iterator[_Unit], room: int) -> Iterator[Window]:
        held: list[_Unit] = []
        used = 0
        for unit in units:
            if held and used + unit.tokens > room:
                yield self._window(text, held)
                held, used = [], 0
            held.append(unit)
            used += unit.tokens + _SEAM
        if held:
            yield self._window(text, held)

    def _window(self, text: str, held: list[_Unit]) -> Window:
        start, end = held[0].start, held[-1].end
        shown = squeeze(text[start:end])
        return Window(start, end, shown, self.tokens(shown))

    def _units(self, text: str, base: int, room: int) -> Iterator[_Unit]:
        for sentence in split_sentences(text):
            tokens = self.tokens(squeeze(sentence.text))
            if tokens <= room:
                yield _Unit(base + sentence.start, base + sentence.end, tokens)
            else:
                yield from self._words(sentence.text, base + sentence.start, room)

    def _words(self, text: str, base: int, room: int) -> Iterator[_Unit]:
        for word in _WORD.finditer(text):
            tokens = self.tokens(" " + word.group())
            if tokens <= room:
                yield _Unit(base + word.start(), base + word.end(), tokens)
            else:
                yield from self._pieces(word.group(), base + word.start(), room // 5)

    def _pieces(self, word: str, base: int, characters: int) -> Iterator[_Unit]:
        for at in range(0, len(word), characters):
            piece = word[at : at + characters]
            yield _Unit(base + at, base + at + len(piece), self.tokens(" " + piece))
