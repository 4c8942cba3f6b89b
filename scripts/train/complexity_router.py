"""Train and export the router's model: ``python -m scripts.train.complexity_router --data DIR``."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from scripts.train.bert import Classifier, load_base, load_tokenizer
from scripts.train.export import Extras, export
from scripts.train.facts import WINDOW
from scripts.train.fit import CLS, SEP, Schedule, fit, fit_temperature, pad, predict, seed_everything
from scripts.train.parity import check_classifier
from scripts.train.publish import MODEL_FILE, Facts, publish
from scripts.train.router_data import LABELS, Request, flask, training_rows, written
from smallmesh.hosting.requests import render_request

SEED = 20261121
FACTS = Facts(agent="complexity_router", id="complexity-router-minilm-q8", pooling="rank")
MAX_TOKENS = 160
SCHEDULE = Schedule(epochs=1.0, batch=32, encoder_rate=1e-4, head_rate=5e-4, warmup=0.1)
# The proxies are guesses, and the written labels have one reader.
SMOOTHING = 0.05


def encode(rows: list[Request], limit: int = MAX_TOKENS) -> list[list[int]]:
    """Token ids of the rendered requests with the special tokens, cut to ``limit``."""
    texts = [render_request(row.instruction, row.text) for row in rows]
    plain = load_tokenizer().encode_batch(texts, add_special_tokens=False)
    return [[CLS, *item.ids[: limit - 2], SEP] for item in plain]


def train(rows: list[Request], schedule: Schedule = SCHEDULE, seed: int = SEED) -> Classifier:
    """A classifier fitted to ``rows``."""
    model = Classifier(load_base(), LABELS)
    tokens = encode(rows)
    gold = torch.tensor([row.label for row in rows])

    def loss_of(batch: list[int]) -> torch.Tensor:
        logits = model(*pad([tokens[i] for i in batch]))
        return functional.cross_entropy(logits, gold[batch], label_smoothing=SMOOTHING)

    fit(model, [len(t) for t in tokens], loss_of, schedule, seed)
    return model


def main() -> None:
    """Train, fit the temperature, export.

    The temperature needs rows of our own kind that the model has not seen: a tenth of the written texts is kept
    for it, apart from the fifth that the report measures on.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder holding complexity/, sentiment/ and ner/")
    parser.add_argument("--out", type=Path, default=Path("services/complexity_router"))
    parser.add_argument("--checkpoint", type=Path, help="write the torch weights here, or read them if they exist")
    arguments = parser.parse_args()
    seed_everything(SEED)
    folder = arguments.data / "complexity"
    rows, calibration = split(training_rows(folder, random.Random(SEED)))
    print(f"{len(rows)} requests to train on, {len(calibration)} for the temperature", flush=True)
    if arguments.checkpoint and arguments.checkpoint.exists():
        model = Classifier(load_base(), LABELS).eval()
        model.load_state_dict(torch.load(arguments.checkpoint))
    else:
        model = train(rows)
        if arguments.checkpoint:
            torch.save(model.state_dict(), arguments.checkpoint)
    logits = predict(model, encode(calibration, WINDOW))
    temperature = fit_temperature(logits, np.array([row.label for row in calibration]))
    print(f"temperature {temperature:.3f}")
    for name, held in (("written", written()[1]), ("flask", flask(folder)[1])):
        found = predict(model, encode(held, WINDOW)).argmax(axis=1)
        print(f"{name}: accuracy {np.mean(found == np.array([row.label for row in held])):.4f} of {len(held)}")
    extras = Extras(numbers={"temperature": temperature})
    publish(arguments.out, FACTS, lambda path: export(model, path, name=FACTS.id, pooling=FACTS.pooling, extras=extras))
    texts = [render_request(row.instruction, row.text) for row in calibration]
    check_classifier(model, arguments.out / MODEL_FILE, texts)


def split(rows: list[Request], share: float = 0.1) -> tuple[list[Request], list[Request]]:
    """Training rows, and those of a seeded tenth of the written texts (once each)."""
    texts = sorted({row.text for row in rows if row.source == "written"})
    random.Random(SEED).shuffle(texts)
    kept = set(texts[: int(len(texts) * share)])
    calibration = list(dict.fromkeys(row for row in rows if row.source == "written" and row.text in kept))
    return [row for row in rows if row.source != "written" or row.text not in kept], calibration


if __name__ == "__main__":
    main()
