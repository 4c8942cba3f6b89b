"""Figures of training alone: probabilities and the area under the ROC curve. What evaluation shares stands in the chassis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def softmax(logits: Array) -> Array:
    """Probabilities along the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def auc(scores: Sequence[float] | Array, positive: Sequence[bool] | Array) -> float:
    """Area under the ROC curve; ties count half."""
    values, truth = np.asarray(scores, float), np.asarray(positive, bool)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    ones, zeros = truth.sum(), (~truth).sum()
    return float((ranks[truth].sum() - ones * (ones + 1) / 2) / (ones * zeros))
