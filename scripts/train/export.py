"""Writes an encoder as a GGUF file that llama.cpp loads: Q8_0 layers, Q4_0 token embedding, F32 norms and biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize
from numpy.typing import NDArray

from scripts.train.bert import Bert, Classifier, base_folder

ARCHITECTURE = "bert"
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_POOLING = {
    "none": gguf.PoolingType.NONE,
    "mean": gguf.PoolingType.MEAN,
    "rank": gguf.PoolingType.RANK,
}
_LAYER = {
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "output": "attn_output",
    "output_norm": "attn_output_norm",
    "up": "ffn_up",
    "down": "ffn_down",
    "down_norm": "layer_output_norm",
}


@dataclass(frozen=True)
class Extras:
    """Our own metadata: numbers, texts and float arrays under ``smallmesh.``."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def export(model: Bert | Classifier, path: Path, *, name: str, pooling: str, extras: Extras | None = None) -> None:
    """Write ``model`` to ``path``; a Classifier brings its head and its labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bert = model.bert if isinstance(model, Classifier) else model
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    _write_shape(writer, bert, name, pooling)
    _write_vocabulary(writer)
    _write_encoder(writer, bert)
    if isinstance(model, Classifier):
        _write_head(writer, model)
    _write_extras(writer, extras or Extras())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_shape(writer: gguf.GGUFWriter, bert: Bert, name: str, pooling: str) -> None:
    config = bert.config
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_context_length(config.positions)
    writer.add_embedding_length(config.hidden)
    writer.add_feed_forward_length(config.inner)
    writer.add_block_count(config.layers)
    writer.add_head_count(config.heads)
    writer.add_layer_norm_eps(config.eps)
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(_POOLING[pooling])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _write_vocabulary(writer: gguf.GGUFWriter) -> None:
    """WordPiece as llama.cpp wants it: "▁" before a word's first piece, nothing before the others."""
    words = (base_folder() / "vocab.txt").read_text(encoding="utf-8").splitlines()
    kinds = [gguf.TokenType.CONTROL if word in _SPECIAL else gguf.TokenType.NORMAL for word in words]
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([_phantom_space(word) for word in words])
    writer.add_token_types(kinds)
    index = {word: i for i, word in enumerate(words)}
    writer.add_bos_token_id(index["[CLS]"])
    writer.add_eos_token_id(index["[SEP]"])
    writer.add_sep_token_id(index["[SEP]"])
    writer.add_unk_token_id(index["[UNK]"])
    writer.add_pad_token_id(index["[PAD]"])
    writer.add_mask_token_id(index["[MASK]"])


def _phantom_space(word: str) -> str:
    if word in _SPECIAL:
        return word
    return word[2:] if word.startswith("##") else "\u2581" + word


def _write_encoder(writer: gguf.GGUFWriter, bert: Bert) -> None:
    state = {key: value.detach().numpy() for key, value in bert.state_dict().items()}
    _add(writer, "token_embd.weight", state["word.weight"], gguf.GGMLQuantizationType.Q4_0)
    _add(writer, "position_embd.weight", state["position.weight"])
    _add(writer, "token_types.weight", state["kind.weight"])
    for kind in ("weight", "bias"):
        _add(writer, f"token_embd_norm.{kind}", state[f"norm.{kind}"])
    for layer in range(bert.config.layers):
        for ours, theirs in _LAYER.items():
            weight = state[f"layers.{layer}.{ours}.weight"]
            _add(writer, f"blk.{layer}.{theirs}.weight", weight, None if weight.ndim == 1 else gguf.GGMLQuantizationType.Q8_0)
            _add(writer, f"blk.{layer}.{theirs}.bias", state[f"layers.{layer}.{ours}.bias"])


def _write_head(writer: gguf.GGUFWriter, model: Classifier) -> None:
    writer.add_classifier_output_labels(list(model.labels))
    # llama.cpp's own converter drops the pooler; without it the scores are silently wrong.
    for name, module in (("cls", model.pooler), ("cls.output", model.scores)):
        _add(writer, f"{name}.weight", module.weight.detach().numpy())
        _add(writer, f"{name}.bias", module.bias.detach().numpy())


def _write_extras(writer: gguf.GGUFWriter, extras: Extras) -> None:
    for key, number in extras.numbers.items():
        writer.add_float32(f"smallmesh.{key}", number)
    for key, text in extras.texts.items():
        writer.add_string(f"smallmesh.{key}", text)
    for key, array in extras.arrays.items():
        writer.add_array(f"smallmesh.{key}", array.astype(np.float32).ravel().tolist())


def _add(
    writer: gguf.GGUFWriter,
    name: str,
    values: NDArray[np.float32],
    kind: gguf.GGMLQuantizationType | None = None,
) -> None:
    values = np.ascontiguousarray(values, dtype=np.float32)
    if kind is None:
        writer.add_tensor(name, values)
    else:
        writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
