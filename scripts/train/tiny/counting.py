"""What can be known before training: which tokens stand together, and which answer they speak for. First vectors are made of it.

Minutes of one core are few for a model that starts from nothing; this takes seconds and says what its first epoch would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
_BAG_RATE, _BAG_EPOCHS, _BAG_ROWS, _BAG_RIDGE = 0.1, 4, 256, 1e-3
LABELLED = ("sentiment", "complexity_router")
KINDS = ("PERSON", "ORGANIZATION", "LOCATION")


@dataclass(frozen=True)
class Counts:
    """What was counted, one row a token, of about unit variance.

    Attributes:
        near: Which tokens stand near each other, (vocabulary, width).
        odds: How much a token speaks for each answer, (vocabulary, answers): of labels the weights of a bag of words, of kinds of
            names the logarithm of the odds.
        answers: The tokens of those answers.
    """

    near: Tensor
    odds: Tensor
    answers: tuple[int, ...]


def counted(vocabulary: TinyVocabulary, rows: Mapping[str, Sequence[Row]], items: Mapping[str, Sequence[Item]], width: int) -> Counts:
    """Count; the vectors of neighbours have ``width`` dimensions."""
    texts = [row.own for task in rows.values() for row in task[:_MOST_ROWS]]
    columns = [_weights(rows[name], vocabulary.size) for name in LABELLED]
    columns.append(_odds(_kinds(items["ner"], rows["ner"], vocabulary))[:, : len(KINDS)])
    near = _together(texts, vocabulary.size)
    turned = near @ torch.randn(near.shape[1], width, generator=torch.Generator().manual_seed(0)) / near.shape[1] ** 0.5
    words = [token for name in LABELLED for token in sorted({row.answer[0] for row in rows[name]})]
    words += [token for kind in KINDS for token in vocabulary.tokenize(kind)]
    return Counts(turned, torch.tensor(np.concatenate(columns, axis=1)), tuple(words))


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


def _weights(rows: Sequence[Row], size: int) -> np.ndarray:
    """How much each token speaks for each label, (tokens, labels): logistic regression on the mean of a text's tokens."""
    labels = sorted({row.answer[0] for row in rows})
    wanted = torch.tensor([labels.index(row.answer[0]) for row in rows])
    torch.manual_seed(0)
    bag = torch.nn.EmbeddingBag(size, len(labels), mode="mean")
    torch.nn.init.zeros_(bag.weight)
    optimiser = torch.optim.Adam(bag.parameters(), lr=_BAG_RATE)
    for _ in range(_BAG_EPOCHS):
        for part in torch.randperm(len(rows)).split(_BAG_ROWS):
            texts = [rows[index].own for index in part.tolist()]
            starts = torch.tensor([0, *map(len, texts[:-1])]).cumsum(0)
            loss = torch.nn.functional.cross_entropy(bag(torch.tensor([token for text in texts for token in text]), starts), wanted[part])
            optimiser.zero_grad()
            (loss + _BAG_RIDGE * bag.weight.square().sum() / len(part)).backward()
            optimiser.step()
    weights = bag.weight.detach().numpy()
    return weights / np.sqrt((weights**2).mean())


def _kinds(items: Sequence[Item], rows: Sequence[Row], vocabulary: TinyVocabulary) -> np.ndarray:
    """How often each token is part of a name of each kind, or of none, (tokens, kinds)."""
    counts = np.zeros((vocabulary.size, len(KINDS) + 1))
    for item, row in zip(items[:_MOST_ROWS], rows, strict=False):
        np.add.at(counts[:, -1], list(row.own), 1)
        for place in (index for index, piece in enumerate(item.answer) if piece == "type"):
            away = 2 if item.answer[place - 1] == '","' else 3
            name, kind = item.answer[place - away], item.answer[place + away]
            tokens = vocabulary.tokenize(" " + name)
            np.add.at(counts[:, KINDS.index(kind)], tokens, 1)
            np.add.at(counts[:, -1], tokens, -1)
    return np.maximum(counts, 0)


def _odds(counts: np.ndarray) -> np.ndarray:
    """Logarithm of how much likelier each label is where a token stands, (tokens, labels), columns of unit variance."""
    share = counts.sum(0) / counts.sum()
    odds = np.log((counts + _PRIOR * share) / (counts.sum(1, keepdims=True) + _PRIOR) / share)
    return (odds / np.sqrt((odds**2).mean(0))).astype(np.float32)
