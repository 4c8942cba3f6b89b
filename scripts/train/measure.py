"""Measures the shipped GGUF files through ``smallmesh.hosting``, as serving uses them; torch is not needed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.train import ner_data, router_data, sentiment_data
from scripts.train.facts import WINDOW
from scripts.train.metrics import auc, softmax
from scripts.train.readers import read_jsonl, sample
from smallmesh.agent import Usage
from smallmesh.catalogue import Catalogue
from smallmesh.documents import read_pieces, with_speakers
from smallmesh.documents.extractive import select_sentences
from smallmesh.evaluation.metrics import calibration_error, macro_f1, rouge_l, span_scores
from smallmesh.hosting.card import CARD_FILE, load_card
from smallmesh.hosting.llama import Encoder
from smallmesh.hosting.model import HostedModel
from smallmesh.hosting.requests import render_request
from smallmesh.hosting.sentences import split_sentences
from smallmesh.hosting.tagging import TYPES
from smallmesh_contracts import Lane

SEED = 5
SAMPLE = 1_000
SUMMARY_SAMPLE = 100
COMPLEX = router_data.COMPLEX


@dataclass(frozen=True)
class Figure:
    """One measured value: of what, on what, how large, and the bar it was to reach where there is one."""

    name: str
    data: str
    value: float
    size: int
    bar: str = ""
    met: bool | None = None


def at_least(name: str, data: str, value: float, size: int, bar: float) -> Figure:
    """A figure that should not be lower than its bar."""
    return Figure(name, data, value, size, f"≥ {bar:.2f}", value >= bar)


def at_most(name: str, data: str, value: float, size: int, bar: float) -> Figure:
    """A figure that should not be higher than its bar."""
    return Figure(name, data, value, size, f"≤ {bar:.2f}", value <= bar)


def milliseconds(encoder: Encoder, call: Callable[[list[int]], object], tokens: int) -> float:
    """Median time of one forward pass over ``tokens`` tokens, special ones included."""
    ids = encoder.tokenize("the order has not come and nobody answers " * 40)[: tokens - 2]
    spent = []
    for _ in range(15):
        started = time.perf_counter()
        call(ids)
        spent.append(time.perf_counter() - started)
    return float(np.median(spent)) * 1000


def _speed(encoder: Encoder, call: Callable[[list[int]], object]) -> list[Figure]:
    return [
        Figure("ms a forward pass, median, one thread", f"{tokens} tokens", milliseconds(encoder, call, tokens), 15)
        for tokens in (25, WINDOW)
    ]


class _Classes:
    """Calibrated probabilities of a classifier GGUF over the first window of each text."""

    def __init__(self, path: Path) -> None:
        self.encoder = Encoder(path, pooling="rank", window=WINDOW)
        self.temperature = float(self.encoder.metadata()["smallmesh.temperature"])

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        logits = [self.encoder.scores(self.encoder.tokenize(text)[: WINDOW - 2]) for text in texts]
        return softmax(np.array(logits, dtype=float) / self.temperature)


def sentiment(model: Path, data: Path) -> list[Figure]:
    """Accuracy and calibration on held-out texts."""
    classes = _Classes(model)
    figures: list[Figure] = []
    for name, label in (("sst", "SST dev"), ("tweets", "SemEval 2016 dev + 2015 test"), ("goemotions", "GoEmotions dev")):
        rows = sentiment_data.dev_rows(data / "sentiment", name)
        rows = rows if name == "sst" else sample(rows, SAMPLE, random.Random(SEED))
        gold = np.array([row.label for row in rows])
        found = classes([row.text for row in rows])
        if name == "sst":
            figures += _two_class(found, gold, label)
        figures.append(Figure("accuracy, three classes", label, float(np.mean(found.argmax(1) == gold)), len(rows)))
        figures.append(Figure("macro F1, three classes", label, macro_f1(found.argmax(1), gold, 3), len(rows)))
        ece = calibration_error(found, gold)
        figures.append(
            at_most("calibration error, three classes", label, ece, len(rows), 0.05)
            if name == "sst"
            else Figure("calibration error, three classes", label, ece, len(rows))
        )
    figures.append(_plain_is_neutral(classes, data))
    return figures + _speed(classes.encoder, classes.encoder.scores)


def _two_class(found: np.ndarray, gold: np.ndarray, label: str) -> list[Figure]:
    polar = gold != 1
    pair = found[polar][:, [0, 2]]
    pair /= pair.sum(axis=1, keepdims=True)
    truth = gold[polar] // 2
    size = int(polar.sum())
    return [
        at_least("accuracy, two classes", label, float(np.mean(pair.argmax(1) == truth)), size, 0.90),
        at_most("calibration error, two classes", label, calibration_error(pair, truth), size, 0.05),
    ]


def _plain_is_neutral(classes: _Classes, data: Path) -> Figure:
    rows = sample(read_jsonl(data / "complexity" / "trec_questions.jsonl"), 300, random.Random(SEED))
    share = np.mean(classes([row["text"] for row in rows]).argmax(1) == 1)
    return Figure("share called neutral", "TREC factual questions (none trained on)", float(share), len(rows))


def ner(model: Path, data: Path) -> list[Figure]:
    """F1 of exactly right spans of characters, as the agent answers, on sets that were not trained on."""
    return asyncio.run(_names(model, data))


async def _names(model: Path, data: Path) -> list[Figure]:
    folder = model.parent
    found = Catalogue.load([folder.parent]).agent(folder.name)
    card = load_card(folder)
    if card is None:
        raise FileNotFoundError(folder / CARD_FILE)
    hosted = HostedModel(card, folder)
    await hosted.start()

    async def spans(text: str) -> set[tuple[int, int, str]]:
        request = found.agent.request(text=text)
        result = await found.agent.respond(request, hosted.reader(Lane.BULK, Usage()))
        return {(e.start, e.end, e.type.value) for e in result.entities if e.type.value in TYPES}

    figures: list[Figure] = []
    for file, label, bar in (
        ("ewt_uner_dev.jsonl", "UNER English-EWT dev", 0.70),
        ("wnut17_dev.jsonl", "WNUT17 dev", None),
        ("btc_dev_h.jsonl", "Broad Twitter Corpus h, @mentions counted", None),
        ("conll2003_dev.jsonl", "CoNLL-2003 dev (measured only)", None),
        ("gmb_dev.jsonl.gz", "GMB dev (silver labels, same source as training)", None),
    ):
        rows = ner_data.gold_rows(data / "ner", file)
        rows = rows if bar else sample(rows, SAMPLE, random.Random(SEED))
        pairs = [(await spans(text), gold) for text, gold in rows]
        precision, recall, f1, size = span_scores(pairs)
        figures.append(at_least("F1", label, f1, size, bar) if bar else Figure("F1", label, f1, size))
        if bar:
            figures += [Figure("precision", label, precision, size), Figure("recall", label, recall, size)]
            for kind in TYPES:
                part = span_scores([({s for s in a if s[2] == kind}, {s for s in b if s[2] == kind}) for a, b in pairs])
                figures.append(Figure(f"F1 of {kind}", label, part[2], part[3]))
    await hosted.stop()
    encoder = Encoder(model, pooling="none", window=WINDOW)
    return figures + _speed(encoder, encoder.vectors)


def complexity_router(model: Path, data: Path) -> list[Figure]:
    """AUC of "complex" beside the AUC of the prompt's length alone."""
    classes = _Classes(model)
    figures: list[Figure] = []
    for rows, label in (
        (router_data.written()[1], "written requests, held-out fifth"),
        (router_data.flask(data / "complexity")[1], "FLASK, held-out fifth (GPT-4 difficulty 4-5)"),
    ):
        found = classes([render_request(row.instruction, row.text) for row in rows])
        gold = np.array([row.label for row in rows])
        lengths = [len(row.instruction or "") + len(row.text) for row in rows]
        figures += _beside_length(label, found[:, COMPLEX], lengths, gold == COMPLEX, bar=label.startswith("written"))
        figures.append(Figure("accuracy, three classes", label, float(np.mean(found.argmax(1) == gold)), len(rows)))
        if label.startswith("written"):
            figures.append(Figure("AUC of simple against the rest", label, auc(found[:, 0], gold == 0), len(rows)))
            figures.append(Figure("calibration error, three classes", label, calibration_error(found, gold), len(rows)))
    prompts = router_data.needs_strong(data / "complexity")
    found = classes([render_request(None, text) for text, _ in prompts])
    truth = np.array([needs for _, needs in prompts])
    label = "RouteLLM MMLU: only the strong model was right"
    figures += _beside_length(label, found[:, COMPLEX], [len(text) for text, _ in prompts], truth)
    figures += _plain_documents(classes, data)
    return figures + _speed(classes.encoder, classes.encoder.scores)


