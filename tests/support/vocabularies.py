"""A small vocabulary like those of real models: all bytes, some longer tokens, control tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

BYTES = tuple(bytes([byte]) for byte in range(256))
WHOLE = tuple(bytes([byte]) for byte in range(128))
"""ASCII alone: a vocabulary of these cannot cut a character in two."""

LONGER = tuple(
    text.encode()
    for text in (
        *('",', '"}', '"]', '": ', '": "', ' "', '", "', '"}, {"', "}]", "]}", "[{", '["', "{}", ", ", '"the', '", "t', 'e", "'),
        *("the", " the", "ab", "abc", "a\\", "\\n", "\\u00", "\\ud8", "e9", '\\"', "12", "345", "-1", "0.", ".5", "00", "1, 2"),
        *("null", "true", "fal", "happy", "hap", "sad", "é", "日本", "é日", 'é"', "🙂", "\n", "\t", " " * 20),
    )
)
HALVES = (b"\xe6\x97", b"\xa5\xe6", b'\xa9"', b"\xc3\xa9\xc3", b"\xf0\x9f", b'"\xe6', b"\xed\xa0")
CONTROL = (b"", b"")
END = b"</s>"


@dataclass(frozen=True)
class SmallVocabulary:
    """Tokens made of ``pieces``; the last one ends a generation."""

    pieces: Sequence[bytes] = (*BYTES, *LONGER, *HALVES, *CONTROL, END)
    bos: int | None = None

    @property
    def size(self) -> int:
        return len(self.pieces)

    @property
    def ends(self) -> frozenset[int]:
        return frozenset({len(self.pieces) - 1})

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        return {piece: token for token, piece in enumerate(self.pieces) if piece and token not in self.ends}

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Take the longest token at each place."""
        del special
        raw, tokens = text.encode(), []
        while raw:
            piece = next(raw[:length] for length in range(len(raw), 0, -1) if raw[:length] in self._ids)
            tokens.append(self._ids[piece])
            raw = raw[len(piece) :]
        return tokens

    def tokenize_on(self, text: str) -> list[int]:
        return self.tokenize(text)

    def bytewise(self, text: str) -> list[int]:
        """Take one token a byte."""
        return [self._ids[bytes([byte])] for byte in text.encode()]
