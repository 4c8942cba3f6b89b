"""A pydantic model, compiled: it begins generations and validates what they wrote."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticUserError

from smallmesh.hosting.engine.port import Constraint, Vocabulary
from smallmesh.hosting.schema.errors import OutputError, SchemaError
from smallmesh.hosting.schema.grammar import Value
from smallmesh.hosting.schema.reader import read
from smallmesh.hosting.schema.states import DONE, State
from smallmesh.hosting.schema.tokens import Mask, Tokens

M = TypeVar("M", bound=BaseModel)

_NEEDED = frozenset(map(chr, range(0x20, 0x7F)))
"""Without these, the vocabulary might leave nothing to say inside a string."""


class Schema(Generic[M]):
    """A model's schema over a vocabulary, compiled. It is not changed by use, and any number of generations share it.

    Attributes:
        model_type: The model.
        longest: Most characters of a document, each of a string's taken as an escape of six.
    """

    def __init__(self, model_type: type[M], vocabulary: Vocabulary, tokens: Tokens, value: Value) -> None:
        """Hold what :meth:`of` made."""
        self.model_type = model_type
        self.longest = value.longest
        self._vocabulary = vocabulary
        self._tokens = tokens
        self._start = value.enter(DONE)

    @classmethod
    def of(cls, model_type: type[M], vocabulary: Vocabulary) -> "Schema[M]":
        """Compile a model.

        Raises:
            SchemaError: No grammar can be made of it, or the vocabulary cannot write its documents.
        """
        name, tokens = model_type.__name__, Tokens.of(vocabulary)
        if missing := sorted(character for character in _NEEDED if not tokens.can_write(character)):
            raise SchemaError(name, "", "vocabulary", f"it has no token of its own for {' '.join(missing)}")
        try:
            document = model_type.model_json_schema()
        except PydanticUserError as error:
            raise SchemaError(name, "", "type", error.message) from error
        schema = cls(model_type, vocabulary, tokens, read(name, document, vocabulary, tokens))
        tokens.warm()
        return schema

    def begin(self) -> Constraint:
        """Return the constraint of a new generation."""
        return _Generation(self._vocabulary, self._tokens, self._start)

    def validate(self, text: str) -> M:
        """Return the document that a text is.

        Raises:
            OutputError: It is none.
        """
        try:
            return self.model_type.model_validate_json(text)
        except ValidationError as error:
            raise OutputError([_reason(one) for one in error.errors(include_input=False, include_context=False)]) from None


def _reason(error: Any) -> str:
    """Place and kind; not the message, and not a key that the model does not know: they may hold the text's own words."""
    place = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    return f"{''.join(f'/{part}' for part in place)}: {error['type']}" if place else error["type"]


class _Generation:
    """How far one document is; a :class:`smallmesh.hosting.engine.port.Constraint`."""

    def __init__(self, vocabulary: Vocabulary, tokens: Tokens, state: State) -> None:
        self._pieces = vocabulary.pieces
        self._tokens = tokens
        self._state = state
        self._tried: tuple[int, State | None] = (-1, None)

    @property
    def done(self) -> bool:
        return self._state is DONE

    def forced(self) -> str:
        """Return what must come now, whole characters only."""
        forced, state = bytearray(), self._state
        while len(firsts := state.firsts()) == 1:
            (byte,) = firsts
            after = state.step(byte)
            if after is None:
                break
            forced.append(byte)
            state = after
        return _whole(bytes(forced))

    def allows(self, token: int) -> bool:
        """Tell whether all bytes of a token may come now; it may end anywhere, also inside a character."""
        piece = self._tokens.usable[token]
        after = self._run(piece) if piece else None
        self._tried = (token, after)
        return after is not None

    def mask(self) -> Mask:
        """Return every token that is allowed."""
        return self._tokens.mask(self._state)

    def take(self, token: int) -> None:
        """Go on by a token.

        Raises:
            ValueError: It may not come now.
        """
        tried, after = self._tried
        if tried != token or after is None:
            piece = self._pieces[token]
            after = self._run(piece) if piece else None
        if after is None:
            raise ValueError(f"token {token} may not come here")
        self._state = after
        self._tried = (-1, None)

    def _run(self, piece: bytes) -> State | None:
        state: State | None = self._state
        for byte in piece:
            state = state.step(byte) if state is not None else None
        return state


def _whole(raw: bytes) -> str:
    """Return the text up to a character that is not whole; nothing where the first is not."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        return raw[: error.start].decode()
