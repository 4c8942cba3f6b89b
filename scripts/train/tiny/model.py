"""A small Qwen2 in torch: many short texts behind one shared beginning, which is evaluated once a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of the model; heads have ``width // heads`` dimensions, keys and values as many heads as queries."""

    vocabulary: int
    width: int = 192
    layers: int = 4
    heads: int = 4
    inner: int = 512
    rope_base: float = 1_000_000.0
    epsilon: float = 1e-6
    context: int = 2048


class Block(nn.Module):
    """One layer; biases of queries and keys let a head look at a fixed distance, which copying begins with."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.attention_norm = nn.Parameter(torch.ones(shape.width))
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.output = nn.Linear(shape.width, shape.width, bias=False)
        self.inner_norm = nn.Parameter(torch.ones(shape.width))
        self.gate_up = nn.Linear(shape.width, 2 * shape.inner, bias=False)
        self.down = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, states: Tensor, layout: Layout) -> Tensor:
        """Return the states after this layer, (prefix + rows * time, width)."""
        shape = self.shape
        normed = functional.rms_norm(states, (shape.width,), self.attention_norm, shape.epsilon)
        states = states + self.output(_attend(self.qkv(normed), layout, shape.heads))
        normed = functional.rms_norm(states, (shape.width,), self.inner_norm, shape.epsilon)
        gate, up = self.gate_up(normed).chunk(2, dim=-1)
        return states + self.down(functional.silu(gate) * up)


@dataclass(frozen=True)
class Layout:
    """How the tokens of one step lie: a prefix of ``prefix`` tokens, then ``rows`` texts of ``time`` tokens each."""

    prefix: int
    rows: int
    time: int
    cosine: Tensor
    sine: Tensor

    @classmethod
    def of(cls, shape: Shape, prefix: int, rows: int, time: int) -> Layout:
        """Positions go on from the prefix in each row."""
        positions = torch.cat([torch.arange(prefix), (prefix + torch.arange(time)).repeat(rows)])
        half = shape.width // shape.heads // 2
        rates = shape.rope_base ** (-torch.arange(half) / half)
        angles = positions[:, None] * rates
        return cls(prefix, rows, time, angles.cos()[:, None], angles.sin()[:, None])

    def turned(self, vectors: Tensor) -> Tensor:
        """Rotate (tokens, heads, dimensions) by position: the two halves of a head are pairs."""
        first, second = vectors.chunk(2, dim=-1)
        return torch.cat([first * self.cosine - second * self.sine, second * self.cosine + first * self.sine], dim=-1)


def _attend(qkv: Tensor, layout: Layout, heads: int) -> Tensor:
    """Causal attention in the prefix, and of each row over the prefix and itself."""
    count, width = qkv.shape[0], qkv.shape[1] // 3
    query, key, value = qkv.view(count, 3, heads, width // heads).unbind(1)
    query, key = layout.turned(query), layout.turned(key)
    cut = layout.prefix
    shared_key, shared_value = key[:cut].transpose(0, 1), value[:cut].transpose(0, 1)
    before = functional.scaled_dot_product_attention(
        query[:cut].transpose(0, 1)[None], shared_key[None], shared_value[None], is_causal=True
    )[0].transpose(0, 1)
    own = (layout.rows, layout.time, heads, width // heads)
    scale = 1 / math.sqrt(width // heads)
    flat = query[cut:].transpose(0, 1) * scale
    to_prefix = (flat @ shared_key.transpose(1, 2)).view(heads, layout.rows, layout.time, cut)
    rows_key, rows_value = (part[cut:].view(own).permute(2, 0, 1, 3) for part in (key, value))
    to_own = flat.view(heads, layout.rows, layout.time, -1) @ rows_key.transpose(2, 3)
    later = torch.ones(layout.time, layout.time, dtype=torch.bool).triu(1)
    weights = torch.cat([to_prefix, to_own.masked_fill(later, -math.inf)], dim=-1).softmax(dim=-1)
    from_prefix = weights[..., :cut].reshape(heads, -1, cut) @ shared_value
    mixed = from_prefix.view(heads, layout.rows, layout.time, -1) + weights[..., cut:] @ rows_value
    after = mixed.permute(1, 2, 0, 3).reshape(layout.rows * layout.time, heads, width // heads)
    return torch.cat([before, after]).reshape(count, width)


class Tiny(nn.Module):
    """The model; its embedding is its output matrix, too."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Parameter(torch.randn(shape.vocabulary, shape.width) * 0.04)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.width))
        for name, parameter in self.blocks.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() > 1:
                # What a layer adds begins with little: the heads that are wired to copy work from the first step.
                nn.init.normal_(parameter, std=0.006 if name.endswith(("output.weight", "down.weight")) else 0.05)

    def forward(self, prefix: Tensor, rows: Tensor) -> Tensor:
        """Return the normalised states of (rows, time) token ids behind a prefix of token ids: (rows, time, width)."""
        layout = Layout.of(self.shape, len(prefix), *rows.shape)
        states = self.embedding[torch.cat([prefix, rows.flatten()])]
        for block in self.blocks:
            states = block(states, layout)
        own = states[len(prefix) :].view(*rows.shape, self.shape.width)
        return functional.rms_norm(own, (self.shape.width,), self.norm, self.shape.epsilon)

    def logits(self, states: Tensor) -> Tensor:
        """Return the logits of states."""
        return states @ self.embedding.T


# How much of a token's first vector is its letters, its beginning, its case, the space before it, and its own.
_SHARES = {"letters": 0.85, "beginning": 0.3, "case": 0.25, "space": 0.25, "own": 0.25}


def spelled(strings: Sequence[str], width: int) -> Tensor:
    """First vectors for tokens: ``Lea``, ``lea`` and `` Lea`` begin close to each other, so a name can be copied after a quote."""
    rows = []
    for index, string in enumerate(strings):
        bare = string.removeprefix("Ġ")
        case = "upper" if bare.isupper() else "title" if bare[:1].isupper() else "lower" if bare.islower() else "sign"
        features = {"letters": bare.lower(), "beginning": bare.lower()[:3], "case": case, "space": str(bare != string), "own": str(index)}
        rows.append(sum(_SHARES[name] * _vector(f"{name} {value}", width) for name, value in features.items()))
    return torch.stack(rows)


def _vector(name: str, width: int) -> Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(crc32(name.encode())))
