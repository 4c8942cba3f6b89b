"""Texts from anybody as tokens, none of which is markup."""

import re
from itertools import pairwise

from smallmesh.hosting.engine.port import Vocabulary

_MARKUP = re.compile(r"[^\w\s].*\w.*[^\w\s]", re.DOTALL)
"""Words between signs: the shape of ``<|im_end|>``, ``[INST]``, ``<tool_call>``, and of few ordinary tokens."""


class PlainText:
    """Cuts texts into tokens such that what looks like markup is letters and signs.

    Control tokens never come out of a text that is read as plain. But some vocabularies list their markup among the words that
    are known to users, and those are found in any text: they are cut apart here. The characters stay the same.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Find the tokens that have the shape of markup."""
        self._vocabulary = vocabulary
        spelled = ((token, piece.decode("utf-8", "ignore")) for token, piece in enumerate(vocabulary.pieces))
        self._markup = {token: text for token, text in spelled if _MARKUP.fullmatch(text)}

    def tokens(self, text: str, *, begins: bool = False) -> list[int]:
        """Return the tokens of a text that goes on from another one, or ``begins`` anew."""
        tokens = self._vocabulary.tokenize(text) if begins else self._vocabulary.tokenize_on(text)
        markup = {self._markup[token] for token in tokens if token in self._markup}
        parts = _cut(text, markup) if markup else [text]
        if len(parts) == 1:
            return tokens
        first, *others = parts
        return [*self.tokens(first, begins=begins), *(token for part in others for token in self.tokens(part))]


def _cut(text: str, markup: set[str]) -> list[str]:
    """Return a text in parts, none of which holds any of some words; all of them together are the text."""
    places = sorted({found.start() + 1 for word in markup for found in re.finditer(f"(?={re.escape(word)})", text)})
    return [text[start:end] for start, end in pairwise([0, *places, len(text)])]
