"""Models of public shapes with random weights: how fast a model is does not depend on what its weights are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.benches.inference import gguf_file
from scripts.benches.inference.cache import Say, folder
from scripts.benches.inference.gguf_file import Contents, Tensor, Value

VOCABULARY = "ggml-vocab-qwen2.gguf"
"""A tokenizer without a model, among the sources of llama.cpp; the one of Qwen2 and Qwen2.5, with its chat template."""
_SEED = 20_250_101
_SPREAD = 0.02
"""Standard deviation of a weight: what such models are initialised with."""
_F32, _Q4_0, _Q8_0, _Q6_K = 0, 2, 8, 14
_FILE_TYPE_Q4_0 = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a Qwen2 model decides how fast it is.

    Attributes:
        name: Named in figures.
        layers: Transformer layers.
        width: Of a token's vector.
        heads: Query heads.
        kv_heads: Key and value heads.
        inner: Width of the feed-forward layers.
        rope_base: Of the rotary positions.
        tokens: Size of the vocabulary; input and output share one matrix.
    """

    name: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    inner: int
    rope_base: float = 1e6
    tokens: int = 151_936


SHAPES: Mapping[str, Shape] = {
    "0.5b": Shape("Qwen2.5-0.5B", layers=24, width=896, heads=14, kv_heads=2, inner=4864),
    "1.5b": Shape("Qwen2.5-1.5B", layers=28, width=1536, heads=12, kv_heads=2, inner=8960),
    "tiny": Shape("of no model", layers=2, width=128, heads=2, kv_heads=1, inner=256),
}
"""From the ``config.json`` of Qwen/Qwen2.5-0.5B-Instruct and Qwen/Qwen2.5-1.5B-Instruct; ``tiny`` tries the benchmark itself."""


def synthetic(shape: Shape, vocabulary: Path, say: Say) -> Path:
    """Return a Q4_0 GGUF of a shape with random weights; written where the cache has none yet."""
    path = folder() / f"random-{shape.name.lower().replace(' ', '-')}-q4_0.gguf"
    if not path.is_file():
        say(f"writing {path.name} …")
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = list(_tensors(shape))
        gguf_file.write(path, Contents(_metadata(shape, vocabulary), tensors, _contents(tensors)))
    return path


def _metadata(shape: Shape, vocabulary: Path) -> list[bytes]:
    """Return the tokenizer of one file and the shape of the other."""
    tokenizer = [raw for key, raw in gguf_file.entries(vocabulary.read_bytes()) if key.startswith("tokenizer.")]
    return [gguf_file.entry(key, value) for key, value in _described(shape).items()] + tokenizer


def _described(shape: Shape) -> dict[str, Value]:
    return {
        "general.architecture": "qwen2",
        "general.name": f"random weights, shape {shape.name}",
        "general.file_type": _FILE_TYPE_Q4_0,
        "qwen2.block_count": shape.layers,
        "qwen2.context_length": 32_768,
        "qwen2.embedding_length": shape.width,
        "qwen2.feed_forward_length": shape.inner,
        "qwen2.attention.head_count": shape.heads,
        "qwen2.attention.head_count_kv": shape.kv_heads,
        "qwen2.rope.freq_base": shape.rope_base,
        "qwen2.attention.layer_norm_rms_epsilon": 1e-6,
    }


def _tensors(shape: Shape) -> Iterator[Tensor]:
    """Yield the tensors with the types that llama.cpp's own ``llama-quantize`` gives them in a Q4_0 file."""
    width, kv = shape.width, shape.width // shape.heads * shape.kv_heads
    # The shared matrix of input and output is kept finer: in Q6_K, whose blocks are 256 wide, or else in Q8_0.
    yield _tensor("token_embd", _Q8_0 if width % 256 else _Q6_K, width, shape.tokens)
    yield _tensor("output_norm", _F32, width)
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        yield _tensor(f"{block}.attn_norm", _F32, width)
        for name, rows in (("q", width), ("k", kv), ("v", kv)):
            yield _tensor(f"{block}.attn_{name}", _Q4_0, width, rows)
            yield Tensor(f"{block}.attn_{name}.bias", (rows,), _F32, rows * 4)
        yield _tensor(f"{block}.attn_output", _Q4_0, width, width)
        yield _tensor(f"{block}.ffn_norm", _F32, width)
        yield _tensor(f"{block}.ffn_gate", _Q4_0, width, shape.inner)
        yield _tensor(f"{block}.ffn_up", _Q4_0, width, shape.inner)
        yield _tensor(f"{block}.ffn_down", _Q4_0, shape.inner, width)


def _tensor(name: str, kind: int, *shape: int) -> Tensor:
    count = int(np.prod(shape))
    n_bytes = count * 4 if kind == _F32 else count // _BLOCKS[kind].weights * _BLOCKS[kind].layout.itemsize
    return Tensor(f"{name}.weight", shape, kind, n_bytes)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """How a quantised type keeps its weights.

    Attributes:
        weights: In one block.
        layout: Of one block.
        spread: Standard deviation of a block's weights where its bytes are random and its scale is 1.
    """

    weights: int
    layout: np.dtype[np.void]
    spread: float


_BLOCKS = {
    _Q4_0: _Blocks(32, np.dtype([("scale", "<f2"), ("bits", "u1", 16)]), spread=4.6),
    _Q8_0: _Blocks(32, np.dtype([("scale", "<f2"), ("bits", "u1", 32)]), spread=74),
    _Q6_K: _Blocks(256, np.dtype([("bits", "u1", 192), ("scales", "i1", 16), ("scale", "<f2")]), spread=18.5 * 64),
}


def _contents(tensors: list[Tensor]) -> Iterator[bytes]:
    """Yield each tensor's bytes: norms are one, biases zero, the rest blocks of random bytes with scales of random sign."""
    random = np.random.default_rng(_SEED)
    for tensor in tensors:
        if tensor.kind == _F32:
            yield np.full(tensor.shape, 0.0 if tensor.name.endswith("bias") else 1.0, "<f4").tobytes()
            continue
        kind = _BLOCKS[tensor.kind]
        blocks = np.zeros(tensor.n_bytes // kind.layout.itemsize, kind.layout)
        blocks["bits"] = random.integers(0, 256, blocks["bits"].shape, np.uint8)
        blocks["scale"] = random.choice([-1, 1], len(blocks)) * (_SPREAD / kind.spread)
        if tensor.kind == _Q6_K:
            blocks["scales"] = 64
        yield blocks.tobytes()
