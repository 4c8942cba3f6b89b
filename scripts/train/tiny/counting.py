"""What can be counted before training: which tokens stand together, and which label they speak for. First vectors are made of it.

Minutes of one core are few for a model that starts from nothing; these counts take seconds and say what its first epoch would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from scripts.train.tiny.batches import Row
from scripts.train.tiny.items import Item
from scripts.train.tiny.vocabulary import TinyVocabulary

_NEAR = 4
_DIRECTIONS = 96
_MOST_ROWS = 25_000
# Counts that a label is given before any evidence.
_PRIOR = 4.0
_ODDS_WEIGHT = 0.5
_KINDS = ("PERSON", "ORGANIZATION", "LOCATION", "none")


def counted(vocabulary: TinyVocabulary, rows: Mapping[str, Sequence[Row]], items: Mapping[str, Sequence[Item]], width: int) -> Tensor:
    """Return a vector for each token, (vocabulary, width), of about unit variance."""
    texts = [row.own for task in rows.values() for row in task[:_MOST_ROWS]]
    columns = [_labels(rows[name], vocabulary.size) for name in ("sentiment", "complexity_router")]
    columns.append(_kinds(items["ner"], rows["ner"], vocabulary))
    odds = np.concatenate([_odds(counts) for counts in columns], axis=1)
    generator = torch.Generator().manual_seed(0)
    near = _together(texts, vocabulary.size)
    return near @ _turn(near.shape[1], width, generator) + _ODDS_WEIGHT * torch.tensor(odds) @ _turn(odds.shape[1], width, generator)


def _turn(rows: int, width: int, generator: torch.Generator) -> Tensor:
    return torch.randn(rows, width, generator=generator) / rows**0.5


def _together(texts: Sequence[Sequence[int]], size: int) -> Tensor:
    """The main directions of positive pointwise mutual information within a few tokens; rows of unit variance."""
    flat = np.concatenate([np.asarray((*text, *[-1] * _NEAR)) for text in texts])
    pairs = np.zeros(size * size, np.float32)
    for distance in range(1, _NEAR + 1):
        left, right = flat[:-distance], flat[distance:]
        seen = (left >= 0) & (right >= 0)
        pairs += np.bincount(left[seen] * size + right[seen], minlength=size * size)
    counts = pairs.reshape(size, size)
    counts += counts.T.copy()
    sums = counts.sum(1) + 1
    information = np.log(np.maximum(counts * sums.sum() / np.outer(sums, sums), 1))
    torch.manual_seed(0)
    directions, sizes, _ = torch.svd_lowrank(torch.tensor(information), _DIRECTIONS)
    vectors = directions * sizes.sqrt()
    return torch.nn.functional.normalize(vectors, dim=1) * _DIRECTIONS**0.5


def _labels(rows: Sequence[Row], size: int) -> np.ndarray:
    """How many texts of each label have each token, (tokens, labels)."""
    labels = sorted({row.answer[0] for row in rows})
    counts = np.zeros((size, len(labels)))
    for row in rows:
        counts[list(set(row.own)), labels.index(row.answer[0])] += 1
    return counts


def _kinds(items: Sequence[Item], rows: Sequence[Row], vocabulary: TinyVocabulary) -> np.ndarray:
    """How often each token is part of a name of each kind, or of none, (tokens, kinds)."""
    counts = np.zeros((vocabulary.size, len(_KINDS)))
    for item, row in zip(items[:_MOST_ROWS], rows, strict=False):
        np.add.at(counts[:, -1], list(row.own), 1)
        for place in (index for index, piece in enumerate(item.answer) if piece == "type"):
            away = 2 if item.answer[place - 1] == '","' else 3
            name, kind = item.answer[place - away], item.answer[place + away]
            tokens = vocabulary.tokenize(" " + name)
            np.add.at(counts[:, _KINDS.index(kind)], tokens, 1)
            np.add.at(counts[:, -1], tokens, -1)
    return np.maximum(counts, 0)


def _odds(counts: np.ndarray) -> np.ndarray:
    """Logarithm of how much likelier each label is where a token stands, (tokens, labels), columns of unit variance."""
    share = counts.sum(0) / counts.sum()
    odds = np.log((counts + _PRIOR * share) / (counts.sum(1, keepdims=True) + _PRIOR) / share)
    return (odds / np.sqrt((odds**2).mean(0))).astype(np.float32)
