"""Train and export the tiny instruct model: ``python -m scripts.train.tiny --data DIR``."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from scripts.train.fit import seed_everything
from scripts.train.tiny.batches import Task, mixed
from scripts.train.tiny.counting import counted
from scripts.train.tiny.export import export
from scripts.train.tiny.fitting import Stage, fit
from scripts.train.tiny.items import TASKS, Item
from scripts.train.tiny.model import Shape, Tiny, spelled
from scripts.train.tiny.prompts import Asked
from scripts.train.tiny.vocabulary import TinyVocabulary
from scripts.train.tiny.wiring import CODE, lay_out, wire
from smallmesh.hosting.prompts.pack import load_pack

SEED = 20261121
SERVICES = Path(__file__).resolve().parents[3] / "services"
STAGES = (Stage(steps=400, rate=2e-3, tokens={"sentiment": 1_000, "complexity_router": 500, "ner": 800, "summarizer": 450}),)
_LABEL_WORDS = ("negative", "neutral", "positive", "simple", "medium", "complex", "Instruction", "Length", "Text", "Sentences", "none")
_VOCABULARY_TEXTS, _PACKS_TIMES = 8_000, 20
_MOST_ITEMS = 60_000
_NEAR_WIDTH = Shape.width - 2 * CODE - 9  # nine answers have odds


def vocabulary_of(items: Mapping[str, Sequence[Item]]) -> TinyVocabulary:
    """Learn the vocabulary from documents of all tasks and the prompt packs."""
    texts = [item.fields["text"] for rows in items.values() for item in rows[:_VOCABULARY_TEXTS]]
    for pack in (load_pack(SERVICES / agent) for agent in TASKS):
        texts += [pack.system, *(pack.filled(example.fields) for example in pack.examples)] * _PACKS_TIMES
    return TinyVocabulary.trained(texts, _LABEL_WORDS)


def main() -> None:
    """Train in stages; a checkpoint and a GGUF lie in the folder after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder holding sentiment/, complexity/ and ner/")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and GGUFs")
    parser.add_argument("--steps", type=int, help="steps of each stage, to try it out")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    seed_everything(SEED, arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    items = {name: rows(arguments.data, random.Random(SEED))[:_MOST_ITEMS] for name, rows in TASKS.items()}
    vocabulary = vocabulary_of(items)
    vocabulary.save(arguments.out / "tokenizer.json")
    tasks = {name: Task(Asked.of(SERVICES / name, vocabulary), rows, random.Random(SEED)) for name, rows in items.items()}
    for name, task in tasks.items():
        print(f"{name}: {len(task.rows):,} rows, {sum(map(len, task.rows)) / len(task.rows):.0f} tokens each", flush=True)
    model = Tiny(Shape(vocabulary.size))
    rows = {name: task.rows for name, task in tasks.items()}
    counts = counted(vocabulary, rows, items, _NEAR_WIDTH)
    model.embedding.data = lay_out(counts, spelled(vocabulary.strings(), CODE))
    wire(model, counts.answers, opener=vocabulary.tokenize("assistant")[-1])
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {time.process_time():.0f}s so far", flush=True)
    for number, stage in enumerate(STAGES, 1):
        run = replace(stage, steps=arguments.steps) if arguments.steps else stage
        keep = partial(_keep, model, vocabulary, arguments.out / f"stage{number}")
        fit(model, mixed(tasks, run.tokens, run.steps), run, keep)


def _keep(model: Tiny, vocabulary: TinyVocabulary, path: Path) -> None:
    """Write a checkpoint and a GGUF; each is there whole or not at all."""
    made = path.with_suffix(".new")
    torch.save(model.state_dict(), made)
    made.replace(path.with_suffix(".pt"))
    export(model, vocabulary, made)
    made.replace(path.with_suffix(".gguf"))


if __name__ == "__main__":
    main()
