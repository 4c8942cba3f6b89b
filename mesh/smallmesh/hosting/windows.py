"""Texts in windows: runs of whole words that fit one forward pass, with their offsets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from smallmesh.hosting.words import Word, split_words

SPECIAL_TOKENS = 2
MAX_WORD_CHARACTERS = 100
"""BERT's tokenizer takes a longer word for unknown; so do we, before it costs time."""
_CACHED_WORDS = 20_000


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

    def windows(self, text: str, *, overlap: int = 0, limit: int | None = None) -> list[Window]:
        """Return the windows of a text; none where it has no word.

        Args:
            text: The text.
            overlap: Tokens that a window repeats from the one before it.
            limit: Stop after so many windows.
        """
        words = split_words(text)
        pieces = [self._pieces(word.text) for word in words]
        found: list[Window] = []
        start = new_from = 0
        while start < len(words) and (limit is None or len(found) < limit):
            end, used = start, 0
            while end < len(words) and used + len(pieces[end]) <= self._room:
                used += len(pieces[end])
                end += 1
            end = max(end, start + 1)
            found.append(self._window(words[start:end], pieces[start:end], new_from - start))
            if end == len(words):
                break
            new_from = end
            back = 0
            while end > start + 1 and back + len(pieces[end - 1]) <= overlap:
                back += len(pieces[end - 1])
                end -= 1
            start = end
        return found

    def _window(self, words: Sequence[Word], pieces: Sequence[tuple[int, ...]], new_from: int) -> Window:
        tokens: list[int] = []
        firsts: list[int] = []
        for piece in pieces:
            firsts.append(len(tokens))
            tokens.extend(piece)
        return Window(words, tokens[: self._room], firsts, new_from)
