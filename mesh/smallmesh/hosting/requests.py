"""How a request is shown to the router's model. Training and serving both use this one function."""

from __future__ import annotations

TEXT_CHARACTERS = 2_000
"""Of the text, as much as is shown: enough for any first window; more would only cost time in the tokenizer."""
# The instruction comes first and leaves room for the beginning of the text.
_INSTRUCTION_CHARACTERS = 600
_LENGTHS = ((15, "tiny"), (50, "short"), (150, "middling"), (500, "long"))
_LONGEST = "very long"


def length_word(text: str) -> str:
    """The size of a text in one word, by its count of words: tiny (to 15), short (50), middling (150), long (500), very long."""
    count = len(text[:20_000].split())
    return next((name for limit, name in _LENGTHS if count <= limit), _LONGEST)


def render_request(instruction: str | None, text: str) -> str:
    """The request as one text: the instruction (or "none"), the text's length in a word, the beginning of the text."""
    asked = (instruction or "").strip()[:_INSTRUCTION_CHARACTERS] or "none"
    return f"Instruction: {asked}\nLength: {length_word(text)}\nText: {text.strip()[:TEXT_CHARACTERS]}"
