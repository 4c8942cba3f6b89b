"""The token-classification head: word vectors and case features to BIO labels. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smallmesh.hosting.gguf_meta import read_metadata
from smallmesh.hosting.words import Word, case_features

PREFIX = "smallmesh.tagger."
TYPES = ("PERSON", "ORGANIZATION", "LOCATION")
LABELS = ("O", *(f"{edge}-{kind}" for kind in TYPES for edge in ("B", "I")))

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class TagHead:
    """One GELU layer and one linear layer over a word's first vector and its case features.

    Attributes:
        hidden_weight: (hidden, n_embd + CASE_FEATURES).
        hidden_bias: (hidden,).
        output_weight: (labels, hidden).
        output_bias: (labels,).
        labels: BIO labels, "O" among them.
    """

    hidden_weight: Matrix
    hidden_bias: Matrix
    output_weight: Matrix
    output_bias: Matrix
    labels: tuple[str, ...] = LABELS

    @classmethod
    def from_gguf(cls, path: Path) -> TagHead:
        """The head kept in the metadata arrays of ``path``; ValueError where they are missing or do not fit."""
        metadata = read_metadata(path)
        try:
            parts = {name: np.array(metadata[PREFIX + name], np.float32) for name in ARRAYS}
            labels = tuple(str(metadata[PREFIX + "labels"]).split(","))
            hidden, count = len(parts["hidden_bias"]), len(labels)
            return cls(
                parts["hidden_weight"].reshape(hidden, -1),
                parts["hidden_bias"],
                parts["output_weight"].reshape(count, hidden),
                parts["output_bias"].reshape(count),
                labels,
            )
        except (KeyError, ValueError) as error:
            msg = f"{path} carries no usable tagging head: {error}"
            raise ValueError(msg) from error

    def logits(self, vectors: Matrix, words: Sequence[Word]) -> Matrix:
        """(len(words), labels) logits; ``vectors`` holds the vector of each word's first piece."""
        inputs = np.concatenate([vectors, case_features(words)], axis=1)
        hidden = _gelu(inputs @ self.hidden_weight.T + self.hidden_bias)
        return np.asarray(hidden @ self.output_weight.T + self.output_bias, np.float32)

    def tag(self, vectors: Matrix, words: Sequence[Word]) -> list[tuple[str, float]]:
        """The label of each word and its probability: the best sequence in which every I- continues its own type.

        ``vectors`` is (len(words), n_embd). Raises ValueError where the two differ in length.
        """
        if len(vectors) != len(words):
            msg = f"{len(vectors)} vectors for {len(words)} words"
            raise ValueError(msg)
        if not words:
            return []
        log_probabilities = _log_softmax(self.logits(vectors, words))
        path = best_path(log_probabilities, self.labels)
        return [(self.labels[label], float(np.exp(log_probabilities[row, label]))) for row, label in enumerate(path)]


ARRAYS = ("hidden_weight", "hidden_bias", "output_weight", "output_bias")
"""Names of the metadata arrays under ``PREFIX``, row-major; ``labels`` is beside them, comma-separated."""


def _gelu(x: Matrix) -> Matrix:
    return np.asarray(0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3))), np.float32)


def _log_softmax(logits: Matrix) -> Matrix:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), np.float32)


def forbidden(labels: Sequence[str]) -> NDArray[np.bool_]:
    """(labels + 1, labels): whether the second may not follow the first; the last row is the start of a text."""
    rows = [*labels, "O"]
    return np.array([[b.startswith("I-") and (a == "O" or a[2:] != b[2:]) for b in labels] for a in rows])


def best_path(scores: Matrix, labels: Sequence[str]) -> list[int]:
    """Indices of the label sequence with the highest sum of ``scores`` (words, labels) that is valid BIO (Viterbi)."""
    penalty = np.where(forbidden(labels), np.float32(-np.inf), np.float32(0))
    best = scores[0] + penalty[-1]
    back: list[NDArray[np.intp]] = []
    for row in scores[1:]:
        candidates = best[:, None] + penalty[:-1]
        back.append(candidates.argmax(axis=0))
        best = candidates.max(axis=0) + row
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return path[::-1]
