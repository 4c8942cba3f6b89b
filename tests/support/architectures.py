"""Small models with random weights, of the architectures that people serve; with the tiny model's tokenizer."""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from scripts.benches.inference import gguf_file
from scripts.benches.inference.gguf_file import Contents, Tensor, Value
from tests.support.tiny import TINY, tiny_card

_F32 = 0
_SPREAD = 0.3
"""Standard deviation of a weight, so that tokens differ by more than sums that are added in another order do."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What one architecture has that others have not.

    Attributes:
        layers: How many.
        width: Of a token's vector.
        heads: Query heads.
        kv_heads: Key and value heads.
        head: Width of a head.
        more: Metadata beside what all have, without the architecture's name in front.
        fused: Whether queries, keys and values are one matrix, and so are both ways into the feed-forward layer.
        normed: Whether queries and keys are normalised.
        twice: Whether there are norms behind attention and the feed-forward layer, too.
        spread: Standard deviation of the vectors of tokens.
    """

    layers: int = 2
    width: int = 128
    heads: int = 4
    kv_heads: int = 2
    head: int = 32
    more: Mapping[str, Value] = field(default_factory=dict)
    fused: bool = False
    normed: bool = False
    twice: bool = False
    spread: float = _SPREAD


ATTENTIVE: Mapping[str, Architecture] = {
    "llama": Architecture(heads=2, kv_heads=1, head=64),  # SmolLM, Llama, Mistral
    "qwen3": Architecture(head=128, normed=True),
    "phi3": Architecture(width=192, heads=2, kv_heads=2, head=96, fused=True),
    "gemma2": Architecture(
        heads=2,
        kv_heads=1,
        head=256,
        twice=True,
        spread=_SPREAD / 11,
        more={"attention.sliding_window": 16, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    ),
    "gemma3": Architecture(
        layers=6, heads=2, kv_heads=1, head=256, normed=True, twice=True, spread=_SPREAD / 11, more={"attention.sliding_window": 16}
    ),
}
"""By llama.cpp's name. Some of Gemma's layers see the last 16 tokens only; of Gemma 3's the sixth alone sees all. Gemma multiplies the
vectors of tokens by the root of their width."""

_INNER = 256
"""Width of the feed-forward layers."""
_TOKENS = 4096
"""Of the tiny model's vocabulary."""


def write_attentive(path: Path, name: str, *, trained: int = 512) -> Path:
    """Write a GGUF of one of these, trained on texts of so many tokens as its metadata says."""
    shape = ATTENTIVE[name]
    metadata = {
        "block_count": shape.layers,
        "context_length": trained,
        "embedding_length": shape.width,
        "feed_forward_length": _INNER,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.kv_heads,
        "attention.key_length": shape.head,
        "attention.value_length": shape.head,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": shape.head,
        "rope.freq_base": 1e4,
        **shape.more,
    }
    return _write(path, name, metadata, list(_attentive(shape)), spread=shape.spread)


def _attentive(shape: Architecture) -> Iterator[Tensor]:
    width, queries, keys = shape.width, shape.heads * shape.head, shape.kv_heads * shape.head
    yield from _outer(width)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        yield _tensor(f"{block}attn_norm.weight", width)
        yield _tensor(f"{block}ffn_norm.weight", width)
        if shape.fused:
            yield _tensor(f"{block}attn_qkv.weight", width, queries + 2 * keys)
            yield _tensor(f"{block}ffn_up.weight", width, 2 * _INNER)
            yield _tensor(f"{block}ffn_down.weight", _INNER, width)
        else:
            yield from _queries(block, width, queries, keys)
            yield from _forward(block, width)
        yield _tensor(f"{block}attn_output.weight", queries, width)
        if shape.normed:
            yield from _norms(block, shape.head)
        if shape.twice:
            yield _tensor(f"{block}post_attention_norm.weight", width)
            yield _tensor(f"{block}post_ffw_norm.weight", width)


def _write_hybrid(path: Path) -> Path:
    """Write a GGUF like Qwen3.5's: three layers with a state for each sequence, then one with keys and values."""
    width, heads, head, size, groups, kernel = 128, 2, 64, 32, 2, 4
    inner = size * groups
    metadata = {
        "block_count": 4,
        "context_length": 512,
        "embedding_length": width,
        "feed_forward_length": _INNER,
        "attention.head_count": heads,
        "attention.head_count_kv": 1,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": 32,
        "rope.freq_base": 1e4,
        "ssm.conv_kernel": kernel,
        "ssm.inner_size": inner,
        "ssm.state_size": size,
        "ssm.time_step_rank": groups,
        "ssm.group_count": groups,
    }
    tensors = list(_outer(width))
    for layer in range(4):
        block = f"blk.{layer}."
        tensors += [_tensor(f"{block}attn_norm.weight", width), _tensor(f"{block}post_attention_norm.weight", width)]
        tensors += _forward(block, width)
        if layer == 3:
            tensors += [*_queries(block, width, 2 * heads * head, head), *_norms(block, head)]
            tensors.append(_tensor(f"{block}attn_output.weight", heads * head, width))
            continue
        tensors += [
            _tensor(f"{block}attn_qkv.weight", width, 3 * inner),
            _tensor(f"{block}attn_gate.weight", width, inner),
            _tensor(f"{block}ssm_conv1d.weight", kernel, 3 * inner),
            _tensor(f"{block}ssm_dt.bias", groups),
            _tensor(f"{block}ssm_a", groups),
            _tensor(f"{block}ssm_beta.weight", width, groups),
            _tensor(f"{block}ssm_alpha.weight", width, groups),
            _tensor(f"{block}ssm_norm.weight", size),
            _tensor(f"{block}ssm_out.weight", inner, width),
        ]
    return _write(path, "qwen35", metadata, tensors, _integers("qwen35.rope.dimension_sections", 4, 4, 4, 4))


def _write_recurrent(path: Path) -> Path:
    """Write a GGUF of a Mamba, which has no keys and values at all."""
    width, inner, size, kernel, rank = 64, 128, 8, 4, 4
    metadata = {
        "block_count": 1,
        "context_length": 512,
        "embedding_length": width,
        "feed_forward_length": 0,
        "attention.head_count": 0,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "ssm.conv_kernel": kernel,
        "ssm.inner_size": inner,
        "ssm.state_size": size,
        "ssm.time_step_rank": rank,
    }
    tensors = [
        *_outer(width),
        _tensor("blk.0.attn_norm.weight", width),
        _tensor("blk.0.ssm_in.weight", width, 2 * inner),
        _tensor("blk.0.ssm_conv1d.weight", kernel, inner),
        _tensor("blk.0.ssm_conv1d.bias", inner),
        _tensor("blk.0.ssm_x.weight", inner, rank + 2 * size),
        _tensor("blk.0.ssm_dt.weight", rank, inner),
        _tensor("blk.0.ssm_dt.bias", inner),
        _tensor("blk.0.ssm_a", size, inner),
        _tensor("blk.0.ssm_d", inner),
        _tensor("blk.0.ssm_out.weight", inner, width),
    ]
    return _write(path, "mamba", metadata, tensors)


STATEFUL: Mapping[str, Callable[[Path], Path]] = {"qwen35": _write_hybrid, "mamba": _write_recurrent}
"""What writes a GGUF of a model that has a state for each sequence, in some of its layers or in all."""
ALL: Mapping[str, Callable[[Path], Path]] = {**{name: partial(write_attentive, name=name) for name in ATTENTIVE}, **STATEFUL}


def _outer(width: int) -> Iterator[Tensor]:
    yield _tensor("token_embd.weight", width, _TOKENS)
    yield _tensor("output_norm.weight", width)


def _queries(block: str, width: int, queries: int, keys: int) -> Iterator[Tensor]:
    yield _tensor(f"{block}attn_q.weight", width, queries)
    yield _tensor(f"{block}attn_k.weight", width, keys)
    yield _tensor(f"{block}attn_v.weight", width, keys)


def _norms(block: str, head: int) -> Iterator[Tensor]:
    yield _tensor(f"{block}attn_q_norm.weight", head)
    yield _tensor(f"{block}attn_k_norm.weight", head)


def _forward(block: str, width: int) -> Iterator[Tensor]:
    yield _tensor(f"{block}ffn_gate.weight", width, _INNER)
    yield _tensor(f"{block}ffn_up.weight", width, _INNER)
    yield _tensor(f"{block}ffn_down.weight", _INNER, width)


def _tensor(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, _F32, 4 * int(np.prod(shape)))


def _write(path: Path, name: str, metadata: Mapping[str, Value], tensors: list[Tensor], *more: bytes, spread: float = _SPREAD) -> Path:
    tokenizer = [raw for key, raw in gguf_file.entries((TINY / tiny_card().file).read_bytes()) if key.startswith("tokenizer.")]
    said = {"general.architecture": name, **{f"{name}.{key}": value for key, value in metadata.items()}}
    entries = [*(gguf_file.entry(*one) for one in said.items()), *more, *tokenizer]
    gguf_file.write(path, Contents(entries, tensors, _weights(tensors, spread)))
    return path


def _integers(key: str, *values: int) -> bytes:
    """Return the bytes of an entry of signed 32-bit numbers."""
    array, of_integers = 9, 5
    return struct.pack(f"<Q{len(key)}sIIQ{len(values)}i", len(key), key.encode(), array, of_integers, len(values), *values)


def _weights(tensors: list[Tensor], spread: float) -> Iterator[bytes]:
    random = np.random.default_rng(7)
    for tensor in tensors:
        drawn = random.normal(0, spread if tensor.name.startswith("token_embd") else _SPREAD, tensor.shape)
        if tensor.name.endswith("ssm_a"):
            drawn = -abs(drawn)  # what a state loses: the other sign would let it grow without end
        elif len(tensor.shape) == 1:
            drawn = 1 + drawn / 3
        yield drawn.astype("<f4").tobytes()
