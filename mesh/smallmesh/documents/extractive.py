"""Chooses the sentences of an extractive summary from their vectors and positions. numpy only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from smallmesh.documents.phrases import GREETING

# The weights were chosen by ROUGE-L against LEAD-k on 60 development texts of each of five domains; differences of
# 0.01 there are noise, so they are round numbers.
POSITION_WEIGHT = 3.0
"""How much standing first counts beside being central; closeness runs from 0 to 1."""
POSITION_DECAY = 1.0
"""Sentences after which the weight of the position has fallen to 1/e."""
REDUNDANCY_WEIGHT = 0.2
"""How much similarity to a sentence already chosen costs."""
REPEAT = 0.95
"""Similarity from which a sentence says the same again: taken only where nothing else is left."""
LENGTH_FULL = 10
"""Words from which a sentence counts in full; a greeting or a "Yes." says little."""

# More sentences than the limit: one more sentence of summary.
_COUNTS = ((3, 1), (9, 2))
MAX_COUNT = 3
SHORTLIST = 128
"""Sentences of a text that are embedded at most, about 12 KiB of prose: 32 KiB took 2.0 s of a core, and 5.3 with all of them.
With a half or a quarter of the sentences of shorter texts ROUGE-L on the development data moved by less than 0.01."""
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
# Added to a sentence's number of words, so that of two words one that is everywhere does not make it the best.
_FEW_WORDS = 3
_SPEAKER = re.compile(r"[#@<\[]?\w[\w .#'-]{0,30}[>\]]?:(?=\s|$)")
_GREETING_WORDS = 6
_SPEAKER_SHARE = 0.3
_SPEAKER_TURNS = 2
_LAST_RESORT = np.float32(100)


def summary_size(sentences: int) -> int:
    """How many sentences a summary of a text of so many has: 1 to 3, and 0 of nothing."""
    return min(sentences, next((count for limit, count in _COUNTS if sentences <= limit), MAX_COUNT))


def is_dialogue(sentences: Sequence[str]) -> bool:
    """Whether the sentences are turns of speakers ("Ana: …"): there the first one is no better than the others."""
    turns = sum(bool(_SPEAKER.match(sentence)) for sentence in sentences)
    return turns >= _SPEAKER_TURNS and turns / len(sentences) >= _SPEAKER_SHARE


def shortlist(sentences: Sequence[str], limit: int = SHORTLIST) -> list[int]:
    """Indices of at most so many sentences, in the order of the text: the first ones, and of each equal stretch of the others one.

    A text is cut into stretches, so that all of it is represented; of a stretch the sentence whose words are in most
    other sentences is taken. A text of up to ``limit`` sentences is taken whole.
    """
    if len(sentences) <= limit:
        return list(range(len(sentences)))
    words = [frozenset(_LONG_WORD.findall(sentence.lower())) for sentence in sentences]
    shared = Counter(word for found in words for word in found)
    worth = [sum(shared[word] - 1 for word in found) / (len(found) + _FEW_WORDS) for found in words]
    first = min(MAX_COUNT, limit)
    rest = len(sentences) - first
    edges = [first + rest * i // (limit - first) for i in range(limit - first + 1)] if limit > first else []
    return [*range(first), *(max(range(*edge), key=worth.__getitem__) for edge in pairwise(edges))]


def select_sentences(vectors: NDArray[np.float32], limit: int = MAX_COUNT, *, sentences: Sequence[str] | None = None) -> list[int]:
    """Indices of the chosen sentences, in the order of the text.

    Args:
        vectors: (n, d), one a sentence, each of length 1.
        limit: At most so many, and never more than ``summary_size(n)``.
        sentences: Their texts. With them, turns of dialogues are told from prose, and greetings from sentences.

    Raises:
        ValueError: There are not as many texts as vectors.
    """
    if sentences is not None and len(vectors) != len(sentences):
        msg = f"{len(vectors)} vectors for {len(sentences)} sentences"
        raise ValueError(msg)
    wanted = min(limit, summary_size(len(vectors)))
    if wanted <= 0:
        return []
    scores = sentence_scores(vectors, sentences)
    chosen: list[int] = []
    penalty = np.zeros(len(vectors), np.float32)
    while len(chosen) < wanted:
        ranked = scores - REDUNDANCY_WEIGHT * penalty
        ranked[chosen] = -np.inf
        best = int(ranked.argmax())
        chosen.append(best)
        similar = vectors @ vectors[best]  # never all pairs: a bulk text has thousands of sentences
        penalty = np.maximum(penalty, np.where(similar >= REPEAT, _LAST_RESORT, similar))
    return sorted(chosen)


def sentence_scores(vectors: NDArray[np.float32], sentences: Sequence[str] | None = None) -> NDArray[np.float32]:
    """(n,) worth of each sentence alone: closeness to the text's mean, standing early (not in dialogues), having words; no greeting."""
    words = np.array([_words(sentence) for sentence in sentences or ()], np.float32)
    weight = np.minimum(words, LENGTH_FULL) / LENGTH_FULL if sentences else np.ones(len(vectors), np.float32)
    mean = (vectors * np.maximum(weight, 1e-3)[:, None]).sum(axis=0)
    central = _spread(vectors @ mean)
    early = np.exp(-np.arange(len(vectors), dtype=np.float32) / POSITION_DECAY)
    position = 0.0 if sentences and is_dialogue(sentences) else POSITION_WEIGHT
    return np.asarray((central + position * early) * weight, np.float32)


def _words(sentence: str) -> int:
    """How many words a sentence says something in: none of a greeting's."""
    count = len(sentence.split())
    return 0 if count <= _GREETING_WORDS and GREETING.match(sentence) else count


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.ones_like(values)
