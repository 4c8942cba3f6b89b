"""First weights that can copy: a head that looks one token back, and a head that goes on where the text went on before.

Such an induction pair is what every trained language model grows, after many more tokens than this one is shown. The vectors are laid
out for it: some hold what is counted, some a code of the token's letters, and some are left free for the code of the token before.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scripts.train.tiny.model import Block, Shape, Tiny

CODE = 32
"""Dimensions of the letters' code, and of the code of the token before; they are the last two parts of a vector."""
SCALE = 0.05
_FAST, _SLOW = 6, 8  # pairs of a head that turn quickly with distance, and the first that turns too slowly to matter within a text
_BACK, _MATCH, _COPY, _OUT, _QUIET = 9.0, 1.8, 2.0, 4.0, 0.3
_BACK_LAYER, _COPY_LAYER = 0, 2


def lay_out(counted: Tensor, spelled: Tensor) -> Tensor:
    """Return first embeddings: what is counted, the letters' code, and room for the code of the token before."""
    return torch.cat([counted, spelled, torch.zeros_like(spelled)], dim=1) * SCALE


@torch.no_grad()
def wire(model: Tiny) -> None:
    """Set the heads that copy, in place; everything else stays as it is."""
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