def _beside_length(label: str, found: np.ndarray, lengths: Sequence[int], gold: np.ndarray, *, bar: bool = False) -> list[Figure]:
    length = auc(lengths, gold)
    ours = auc(found, gold)
    name = "AUC of complex against the rest"
    return [
        at_least(name, label, ours, len(gold), length + 0.05) if bar else Figure(name, label, ours, len(gold)),
        Figure("AUC of the prompt's length alone", label, length, len(gold)),
    ]


def _plain_documents(classes: _Classes, data: Path) -> list[Figure]:
    figures = []
    for file, label in (
        ("sentiment/goemotions_dev.jsonl.gz", "comments (GoEmotions dev)"),
        ("sentiment/airline_train.jsonl.gz", "customer tweets (measured only)"),
        ("summary/aeslc_dev.jsonl.gz", "e-mails (AESLC dev, measured only)"),
    ):
        rows = sample(read_jsonl(data / file), 200, random.Random(SEED))
        found = classes([render_request(None, row["text"]) for row in rows]).argmax(1)
        figures.append(Figure("share called simple", label, float(np.mean(found == 0)), len(rows)))
        figures.append(Figure("share called complex", label, float(np.mean(found == COMPLEX)), len(rows)))
    return figures


def summarizer(model: Path, data: Path) -> list[Figure]:
    """ROUGE-L of what the agent would quote beside that of as many leading sentences of the text as it stands, by domain."""
    encoder = Encoder(model, pooling="mean", window=WINDOW)
    figures: list[Figure] = []
    for label, rows in summary_sets(data / "summary"):
        ours, lead, kinds = [], [], Counter[str]()
        for text, references in rows:
            document, pieces = read_pieces(text)
            kinds[document.kind] += 1
            texts = [piece.text for piece in pieces]
            vectors = np.array([encoder.vector(encoder.tokenize(part)[: WINDOW - 2]) for part in texts])
            chosen = select_sentences(vectors, sentences=texts)
            quoted = " ".join(piece.text for piece in with_speakers(document, [pieces[i] for i in chosen]))
            leading = " ".join(sentence.text for sentence in split_sentences(text)[: len(chosen)])
            ours.append(max(rouge_l(quoted, reference) for reference in references))
            lead.append(max(rouge_l(leading, reference) for reference in references))
        note = f"{label}, mostly {kinds.most_common(1)[0][0]}"
        baseline = float(np.mean(lead))
        figures.append(Figure("ROUGE-L", note, float(np.mean(ours)), len(rows), f"LEAD-k {baseline:.3f}", float(np.mean(ours)) >= baseline))
    return figures + _speed(encoder, encoder.vector)


def summary_sets(folder: Path) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Samples of texts with their references, by domain."""
    mixed = read_jsonl(folder / "mixed_t0_sample.jsonl")
    by_source = {name: [r for r in mixed if r["source"] == name] for name in sorted({r["source"] for r in mixed})}
    by_source["DialogSum dev"] = read_jsonl(folder / "dialogsum_dev.jsonl")
    by_source["AESLC dev (subject lines)"] = read_jsonl(folder / "aeslc_dev.jsonl.gz")
    return [
        (name, [(r["text"], r.get("references") or [r["summary"]]) for r in sample(rows, SUMMARY_SAMPLE, random.Random(SEED))])
        for name, rows in by_source.items()
    ]
