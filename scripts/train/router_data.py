"""Requests for the router: the ones written for this product, and public prompts as weak proxies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.train.readers import read_jsonl, sample, squeeze
from smallmesh.hosting.sentences import split_sentences

LABELS = ("simple", "medium", "complex")
WRITTEN = Path(__file__).parent / "data" / "complexity_requests.jsonl"
HELD_OUT_SHARE = 0.2
SPLIT_SEED = 7
# The written rows are few and the only ones labelled by our guide.
WRITTEN_TIMES = 7
# How many public prompts of each kind keep (or are given) the other form, so that the form says little.
BARE_SHARE = 0.4

SIMPLE, MEDIUM, COMPLEX = range(3)

# Put before short public texts, so that having an instruction says nothing about the label.
_SIMPLE_INSTRUCTIONS = (
    "What does the customer want?",
    "Classify the topic.",
    "Is this positive or negative?",
    "Which product is meant?",
    "Summarise in one sentence.",
    "Pick the category: billing, delivery, account, other.",
    "Which language is this?",
    "Who wrote this?",
    "Is it urgent? Answer yes or no.",
    "Rephrase politely.",
)

LICENCES = {
    "requests written for this product": "Apache-2.0 (scripts/train/data)",
    "Banking77": "CC BY 4.0",
    "CLINC150": "CC BY 3.0",
    "Bitext customer support": "CDLA-Sharing 1.0",
    "TREC questions": "no data licence stated",
    "GSM8K": "MIT",
    "FLASK": "no data licence stated",
    "MixEval (TriviaQA, CommonsenseQA, PIQA, SIQA, ARC, BoolQ, DROP, MMLU-Pro, MATH parts)": "no data licence stated",
    "Self-Instruct seeds (classification tasks)": "Apache-2.0",
    "product review sentences": "MIT",
    "GoEmotions": "CC BY 4.0",
    "IMDB": "no data licence stated",
    "GUM": "CC BY 2.5 / CC BY 4.0 / CC BY-SA 3.0",
}


@dataclass(frozen=True)
class Request:
    """One request and its verdict (index into ``LABELS``)."""

    instruction: str | None
    text: str
    label: int
    source: str


def written() -> tuple[list[Request], list[Request]]:
    """The written requests: for training, and a seeded fifth held out. Split by text, as twins share theirs."""
    rows = [Request(r["instruction"], r["text"], LABELS.index(r["label"]), "written") for r in read_jsonl(WRITTEN)]
    texts = sorted({row.text for row in rows})
    random.Random(SPLIT_SEED).shuffle(texts)
    held = set(texts[: int(len(texts) * HELD_OUT_SHARE)])
    return [row for row in rows if row.text not in held], [row for row in rows if row.text in held]


def flask(folder: Path) -> tuple[list[Request], list[Request]]:
    """FLASK prompts by difficulty (1 simple, 2-3 medium, 4-5 complex): for training, and a seeded fifth held out."""
    label = {1: SIMPLE, 2: MEDIUM, 3: MEDIUM, 4: COMPLEX, 5: COMPLEX}
    raw = read_jsonl(folder / "flask_other.jsonl")
    random.Random(SPLIT_SEED).shuffle(raw)
    rows = [_shown(r["text"].replace("\\n", "\n"), label[r["difficulty_1_5"]], "flask", random.Random(i)) for i, r in enumerate(raw)]
    count = int(len(rows) * HELD_OUT_SHARE)
    return rows[count:], rows[:count]


def needs_strong(folder: Path) -> list[tuple[str, bool]]:
    """RouteLLM's MMLU prompts and whether only the strong model answered right. For evaluation only."""
    rows = read_jsonl(folder / "routellm_mmlu_10.jsonl")
    return [(r["text"], r["strong_correct"] and not r["weak_correct"]) for r in rows if not r["contaminated"]]


