"""The figures of the report: accuracy, calibration, F1 of spans, AUC, ROUGE-L. numpy only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

Array = np.ndarray
Span = tuple[int, int, str]


def softmax(logits: Array) -> Array:
    """Probabilities along the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def calibration_error(probabilities: Array, gold: Array, bins: int = 15) -> float:
    """Expected calibration error of the top label: mean gap of confidence and accuracy over equal-width bins."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == gold
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(
        sum(np.mean(place == b) * abs(confidence[place == b].mean() - right[place == b].mean()) for b in range(bins) if np.any(place == b))
    )


def macro_f1(found: Array, gold: Array, labels: int) -> float:
    """Mean F1 of the classes."""
    scores = [2 * np.sum((found == k) & (gold == k)) / max(1, np.sum(found == k) + np.sum(gold == k)) for k in range(labels)]
    return float(np.mean(scores))


def span_scores(pairs: Iterable[tuple[set[Span], set[Span]]]) -> tuple[float, float, float, int]:
    """Precision, recall, F1 of exactly right spans (found, gold), and the number of gold spans."""
    right = found = gold = 0
    for ours, theirs in pairs:
        right, found, gold = right + len(ours & theirs), found + len(ours), gold + len(theirs)
    precision, recall = right / max(1, found), right / max(1, gold)
    return precision, recall, 2 * right / max(1, found + gold), gold


def auc(scores: Sequence[float] | Array, positive: Sequence[bool] | Array) -> float:
    """Area under the ROC curve; ties count half."""
    values, truth = np.asarray(scores, float), np.asarray(positive, bool)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    ones, zeros = truth.sum(), (~truth).sum()
    return float((ranks[truth].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def rouge_l(text: str, reference: str) -> float:
    """F1 of the longest common subsequence of words (lower case, letters and digits), without stemming."""
    ours, theirs = (re.findall(r"[a-z0-9]+", part.lower()) for part in (text, reference))
    common = _common(ours, theirs)
    return 2 * common / max(1, len(ours) + len(theirs))


def _common(ours: list[str], theirs: list[str]) -> int:
    row = [0] * (len(theirs) + 1)
    for word in ours:
        diagonal = 0
        for column, other in enumerate(theirs, 1):
            diagonal, row[column] = row[column], diagonal + 1 if word == other else max(row[column], row[column - 1])
    return row[-1]
