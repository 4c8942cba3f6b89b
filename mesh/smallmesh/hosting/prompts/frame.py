"""A rendered conversation as tokens: what all requests share, and places for what each one brings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from smallmesh.hosting.card import ModelError
from smallmesh.hosting.engine.port import Prompt, Vocabulary
from smallmesh.hosting.prompts.chat import BOS, EOS
from smallmesh.hosting.prompts.plain import PlainText

_PLACE = re.compile("\ue000([a-z_]+)\ue001")
_BEFORE = "\n"
"""Put before markup that goes on from a text: some vocabularies begin a text with a space that is not in it."""
_PROBE = "The"
"""A word by which is seen how a vocabulary cuts what follows some markup."""

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field goes.

    Attributes:
        field: Its name.
        spaces: Blanks of the template right before it: they belong to the first word, as vocabularies cut it.
        begins: Whether a text begins anew there, as some vocabularies have it after markup.
    """

    field: str
    spaces: str
    begins: bool

    def tokens(self, text: str, plain: PlainText) -> Sequence[int]:
        """Return a text's tokens as they stand there: plain text, whatever it says."""
        return plain.tokens(self.spaces + text, begins=self.begins)


@dataclass(frozen=True, slots=True)
class Special:
    """Ids of the tokens that templates name."""

    bos: int | None
    eos: int | None

    @classmethod
    def of(cls, metadata: Mapping[str, str], vocabulary: Vocabulary) -> "Special":
        """Read them from a GGUF's metadata."""
        bos = _id(metadata, "bos", vocabulary.bos)
        return cls(bos, _id(metadata, "eos", min(vocabulary.ends, default=None)))


class Frame:
    """A conversation in which only the fields of its last turns are open.

    Attributes:
        shared: Tokens of all that comes before the first of them.
        places: Where they go.
        plain: Cuts what fills them.

    What fills them is always plain text: a document that says ``<|im_end|>`` says these ten characters, and ends no turn.
    """

    def __init__(self, rendered: str, vocabulary: Vocabulary, special: Special, plain: PlainText | None = None) -> None:
        """Cut a rendered conversation at its markers; ``plain`` is another frame's for the same vocabulary.

        Raises:
            ModelError: A field stands there twice, or none does.
        """
        self._vocabulary = vocabulary
        self._special = special
        self.plain = plain or PlainText(vocabulary)
        literals, fields = _cut(rendered)
        first, *others = [literal.rstrip(" ") for literal in literals]
        self.shared = self._beginning(first)
        *self.places, self._answer = (self._place(field, literal) for field, literal in zip([*fields, "answer"], literals, strict=True))
        self._after = tuple(self._markup(other, goes_on=True) for other in others)

    @property
    def tokens(self) -> int:
        """How many there are without what fills the places."""
        return len(self.shared) + sum(map(len, self._after))

    def prompt(self, fields: Mapping[str, str]) -> Prompt:
        """Return the conversation with its fields filled in."""
        return Prompt(self.shared, tuple(self._own(fields)))

    def answer(self, text: str) -> Tokens:
        """Return the tokens of an answer, as it goes on from the prompt."""
        return tuple(self._answer.tokens(text, self.plain))

    def _own(self, fields: Mapping[str, str]) -> Iterator[int]:
        for place, after in zip(self.places, self._after, strict=True):
            yield from place.tokens(fields[place.field], self.plain)
            yield from after

    def _place(self, field: str, before: str) -> Place:
        """Return the place after some of the template's text, where the same tokens come as in one text with it."""
        markup = re.split(f"[{BOS}{EOS}]", before.rstrip(" "))[-1]
        spaces = before[len(before.rstrip(" ")) :]
        found = self._vocabulary.tokenize(markup + spaces + _PROBE, special=True)
        anew = Place(field, spaces, begins=True)
        tokens = anew.tokens(_PROBE, self.plain)
        return anew if found[-len(tokens) :] == tokens else Place(field, spaces, begins=False)

    def _beginning(self, markup: str) -> Tokens:
        tokens, bos = self._markup(markup, goes_on=False), self._vocabulary.bos
        return tokens if bos is None or tokens[:1] == (bos,) else (bos, *tokens)

    def _markup(self, text: str, *, goes_on: bool) -> Tokens:
        """Return the tokens of the template's own text, in which markup is markup."""
        tokens: list[int] = []
        for part in re.split(f"([{BOS}{EOS}])", text):
            if part in (BOS, EOS):
                tokens.append(self._named(part))
            elif part:
                tokens += self._goes_on(part) if goes_on and not tokens else self._vocabulary.tokenize(part, special=True)
        return tuple(tokens)

    def _goes_on(self, text: str) -> Sequence[int]:
        before = self._vocabulary.tokenize(_BEFORE)
        tokens = self._vocabulary.tokenize(_BEFORE + text, special=True)
        return tokens[len(before) :] if tokens[: len(before)] == before else self._vocabulary.tokenize(text, special=True)

    def _named(self, sign: str) -> int:
        token = self._special.bos if sign == BOS else self._special.eos
        if token is None:
            name = "bos" if sign == BOS else "eos"
            msg = f"the chat template names {name}_token, and the model's vocabulary has none (tokenizer.ggml.{name}_token_id)"
            raise ModelError(msg)
        return token


def _cut(rendered: str) -> tuple[list[str], list[str]]:
    """Return what stands before, between and after the fields, and the fields."""
    parts = _PLACE.split(rendered)
    literals, fields = parts[::2], parts[1::2]
    if not fields or len(set(fields)) < len(fields):
        msg = f"the chat template does not show each field of the input once, but: {', '.join(fields) or 'none'}"
        raise ModelError(msg)
    return literals, fields


def _id(metadata: Mapping[str, str], name: str, otherwise: int | None) -> int | None:
    found = metadata.get(f"tokenizer.ggml.{name}_token_id", "")
    return int(found) if found.isdecimal() else otherwise