def plain_documents(folder: Path, rng: random.Random) -> list[Request]:
    """Documents without an instruction: reviews, comments, news. Simple, as the default answers are all they want."""
    data = folder.parent
    rows = [r["text"] for r in sample(read_jsonl(data / "sentiment/imdb_train.jsonl.gz"), 250, rng)]
    rows += [r["text"] for r in sample(read_jsonl(data / "sentiment/product_review_sentences.jsonl"), 250, rng)]
    rows += [r["text"] for r in sample(read_jsonl(data / "sentiment/goemotions_train.jsonl.gz"), 250, rng)]
    gum = read_jsonl(data / "ner/gum_named.jsonl.gz")
    for _ in range(350):
        start, count = rng.randrange(len(gum)), rng.randint(1, 8)
        rows.append(" ".join(" ".join(r["tokens"]) for r in gum[start : start + count]))
    return [Request(None, text, SIMPLE, "documents") for text in rows]


def training_rows(folder: Path, rng: random.Random) -> list[Request]:
    """All training requests, the written ones repeated; ``folder`` is the complexity folder."""
    rows = written()[0] * WRITTEN_TIMES + flask(folder)[0] + plain_documents(folder, rng)
    rows += list(_short_requests(folder, rng))
    rows += list(_word_problems(folder, rng))
    rows += list(_benchmarks(folder, rng))
    held = {squeeze(text) for text, _ in needs_strong(folder)}
    rows = [row for row in rows if squeeze(row.text) not in held]
    rng.shuffle(rows)
    return rows


def _short_requests(folder: Path, rng: random.Random) -> Iterator[Request]:
    for file, limit in (
        ("banking77.jsonl.gz", 350),
        ("clinc150.jsonl.gz", 350),
        ("bitext_support.jsonl", 300),
        ("trec_questions.jsonl", 300),
    ):
        for row in sample(read_jsonl(folder / file), limit, rng):
            instruction = rng.choice(_SIMPLE_INSTRUCTIONS) if rng.random() < BARE_SHARE else None
            yield Request(instruction, row["text"], SIMPLE, row["source"])
    for row in read_jsonl(folder / "self_instruct_seeds.jsonl"):
        if row["is_classification"]:
            yield _shown(row["text"], SIMPLE, "self_instruct", rng)


def _word_problems(folder: Path, rng: random.Random) -> Iterator[Request]:
    rows = read_jsonl(folder / "gsm8k_train.jsonl.gz")
    for low, high, limit, label in ((0, 1, 80, SIMPLE), (2, 5, 600, MEDIUM), (7, 99, 166, COMPLEX)):
        fitting = [r for r in rows if low <= r["n_steps"] <= high]
        for row in sample(fitting, limit, rng):
            yield _shown(row["text"], label, "gsm8k", rng, question_last=True)


_BENCHMARKS = {
    "TriviaQA": (SIMPLE, 150),
    "CommonsenseQA": (SIMPLE, 60),
    "PIQA": (SIMPLE, 40),
    "SIQA": (SIMPLE, 40),
    "ARC": (SIMPLE, 60),
    "BoolQ": (SIMPLE, 100),
    "DROP": (MEDIUM, 250),
    "MMLU-Pro": (COMPLEX, 59),
    "MATH": (COMPLEX, 29),
}


def _benchmarks(folder: Path, rng: random.Random) -> Iterator[Request]:
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in read_jsonl(folder / "mixeval.jsonl.gz"):
        by_name.setdefault(row["source"].split("/")[1], []).append(row)
    for name, (label, limit) in _BENCHMARKS.items():
        for row in sample(by_name[name], limit, rng):
            yield _shown(row["text"], label, f"mixeval/{name}", rng)


def _shown(text: str, label: int, source: str, rng: random.Random, *, question_last: bool = False) -> Request:
    """A bare prompt as a request: as a text alone, or with its first (or last) sentence as the instruction."""
    sentences = split_sentences(text)
    if len(sentences) == 1 or rng.random() < BARE_SHARE:
        return Request(None, text, label, source)
    if question_last:
        return Request(sentences[-1].text, text[: sentences[-1].start].strip(), label, source)
    return Request(sentences[0].text, text[sentences[0].end :].strip(), label, source)
