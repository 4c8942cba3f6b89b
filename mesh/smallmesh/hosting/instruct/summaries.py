"""What a model wrote, as whole sentences."""

from typing import Literal

from smallmesh.hosting.sentences import split_sentences

CUT = " \u2026"
"""Ends a text of one sentence that was cut off."""


def whole_sentences(text: str, ended: Literal["end", "limit"]) -> str:
    """Return a text without its last sentence where that was cut off; a single one is kept and ends in an ellipsis."""
    text = text.strip()
    if ended == "end" or not text:
        return text
    sentences = split_sentences(text)
    return text[: sentences[-2].end] if len(sentences) > 1 else text + CUT
