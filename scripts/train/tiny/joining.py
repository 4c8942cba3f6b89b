"""Tokens of tagged sets as people write them, with the names that stand in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scripts.train.ner_data import TYPE_OF

_NO_SPACE_BEFORE = frozenset((".", ",", "!", "?", ";", ":", ")", "]", "%", "'s", "n't", "'re", "'ve", "'ll", "'d", "'m", "...", "'"))
_NO_SPACE_AFTER = frozenset(("(", "[", "$", "#", "£", "€"))


class Mention(NamedTuple):
    """A name of a text."""

    text: str
    kind: str


@dataclass(frozen=True)
class Sentence:
    """A text and its names in order."""

    text: str
    mentions: tuple[Mention, ...]

    def renamed(self, other: Callable[[Mention], str]) -> Sentence:
        """Return the sentence with each name replaced by what ``other`` says."""
        text, at, mentions = "", 0, []
        for mention in self.mentions:
            start = self.text.index(mention.text, at)
            new = other(mention)
            text += self.text[at:start] + new
            at = start + len(mention.text)
            mentions.append(Mention(new, mention.kind))
        return Sentence(text + self.text[at:], tuple(mentions))


def joined(tokens: Sequence[str], tags: Sequence[str], *, natural: bool) -> Sentence:
    """Return tokens with blanks between; ``natural`` leaves them out where people do."""
    text, begun, mentions = "", None, []
    for index, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
        if begun and not (tag.startswith("I-") and TYPE_OF.get(tag[2:])):
            mentions.append(Mention(text[begun[0] :], begun[1]))
            begun = None
        glued = index == 0 or (natural and (token in _NO_SPACE_BEFORE or tokens[index - 1] in _NO_SPACE_AFTER))
        text += "" if glued else " "
        if tag.startswith("B-") and (kind := TYPE_OF.get(tag[2:])):
            if begun:
                mentions.append(Mention(text[begun[0] :].rstrip(), begun[1]))
            begun = len(text), kind
        text += token
    if begun:
        mentions.append(Mention(text[begun[0] :], begun[1]))
    return Sentence(text, tuple(mentions))
