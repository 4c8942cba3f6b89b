"""Texts in windows: runs of whole words that fit one forward pass, with their offsets."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from smallmesh.hosting.words import Word, iter_words

SPECIAL_TOKENS = 2
MAX_WORD_CHARACTERS = 100
"""BERT's tokenizer takes a longer word for unknown; so do we, before it costs time."""
MAX_REPEATS = 8
"""Times that the same sign is read in a row; a rule of a thousand dashes says no more, and costs a thousand tokens."""
_CACHED_WORDS = 20_000
_Cut = tuple[Word, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Window:
    """Some words of a text and their tokens.

    Attributes:
        words: The words.
        tokens: All their pieces, without special tokens.
        firsts: Index into ``tokens`` of each word's first piece.
        new_from: Index into ``words`` of the first word that no earlier window held.
    """

    words: Sequence[Word]
    tokens: list[int]
    firsts: list[int]
    new_from: int = 0

    @property
    def start(self) -> int:
        """Offset of the first character."""
        return self.words[0].start

    @property
    def end(self) -> int:
        """Offset after the last character."""
        return self.words[-1].end


class Windower:
    """Cuts texts into windows by a model's own tokenizer."""

    def __init__(self, tokenize: Callable[[str], list[int]], window: int) -> None:
        """Use a tokenizer that adds no special tokens; ``window`` counts them."""
        self._room = window - SPECIAL_TOKENS
        unknown = tuple(tokenize("\u2603\u2603" * MAX_WORD_CHARACTERS)[:1])

        @lru_cache(maxsize=_CACHED_WORDS)
        def pieces(word: str) -> tuple[int, ...]:
            return unknown if len(word) > MAX_WORD_CHARACTERS else tuple(tokenize(word)) or unknown

        self._pieces = pieces

    def windows(self, text: str, *, overlap: int = 0) -> Iterator[Window]:
        """Yield the windows of a text, reading it no further than asked; none where it has no word.

        Args:
            text: The text.
            overlap: Tokens that a window repeats from the one before it.
        """
        held: list[_Cut] = []
        used = new_from = 0
        for word in _without_repeats(iter_words(text)):
            pieces = self._pieces(word.text)
            if held and used + len(pieces) > self._room:
                yield self._window(held, new_from)
                held = _tail(held, min(overlap, self._room - len(pieces)))
                used, new_from = _tokens_in(held), len(held)
            held.append((word, pieces))
            used += len(pieces)
        if held:
            yield self._window(held, new_from)

    def _window(self, held: Sequence[_Cut], new_from: int) -> Window:
        tokens: list[int] = []
        firsts: list[int] = []
        for _, pieces in held:
            firsts.append(len(tokens))
            tokens.extend(pieces)
        return Window([word for word, _ in held], tokens[: self._room], firsts, new_from)


def _without_repeats(words: Iterable[Word]) -> Iterator[Word]:
    sign, times = "", 0
    for word in words:
        times = times + 1 if word.text == sign else 0
        sign = word.text if len(word.text) == 1 else ""
        if times < MAX_REPEATS:
            yield word


def _tail(held: Sequence[_Cut], room: int) -> list[_Cut]:
    """Return the last words that have at most ``room`` tokens together, but never all of them."""
    start, used = len(held), 0
    while start > 1 and used + len(held[start - 1][1]) <= room:
        start -= 1
        used += len(held[start][1])
    return list(held[start:])


def _tokens_in(held: Sequence[_Cut]) -> int:
    return sum(len(pieces) for _, pieces in held)
