"""A model port that says what it was told to say: for tests of an agent's function, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from smallmesh.agent import Language, TaggedWord, WindowScores
from smallmesh_contracts import ContractError, ErrorCode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


class StubModel:
    """A :class:`smallmesh.agent.Model` with answers given beforehand.

    What was not given it refuses, as a model does whose card says another way of answering.

    Attributes:
        read: Every text it was shown, in order.
    """

    def __init__(
        self,
        *,
        windows: Sequence[WindowScores] | None = None,
        words: Sequence[TaggedWord] | None = None,
        vectors: NDArray[np.float32] | None = None,
        written: str | None = None,
        language: Language = Language(),  # noqa: B008 - it is frozen
    ) -> None:
        """Give ``windows`` to ``classify``, ``words`` to ``tag``, ``vectors`` (one a text) to ``embed``, ``written`` to ``write``."""
        self.language = language
        self.read: list[str] = []
        self._windows = windows
        self._words = words
        self._vectors = vectors
        self._written = written

    async def classify(self, text: str, *, max_windows: int | None = None) -> Sequence[WindowScores]:
        """Return the windows given, at most ``max_windows`` of them."""
        self.read.append(text)
        return _given(self._windows, "classify")[:max_windows]

    async def tag(self, text: str) -> Sequence[TaggedWord]:
        """Return the words given."""
        self.read.append(text)
        return _given(self._words, "tag")

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors given."""
        self.read.extend(texts)
        if self._vectors is None:
            raise _refusal("embed")
        return self._vectors

    @property
    def writes(self) -> bool:
        """Whether a text was given to write."""
        return self._written is not None

    async def write(self, text: str, **fields: str | int) -> str:  # noqa: ARG002 - what is asked for was decided beforehand
        """Return the text given."""
        self.read.append(text)
        if self._written is None:
            raise _refusal("write")
        return self._written


def _given(answers: Sequence[T] | None, method: str) -> Sequence[T]:
    if answers is None:
        raise _refusal(method)
    return answers


def _refusal(method: str) -> ContractError:
    return ContractError(ErrorCode.MODEL_FAILED, f"this stub was given nothing to {method} with")
