"""Requests in hand: which tokens each wants evaluated next, and what it makes of their logits."""

import codecs
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smallmesh.hosting.engine.labels import Labels, Path
from smallmesh.hosting.engine.port import Choice, Constraint, Generated, Prompt, Row, Vocabulary
from smallmesh_contracts import Lane

Logits = NDArray[np.float32]


class Run(ABC):
    """One request in hand of the engine.

    Attributes:
        prompt: What it is about.
        lane: Whose turn it is.
        cells: Most tokens it holds at a time, those it shares left out.
        n_sequences: Sequences it needs.
        sequences: Those it has; none while it waits.
        future: Where its result goes.
    """

    def __init__(self, prompt: Prompt, lane: Lane, *, cells: int, n_sequences: int = 1) -> None:
        """Prepare."""
        self.prompt = prompt
        self.lane = lane
        self.cells = cells
        self.n_sequences = n_sequences
        self.sequences: tuple[int, ...] = ()
        self.future: Future[Any] = Future()
        self.at = 0

    @property
    def generating(self) -> bool:
        """Whether it has read its prompt and wants a token or a few at a time."""
        return False

    @property
    def finished(self) -> bool:
        """Whether nobody waits for it any more: it has its result, or was cancelled."""
        return self.future.done()

    def give(self, result: object) -> None:
        """Give the result to whoever waits; nothing where nobody does any more."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_result(result)

    def fail(self, why: Exception) -> None:
        """Give an error instead."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(why)

    def rewind(self) -> None:
        """Have its sequences taken away: all is to be evaluated again."""
        self.sequences, self.at = (), 0

    def begin(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what comes before the first pass, on the engine's thread."""

    @abstractmethod
    def rows(self, most: int) -> list[Row]:
        """Return what is to be evaluated next; nothing changes until :meth:`evaluated`."""

    @abstractmethod
    def evaluated(self, rows: Sequence[Row], logits: Logits) -> None:
        """Go on: these rows were evaluated, and these are the logits of those that were wanted."""


class Reading(Run):
    """A beginning that requests share: evaluated and kept, no more."""

    def __init__(self, shared: tuple[int, ...], lane: Lane) -> None:
        """Read a beginning on behalf of whoever waits for it."""
        super().__init__(Prompt((), shared), lane, cells=len(shared))

    def rows(self, most: int) -> list[Row]:
        """Return the next part of it."""
        part = self.prompt.own[self.at : self.at + most]
        return [Row(token, self.at + index, self.sequences, wanted=False) for index, token in enumerate(part)]

    def evaluated(self, rows: Sequence[Row], logits: Logits) -> None:  # noqa: ARG002 - none were wanted
        """Go on."""
        self.at += len(rows)
        if self.at == len(self.prompt.own):
            self.give(None)


class Choosing(Run):
    """The probabilities of some labels: the prompt once, and beside it the few tokens after which labels part."""

    def __init__(self, prompt: Prompt, labels: Labels, lane: Lane) -> None:
        """Prepare to evaluate the forks of some labels."""
        self._labels = labels
        self._chains = labels.chains()
        tokens = len(prompt.own) + sum(map(len, self._chains))
        super().__init__(prompt, lane, cells=tokens, n_sequences=max(1, len(self._chains)))
        self._tokens = tokens
        self._found: dict[Path, Logits] = {}
        self._rows: list[tuple[Row, Path | None]] = []

    def rows(self, most: int) -> list[Row]:
        """Return the next part of the prompt and the chains."""
        if not self._rows:
            self._rows = self._laid_out()
        return [row for row, _ in self._rows[self.at : self.at + most]]

    def rewind(self) -> None:
        """Forget which sequences the rows were laid out for."""
        super().rewind()
        self._rows, self._found = [], {}

    def evaluated(self, rows: Sequence[Row], logits: Logits) -> None:
        """Keep what the forks say; with the last of them the choice is made."""
        forks = [fork for _, fork in self._rows[self.at : self.at + len(rows)] if fork is not None]
        for fork, values in zip(forks, logits, strict=True):
            self._found[fork] = values[list(self._labels.forks[fork])].copy()
        self.at += len(rows)
        if self.at == len(self._rows):
            self.give(Choice(self._labels.log_probabilities(self._found), self._tokens))

    def _laid_out(self) -> list[tuple[Row, Path | None]]:
        own, start = self.prompt.own, len(self.prompt.shared)
        forks = set(self._labels.forks)
        laid = [(Row(token, start + index, self.sequences, wanted=False), None) for index, token in enumerate(own)]
        found: list[tuple[Row, Path | None]] = list(laid)
        if () in forks:
            found[-1] = (laid[-1][0]._replace(wanted=True), ())
            forks.discard(())
        for sequence, chain in zip(self.sequences, self._chains, strict=False):
            for index, token in enumerate(chain):
                fork = chain[: index + 1]
                wanted = fork in forks
                forks.discard(fork)
                found.append((Row(token, start + len(own) + index, (sequence,), wanted=wanted), fork if wanted else None))
        return found


class Generating(Run):
    """A text, written by the likeliest token, under a constraint where there is one."""

    def __init__(  # noqa: PLR0913 - made in one place, from what only that place has
        self,
        prompt: Prompt,
        vocabulary: Vocabulary,
        lane: Lane,
        *,
        most: int,
        constraint: Constraint | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare to write ``most`` tokens at most."""
        super().__init__(prompt, lane, cells=len(prompt.own) + most)
        self._vocabulary = vocabulary
        self._most = most
        self._constraint = constraint
        self._on_text = on_text
        self._tokens = list(prompt.own)
        self._confidence: list[float] = []
        self._starts: list[int] = []
        self._text: list[str] = []
        self._length = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def begin(self) -> None:
        """Write what must come first."""
        self._force()

    @property
    def generating(self) -> bool:
        """Whether it has read its prompt."""
        return self.at >= len(self.prompt.own)

    def rows(self, most: int) -> list[Row]:
        """Return the tokens that are not evaluated yet; after the last of them it chooses the next."""
        start = len(self.prompt.shared)
        part = self._tokens[self.at : self.at + most]
        last = len(self._tokens) - 1
        return [Row(token, start + at, self.sequences, wanted=at == last) for at, token in enumerate(part, self.at)]

    def evaluated(self, rows: Sequence[Row], logits: Logits) -> None:
        """Choose the next token, once all before it are evaluated."""
        self.at += len(rows)
        if self.at == len(self._tokens):
            self._choose(logits[0])

    def _choose(self, logits: Logits) -> None:
        token = int(logits.argmax())
        if self._constraint is not None:
            token = self._choose_allowed(self._constraint, token, logits)
        elif token in self._vocabulary.ends:
            self._end("end")
            return
        self._write(token)
        self._force()

    def _choose_allowed(self, constraint: Constraint, likeliest: int, logits: Logits) -> int:
        token = likeliest
        if not constraint.allows(token):
            allowed = np.flatnonzero(constraint.mask())
            token = int(allowed[logits[allowed].argmax()])
        top = float(logits[likeliest])
        self._starts.append(self._length)
        self._confidence.append(float(np.exp(logits[token] - top) / np.exp(logits - top).sum()))
        constraint.take(token)
        return token

    def _force(self) -> None:
        """Write what must come now; end where nothing may, or no more will."""
        constraint = self._constraint
        if constraint is not None:
            for token in self._vocabulary.tokenize_on(constraint.forced())[: self._left]:
                constraint.take(token)
                self._write(token)
            if constraint.done:
                self._end("end")
                return
        if not self._left:
            self._end("limit")

    @property
    def _left(self) -> int:
        """Tokens that may still be written."""
        return self._most - (len(self._tokens) - len(self.prompt.own))

    def _write(self, token: int) -> None:
        self._tokens.append(token)
        text = self._decoder.decode(self._vocabulary.pieces[token])
        if text:
            self._text.append(text)
            self._length += len(text)
            if self._on_text is not None:
                self._on_text(text)

    def _end(self, ended: Literal["end", "limit"]) -> None:
        rest = self._decoder.decode(b"", final=ended == "end")
        written = len(self._tokens) - len(self.prompt.own)
        self.give(Generated("".join([*self._text, rest]), tuple(self._confidence), written, ended, tuple(self._starts)))
