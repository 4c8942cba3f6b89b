"""Train and export the name tagger: ``python -m scripts.train.ner --data DIR``."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from scripts.train.bert import Bert, load_base, load_tokenizer
from scripts.train.export import Extras, export
from scripts.train.fit import CLS, SEP, Schedule, fit, pad, seed_everything
from scripts.train.ner_data import IGNORE, Tagged, training_rows
from scripts.train.publish import Facts, publish
from smallmesh.hosting.tagging import LABELS
from smallmesh.hosting.words import CASE_FEATURES, Word, case_features

SEED = 20261121
FACTS = Facts(agent="ner", id="ner-minilm-q8", pooling="none")
MAX_TOKENS = 128
HIDDEN = 256
SCHEDULE = Schedule(epochs=1.0, batch=32, encoder_rate=1.5e-4, head_rate=1e-3)


class Tagger(nn.Module):
    """The encoder with the head of ``smallmesh.hosting.tagging``."""

    def __init__(self, bert: Bert) -> None:
        super().__init__()
        self.bert = bert
        self.hidden = nn.Linear(bert.config.hidden + CASE_FEATURES, HIDDEN)
        self.output = nn.Linear(HIDDEN, len(LABELS))
        self.dropout = nn.Dropout(0.1)

    def forward(self, ids: Tensor, present: Tensor, rows: Tensor, columns: Tensor, features: Tensor) -> Tensor:
        """(words, labels) logits of all words of a batch; ``rows`` and ``columns`` find each word's first piece."""
        vectors = self.bert(ids, present)[rows, columns]
        inputs = torch.cat([self.dropout(vectors), features], dim=1)
        return self.output(self.dropout(functional.gelu(self.hidden(inputs), approximate="tanh")))


class Encoded:
    """One text as ids, first pieces, features and labels, cut to ``MAX_TOKENS``."""

    __slots__ = ("features", "firsts", "ids", "labels")

    def __init__(self, words: Sequence[Word], labels: Sequence[int], tokenizer: Tokenizer) -> None:
        encoding = tokenizer.encode([word.text for word in words], is_pretokenized=True, add_special_tokens=False)
        room = MAX_TOKENS - 2
        firsts: dict[int, int] = {}
        for position, word in enumerate(encoding.word_ids[:room]):
            firsts.setdefault(word, position + 1)
        self.ids = [CLS, *encoding.ids[:room], SEP]
        kept = sorted(firsts)
        self.firsts = [firsts[word] for word in kept]
        self.labels = [labels[word] for word in kept]
        self.features = case_features(words)[kept].astype(bool)


def train(rows: Sequence[Tagged], schedule: Schedule = SCHEDULE) -> Tagger:
    """A tagger fitted to ``rows``."""
    model = Tagger(load_base())
    tokenizer = load_tokenizer()
    encoded = [Encoded(row.words, row.labels, tokenizer) for row in rows if row.words]

    def loss_of(batch: list[int]) -> Tensor:
        items = [encoded[i] for i in batch]
        rows_of = torch.tensor([row for row, item in enumerate(items) for _ in item.firsts])
        columns = torch.tensor([column for item in items for column in item.firsts])
        features = torch.from_numpy(np.concatenate([item.features for item in items]).astype(np.float32))
        gold = torch.tensor([label for item in items for label in item.labels])
        logits = model(*pad([item.ids for item in items]), rows_of, columns, features)
        return functional.cross_entropy(logits, gold, ignore_index=IGNORE)

    fit(model, [len(item.ids) for item in encoded], loss_of, schedule, SEED)
    return model


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder holding ner/")
    parser.add_argument("--out", type=Path, default=Path("services/ner"))
    parser.add_argument("--checkpoint", type=Path, help="write the torch weights here, or read them if they exist")
    arguments = parser.parse_args()
    seed_everything(SEED)
    if arguments.checkpoint and arguments.checkpoint.exists():
        model = Tagger(load_base()).eval()
        model.load_state_dict(torch.load(arguments.checkpoint))
    else:
        rows = training_rows(arguments.data / "ner", random.Random(SEED))
        print(f"{len(rows)} texts to train on", flush=True)
        model = train(rows)
        if arguments.checkpoint:
            torch.save(model.state_dict(), arguments.checkpoint)
    extras = Extras(texts={"tagger.labels": ",".join(LABELS)}, arrays=head_arrays(model))
    publish(arguments.out, FACTS, lambda path: export(model.bert, path, name=FACTS.id, pooling=FACTS.pooling, extras=extras))


def head_arrays(model: Tagger) -> dict[str, np.ndarray]:
    """The head's matrices under the names ``TagHead.from_gguf`` reads."""
    parts = {"hidden": model.hidden, "output": model.output}
    return {
        f"tagger.{name}_{kind}": getattr(module, kind).detach().numpy() for name, module in parts.items() for kind in ("weight", "bias")
    }


if __name__ == "__main__":
    main()
