"""What the engine stands on and what it gives: a decoder below, choices and generations above."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from smallmesh_contracts import Lane


class Row(NamedTuple):
    """One token of one pass.

    Attributes:
        token: Its id.
        position: Its place in its sequences, from 0.
        sequences: Which sequences it belongs to.
        wanted: Whether the logits after it are wanted.
    """

    token: int
    position: int
    sequences: tuple[int, ...]
    wanted: bool


class Outcome(Enum):
    """What became of a pass."""

    DONE = auto()
    NO_ROOM = auto()
    ABORTED = auto()


class Vocabulary(Protocol):
    """The tokens of a model."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def bos(self) -> int | None:
        """What a sequence begins with, where the model wants something."""

    @property
    def pieces(self) -> Sequence[bytes]:
        """The bytes of every token, in order of their ids; none of a control token."""

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a generation."""

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return a text's tokens; with ``special``, markup such as ``<|im_end|>`` is the token of that name."""

    def tokenize_on(self, text: str) -> list[int]:
        """Return the tokens of a text that goes on from another one."""


class Decoder(Protocol):
    """A loaded model with the keys and values of several sequences. All but ``abort`` is called by one thread."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokens."""

    @property
    def n_ctx(self) -> int:
        """Cells: tokens that all sequences may hold together, those they share counted once."""

    @property
    def n_ctx_trained(self) -> int:
        """Tokens that one sequence may hold, for the model was trained on no more."""

    @property
    def n_sequences(self) -> int:
        """Sequences that there may be; they are numbered from 0."""

    @property
    def n_batch(self) -> int:
        """Most rows of one pass."""

    @property
    def template(self) -> str | None:
        """The chat template that the file carries."""

    def metadata(self) -> Mapping[str, str]:
        """Return what else the file says of itself, as text."""

    def decode(self, rows: Sequence[Row]) -> Outcome:
        """Evaluate rows together; of a pass that is not ``DONE`` nothing is kept.

        Raises:
            RuntimeError: The model is not to be used any more.
        """

    def logits(self) -> NDArray[np.float32]:
        """The logits of the rows that wanted them, in their order, (rows, vocabulary); valid until the next pass."""

    def share(self, source: int, target: int, end: int) -> None:
        """Let an empty sequence begin with the first ``end`` tokens of another; with all of them, where the model has states."""

    def drop(self, sequence: int) -> None:
        """Forget a sequence."""

    def abort(self) -> None:
        """End the pass that is under way, where it can be taken back; called from any thread."""

    def close(self) -> None:
        """Free the model."""


class Constraint(Protocol):
    """What one generation may say next; made for it from a schema that was compiled when the process started."""

    @property
    def done(self) -> bool:
        """Whether the document is complete: nothing may follow."""

    def forced(self) -> str:
        """Return the text that must come now, as far as there is no choice; empty where there is one."""

    def allows(self, token: int) -> bool:
        """Tell whether a token may come now."""

    def mask(self) -> NDArray[np.bool_]:
        """Return which tokens may come now, (vocabulary,), one at least. Asked only where the likeliest is not allowed."""

    def take(self, token: int) -> None:
        """Go on by a token: one that is allowed, or one of the forced text."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens before an answer.

    Attributes:
        shared: A beginning that many requests have in common, special tokens included. It is evaluated once and kept.
        own: What follows in this one; one token at least.
    """

    shared: tuple[int, ...]
    own: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """How likely each of some labels is.

    Attributes:
        log_probabilities: One a label, in their order; their exponentials sum to 1.
        tokens: Tokens that were evaluated for it, those that it shares left out.
    """

    log_probabilities: tuple[float, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Generated:
    """What a model wrote.

    Attributes:
        text: The text.
        confidence: Under a constraint, the probability of each token that the model chose, in the whole vocabulary; forced tokens are
            none of them. It costs the exponentials of a whole vocabulary each time, so free text goes without.
        tokens: Tokens of the text, forced ones included.
        ended: ``end`` where the model, or the schema, came to its end; ``limit`` where it was cut off.
        starts: Where in the text the characters of each of those tokens begin, one for each of ``confidence``.
    """

    text: str
    confidence: tuple[float, ...]
    tokens: int
    ended: Literal["end", "limit"]
    starts: tuple[int, ...] = ()


class Engine(Protocol):
    """One model that answers many requests at a time. Cancelling a call ends its work before the next pass."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens."""

    @property
    def room(self) -> int:
        """Tokens that one request may take: its prompt, shared part included, and what it generates."""

    async def choose(self, prompt: Prompt, labels: Sequence[Sequence[int]], *, lane: Lane) -> Choice:
        """Return the probabilities of some labels, each given by its tokens, none a beginning of another.

        Nothing is generated: the probability of a label is the product of those of its tokens, each among the tokens
        that some label goes on with there. So a token that leaves no choice costs nothing, and long labels are no less likely.

        Raises:
            ContractError: ``too_long`` where it can never fit; ``model_failed``.
        """

    async def generate(
        self,
        prompt: Prompt,
        *,
        most: int,
        lane: Lane,
        constraint: Constraint | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Generated:
        """Write on from a prompt, always by the likeliest token.

        Args:
            prompt: What is written on from.
            most: Tokens after which it is cut off, forced ones included.
            lane: Whose turn it is.
            constraint: What may be said.
            on_text: Called on the event loop with each new part of the text.

        Raises:
            ContractError: ``too_long`` where it can never fit; ``model_failed``.
        """
