"""Writes the model as a GGUF that llama.cpp runs: Qwen2, matrices as Q8_0, its vocabulary and chat template inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import torch

from scripts.train.tiny.model import Tiny
from scripts.train.tiny.prompts import TEMPLATE
from scripts.train.tiny.vocabulary import SPECIALS, TinyVocabulary

ARCHITECTURE = "qwen2"
_NAME = "tiny-instruct"


def export(model: Tiny, vocabulary: TinyVocabulary, path: Path) -> None:
    """Write ``model`` to ``path``."""
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    _write_shape(writer, model)
    _write_vocabulary(writer, vocabulary)
    for name, tensor in _tensors(model):
        values = np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_shape(writer: gguf.GGUFWriter, model: Tiny) -> None:
    shape = model.shape
    writer.add_name(_NAME)
    writer.add_license("Apache-2.0")
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.rope_base)


def _write_vocabulary(writer: gguf.GGUFWriter, vocabulary: TinyVocabulary) -> None:
    strings = vocabulary.strings()
    kinds = [gguf.TokenType.CONTROL if string in SPECIALS else gguf.TokenType.NORMAL for string in strings]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(strings)
    writer.add_token_types(kinds)
    writer.add_token_merges(vocabulary.merges())
    writer.add_eos_token_id(vocabulary.special["<|im_end|>"])
    writer.add_pad_token_id(vocabulary.special["<|endoftext|>"])
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(TEMPLATE)


def _tensors(model: Tiny) -> Iterator[tuple[str, torch.Tensor]]:
    yield "token_embd.weight", model.embedding
    yield "output_norm.weight", model.norm
    for index, block in enumerate(model.blocks):
        own = f"blk.{index}"
        yield f"{own}.attn_norm.weight", block.attention_norm
        for part, weight, bias in zip("qkv", block.qkv.weight.chunk(3), block.qkv.bias.chunk(3), strict=True):
            yield f"{own}.attn_{part}.weight", weight
            yield f"{own}.attn_{part}.bias", bias
        yield f"{own}.attn_output.weight", block.output.weight
        yield f"{own}.ffn_norm.weight", block.inner_norm
        gate, up = block.gate_up.weight.chunk(2)
        yield f"{own}.ffn_gate.weight", gate
        yield f"{own}.ffn_up.weight", up
        yield f"{own}.ffn_down.weight", block.down.weight
