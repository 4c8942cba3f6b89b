"""Train and export the sentiment model: ``python -m scripts.train.sentiment --data DIR``."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from scripts.train.bert import Classifier, load_base, load_tokenizer
from scripts.train.export import Extras, export
from scripts.train.fit import CLS, SEP, Schedule, fit, fit_temperature, pad, predict, seed_everything
from scripts.train.parity import check_classifier
from scripts.train.publish import MODEL_FILE, Facts, publish
from scripts.train.sentiment_data import LABELS, SOURCES, Row, dev_rows, split, training_rows

SEED = 20261121
FACTS = Facts(agent="sentiment", id="sentiment-minilm-q8", pooling="rank")
# Longer texts are cut in training only: the opinion of a review is usually clear by then, and time is linear in it.
MAX_TOKENS = 128
SCHEDULE = Schedule(epochs=1.0, batch=32, encoder_rate=1e-4, head_rate=5e-4)
NEUTRAL_LABEL = LABELS.index("neutral")


def encode(texts: list[str], limit: int = MAX_TOKENS) -> list[list[int]]:
    """Token ids with the special tokens, cut to ``limit``."""
    plain = load_tokenizer().encode_batch(texts, add_special_tokens=False)
    return [[CLS, *item.ids[: limit - 2], SEP] for item in plain]


def train(model: Classifier, rows: list[Row], schedule: Schedule) -> None:
    """Fit the classifier to ``rows``, in place. Two-class rows are scored without the neutral logit."""
    tokens = encode([row.text for row in rows])
    gold = torch.tensor([row.label for row in rows])
    two_class = torch.tensor([row.two_class for row in rows])

    def loss_of(batch: list[int]) -> torch.Tensor:
        logits = model(*pad([tokens[i] for i in batch]))
        blocked = torch.zeros_like(logits)
        blocked[two_class[batch], NEUTRAL_LABEL] = -1e4
        return functional.cross_entropy(logits + blocked, gold[batch])

    fit(model, [len(t) for t in tokens], loss_of, schedule, SEED)


def main() -> None:
    """Train, fit the temperature on held-out rows, export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder holding sentiment/, complexity/ and ner/")
    parser.add_argument("--out", type=Path, default=Path("services/sentiment"))
    parser.add_argument("--checkpoint", type=Path, help="file to keep the weights in, and to take them from where it exists")
    arguments = parser.parse_args()
    seed_everything(SEED)
    folder = arguments.data / "sentiment"
    model = Classifier(load_base(), LABELS)
    rows, held = split(training_rows(folder, SOURCES, random.Random(SEED)))
    if arguments.checkpoint and arguments.checkpoint.exists():
        model.load_state_dict(torch.load(arguments.checkpoint))
    else:
        print(f"{len(rows)} rows to train on", flush=True)
        train(model, rows, SCHEDULE)
        if arguments.checkpoint:
            torch.save(model.state_dict(), arguments.checkpoint)
    logits = predict(model, encode([row.text for row in held]))
    temperature = fit_temperature(logits, np.array([row.label for row in held]))
    print(f"temperature {temperature:.3f} on {len(held)} held-out rows")
    extras = Extras(numbers={"temperature": temperature})
    publish(arguments.out, FACTS, lambda path: export(model, path, name=FACTS.id, pooling=FACTS.pooling, extras=extras))
    check_classifier(model, arguments.out / MODEL_FILE, [row.text for row in held[:50]])
    for name in ("sst", "tweets"):
        dev = dev_rows(folder, name)
        found = predict(model, encode([row.text for row in dev])).argmax(axis=1)
        print(f"{name}: three-class accuracy {np.mean(found == np.array([row.label for row in dev])):.4f}")


if __name__ == "__main__":
    main()
