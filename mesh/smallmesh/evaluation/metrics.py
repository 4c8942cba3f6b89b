"""The field's usual figures on arrays: accuracy's kin, calibration, F1 of spans, ROUGE-L. Training's report uses them too."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Span = tuple[int, int, str]
BINS = 15
"""Bins of equal width between 0 and 1 that confidence is sorted into."""
_WORD = re.compile(r"[^\W_]+")


def ratio(part: Array, whole: Array) -> Array:
    """Return ``part / whole``, NaN where there is nothing to divide by."""
    quotient: Array = np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0)
    return quotient


def f1_of(hit: Array, found: Array, wanted: Array) -> Array:
    """Return F1 from counts: of what was found and what was wanted, how much is both. NaN where there was neither."""
    return ratio(2 * hit, found + wanted)


def bin_of(confidence: float) -> int:
    """Return the bin that a confidence falls into; 1.0 belongs to the last."""
    return min(int(confidence * BINS), BINS - 1)


def calibration_error(probabilities: NDArray[Any], gold: NDArray[Any], bins: int = BINS) -> float:
    """Expected calibration error of the top label: mean gap of confidence and accuracy over equal-width bins."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == gold
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, confidence, bins) - np.bincount(place, right, bins)
    return float(np.abs(gaps).sum() / len(confidence))


def macro_f1(found: NDArray[Any], gold: NDArray[Any], labels: int) -> float:
    """Mean F1 of the classes; of one that is neither found nor gold it is 0."""
    each = np.arange(labels)[:, None]
    ours, theirs = found == each, gold == each
    scores = f1_of(np.sum(ours & theirs, axis=1), np.sum(ours, axis=1), np.sum(theirs, axis=1))
    return float(np.mean(np.nan_to_num(scores)))


def span_scores(pairs: Iterable[tuple[set[Span], set[Span]]]) -> tuple[float, float, float, int]:
    """Precision, recall, F1 of exactly right spans (found, gold), and the number of gold spans."""
    right = found = gold = 0
    for ours, theirs in pairs:
        right, found, gold = right + len(ours & theirs), found + len(ours), gold + len(theirs)
    precision, recall = right / max(1, found), right / max(1, gold)
    return precision, recall, 2 * right / max(1, found + gold), gold


def rouge_l(text: str, reference: str) -> float:
    """F1 of the longest common subsequence of words (lower case, letters and digits), without stemming."""
    ours, theirs = words(text), words(reference)
    return 2 * _common(ours, theirs) / max(1, len(ours) + len(theirs))


def words(text: str) -> list[str]:
    """Return a text's words as ROUGE-L compares them."""
    return _WORD.findall(text.lower())


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    row = [0] * (len(theirs) + 1)
    for word in ours:
        diagonal = 0
        for column, other in enumerate(theirs, 1):
            diagonal, row[column] = row[column], diagonal + 1 if word == other else max(row[column], row[column - 1])
    return row[-1]
