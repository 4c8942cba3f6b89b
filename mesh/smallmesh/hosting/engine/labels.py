"""Labels as a tree of tokens: where they part, and how likely each is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """Some labels by their tokens, none the beginning of another.

    Attributes:
        paths: Each label's tokens.
        forks: For each beginning after which labels part: the tokens that some label goes on with.
    """

    paths: tuple[Path, ...]
    forks: Mapping[Path, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        """See where they part.

        Raises:
            ValueError: There is none, an empty one, or one that begins another.
        """
        if not self.paths or not all(self.paths):
            raise ValueError("labels have one token at least, and there is one label at least")
        goes_on: dict[Path, dict[int, None]] = {}
        for path in self.paths:
            for length, token in enumerate(path):
                goes_on.setdefault(path[:length], {})[token] = None
        if len(set(self.paths)) < len(self.paths) or any(path in goes_on for path in self.paths):
            raise ValueError("a label is the beginning of another one")
        object.__setattr__(self, "forks", {at: tuple(tokens) for at, tokens in goes_on.items() if len(tokens) > 1})

    def chains(self) -> list[Path]:
        """Return the longest beginnings after which labels part, the empty one left out: what has to be evaluated beside the prompt."""
        forks = [fork for fork in self.forks if fork]
        return [fork for fork in forks if not any(other[: len(fork)] == fork for other in forks if other != fork)]

    def log_probabilities(self, logits: Mapping[Path, NDArray[np.float32]]) -> tuple[float, ...]:
        """Return each label's, given the logits of the tokens that each fork goes on with, in the fork's order."""
        steps = {fork: dict(zip(self.forks[fork], _log_softmax(values), strict=True)) for fork, values in logits.items()}
        return tuple(sum(self._steps(path, steps), 0.0) for path in self.paths)

    @staticmethod
    def _steps(path: Path, steps: Mapping[Path, Mapping[int, float]]) -> Iterator[float]:
        for length, token in enumerate(path):
            if path[:length] in steps:
                yield steps[path[:length]][token]


def _log_softmax(values: NDArray[np.float32]) -> Sequence[float]:
    shifted = values.astype(np.float64) - float(values.max())
    found: list[float] = (shifted - np.log(np.exp(shifted).sum())).tolist()
    return found
