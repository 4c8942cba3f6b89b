"""First weights that can copy and weigh words, so that minutes of training suffice.

A head looks one token back, and another goes on where the text went on before: such an induction pair is what every trained language
model grows, after many more tokens than this one is shown. Two more heads add up what the words near by speak for. The vectors are
laid out for it: some hold what is counted, some a code of the token's letters, and some are free for the code of the token before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from scripts.train.tiny.counting import KINDS, Counts
from scripts.train.tiny.model import Block, Shape, Tiny

CODE = 32
"""Dimensions of the letters' code, and of the code of the token before; they are the last two parts of a vector."""
SCALE = 0.3
_FAST, _SLOW = 6, 8  # pairs of a head that turn quickly with distance, and the first that turns too slowly to matter within a text
_BACK, _MATCH, _COPY, _OUT, _QUIET = 9.0, 1.8, 1.6, 0.67, 0.05
_BACK_LAYER, _COPY_LAYER = 0, 2
# Heads that begin with the last thirty tokens or so: the document, and not the few-shot examples, which are ten times as long.
_NEAR_HEADS, _NEAR, _MIDDLE = (2, 3), 2.6, slice(5, 10)
# The head that sums up the kind of the name that was just written: of the last eight tokens or so.
_KIND_HEAD, _CLOSE, _TOLD, _GATE = 1, slice(3, 7), 0.6, 3.5


def lay_out(counts: Counts, spelled: Tensor) -> Tensor:
    """Return first embeddings: neighbours, odds, the letters' code, and room for the code of the token before."""
    return torch.cat([counts.near, counts.odds, spelled, torch.zeros_like(spelled)], dim=1) * SCALE


@torch.no_grad()
def wire(model: Tiny, answers: Sequence[int], opener: int) -> None:
    """Set the heads that copy, and those that add up the odds of ``answers``, in place; everything else stays as it is.

    ``opener`` is the token before the one that an answer follows: there, labels are told and nowhere else.
    """
    shape = model.shape
    code = torch.arange(CODE) + shape.width - 2 * CODE
    before = code + CODE
    back, copy = (_Head(model.blocks[layer], shape, 0) for layer in (_BACK_LAYER, _COPY_LAYER))
    itself = _Head(model.blocks[_COPY_LAYER], shape, 1)
    back.look_back(distance=1)
    back.carry(source=code, target=before, weight=SCALE)
    copy.match(query=code, key=before)
    copy.carry(source=code, target=code, weight=_COPY * SCALE)
    # The embedding is the output matrix, too: without this each token would foretell itself.
    itself.look_back(distance=0)
    itself.carry(source=code, target=code, weight=-SCALE)
    for layer in model.blocks:
        for index in _NEAR_HEADS:
            _Head(layer, shape, index).look_near()
    first = shape.width - 2 * CODE - len(answers)
    last = model.blocks[-1]
    words = model.embedding[list(answers)][:, code] / SCALE
    kinds = len(answers) - len(KINDS)
    labels, kind = _Head(last, shape, _NEAR_HEADS[0]), _Head(last, shape, _KIND_HEAD)
    labels.tell(first + torch.arange(kinds), code, words[:kinds] * _TOLD)
    labels.only_after(before, model.embedding[opener, code] / SCALE)
    kind.look_near(_CLOSE)
    kind.tell(first + torch.arange(kinds, len(answers)), code, words[kinds:] * _TOLD)
    model.norm[:] = _QUIET
    model.norm[code] = _OUT


class _Head:
    """One head of a layer: views of its weights and biases."""

    def __init__(self, block: Block, shape: Shape, index: int) -> None:
        self._size, self._shape = shape.width // shape.heads, shape
        rows = slice(index * self._size, (index + 1) * self._size)
        self._query, self._key, self._value = (part[rows] for part in block.qkv.weight.data.chunk(3))
        self._query_bias, self._key_bias, _ = (part[rows] for part in block.qkv.bias.data.chunk(3))
        self._out = block.output.weight.data[:, rows]

    def look_back(self, distance: int) -> None:
        """See the token at a distance, whatever it is."""
        self._query.zero_()
        self._key.zero_()
        half = self._size // 2
        for pair in range(_FAST):
            angle = distance * self._shape.rope_base ** (-pair / half)
            self._query_bias[pair] = _BACK
            self._key_bias[pair], self._key_bias[half + pair] = _BACK * math.cos(angle), _BACK * math.sin(angle)

    def look_near(self, pairs: slice = _MIDDLE) -> None:
        """See near tokens rather than far ones, and what they are as before."""
        self._query_bias[pairs] = _NEAR
        self._key_bias[pairs] = _NEAR

    def tell(self, source: Tensor, target: Tensor, words: Tensor) -> None:
        """Add the ``words`` (answers, parts) by the mean of their odds in what is seen; the content of what is seen is no matter."""
        self._query.zero_()
        self._key.zero_()
        places = torch.arange(len(source))
        self._value.zero_()
        self._value[places, source] = 1.0
        self._out.zero_()
        self._out[target[:, None], places] = words.T

    def only_after(self, before: Tensor, code: Tensor) -> None:
        """See near tokens after one that has this code; elsewhere all tokens alike."""
        self._query_bias.zero_()
        self._query[_MIDDLE, before[:, None]] = (_GATE * code / code.square().sum())[:, None]

    def match(self, query: Tensor, key: Tensor) -> None:
        """See where one part of a vector is as another part here."""
        self._query.zero_()
        self._key.zero_()
        slow = torch.arange(_SLOW, self._size // 2)
        places = torch.cat([slow, slow + self._size // 2])
        self._query[places, query] = _MATCH
        self._key[places, key] = _MATCH

    def carry(self, source: Tensor, target: Tensor, weight: float) -> None:
        """Take a part of what is seen and add it to a part here."""
        places = torch.arange(CODE)
        self._value.zero_()
        self._value[places, source] = 1.0
        self._out.zero_()
        self._out[target, places] = weight
