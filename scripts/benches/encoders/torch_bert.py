"""The encoder in torch, as one would write it to be fast on a processor: no padding, one product for query, key and value."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from scripts.benches.encoders.weights import Matrix, Weights


def _linear(weight: Matrix, bias: Matrix) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    return layer


def _norm(weights: Weights, name: str) -> nn.LayerNorm:
    weight, bias = weights.of(name)
    layer = nn.LayerNorm(len(weight), weights.eps)
    layer.weight.data, layer.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    return layer


class _Layer(nn.Module):
    def __init__(self, weights: Weights, index: int) -> None:
        super().__init__()
        name = f"blk.{index}"
        parts = [weights.of(f"{name}.attn_{part}") for part in "qkv"]
        self.heads = weights.heads
        self.inputs = _linear(np.concatenate([w for w, _ in parts]), np.concatenate([b for _, b in parts]))
        self.output, self.output_norm = _linear(*weights.of(f"{name}.attn_output")), _norm(weights, f"{name}.attn_output_norm")
        self.up, self.down = _linear(*weights.of(f"{name}.ffn_up")), _linear(*weights.of(f"{name}.ffn_down"))
        self.down_norm = _norm(weights, f"{name}.layer_output_norm")

    def forward(self, x: Tensor) -> Tensor:
        count = x.shape[0]
        query, key, value = self.inputs(x).view(count, 3, self.heads, -1).permute(1, 2, 0, 3)
        seen = functional.scaled_dot_product_attention(query[None], key[None], value[None])[0]
        x = self.output_norm(x + self.output(seen.transpose(0, 1).reshape(count, -1)))
        return self.down_norm(x + self.down(functional.gelu(self.up(x), approximate="tanh")))


class _Encoder(nn.Module):
    def __init__(self, weights: Weights, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling
        self.words = torch.from_numpy(weights.tensors["token_embd.weight"])
        self.positions = torch.from_numpy(weights.positions)
        self.norm = _norm(weights, "token_embd_norm")
        self.layers = nn.ModuleList(_Layer(weights, index) for index in range(weights.layers))
        if pooling == "rank":
            self.pooler, self.scores = _linear(*weights.of("cls")), _linear(*weights.of("cls.output"))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.norm(self.words[ids] + self.positions[: len(ids)])
        for layer in self.layers:
            x = layer(x)
        if self.pooling == "rank":
            return self.scores(torch.tanh(self.pooler(x[:1])))[0]
        return x[1:-1] if self.pooling == "none" else functional.normalize(x.mean(0), dim=0)


def runner(weights: Weights, pooling: str, *, int8: bool) -> Callable[[Sequence[int]], NDArray[np.float32]]:
    """Return what makes of a text's tokens, special ones included, what our encoder makes of them; on one thread."""
    torch.set_num_threads(1)
    model: nn.Module = _Encoder(weights, pooling).eval()
    if int8:
        model = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)

    def run(ids: Sequence[int]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(model(torch.tensor(ids)).numpy(), np.float32)

    return run
