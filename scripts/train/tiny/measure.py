"""Figures of the tiny model, measured on the file through llama.cpp: ``python -m scripts.train.tiny.measure --data DIR``."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.train import router_data, sentiment_data
from scripts.train.readers import read_jsonl, sample
from scripts.train.tiny.asking import Asker, opened
from scripts.train.tiny.joining import joined
from scripts.train.tiny.publish import FOLDER, MODEL_FILE, write_card
from smallmesh.hosting.llama.decoder import Decoder
from smallmesh.hosting.requests import render_request
from smallmesh.hosting.sentences import split_sentences

SERVICES = Path(__file__).resolve().parents[3] / "services"
SEED = 5
_EASY_WORDS, _EASY_NAMES = 25, 3
_KINDS = ("PERSON", "ORGANIZATION", "LOCATION")


class Figure(NamedTuple):
    """One measured number, what it was measured on, and how many texts that were."""

    what: str
    on: str
    value: float
    n: int


def accuracy(asker: Asker, rows: Sequence[tuple[str, str]], on: str) -> list[Figure]:
    """The share of labels that are right, and how often the commonest one is."""
    right = [asker.label(text) == label for text, label in rows]
    labels = [label for _, label in rows]
    commonest = max(labels.count(label) for label in set(labels)) / len(labels)
    agent = ", ".join(asker.pack.labels or ())
    return [
        Figure(f"accuracy ({agent})", on, sum(right) / len(right), len(rows)),
        Figure("share of the commonest label", on, commonest, len(rows)),
    ]


def names(asker: Asker, rows: Sequence[tuple[str, list[tuple[str, str]]]], on: str) -> list[Figure]:
    """Valid JSON without a grammar, names that stand in the text, and F1 of (name, type) pairs."""
    valid = said = stand = hit = gold = 0
    for text, wanted in rows:
        answer, _ = asker.written({"text": text}, 200)
        found = _read(answer)
        valid += found is not None
        pairs = list(found or ())
        said += len(pairs)
        stand += sum(name in text for name, _ in pairs)
        gold += len(wanted)
        for pair in pairs:
            if pair in wanted:
                wanted.remove(pair)
                hit += 1
    return [
        Figure("valid JSON without a grammar", on, valid / len(rows), len(rows)),
        Figure("names written that stand in the text", on, stand / max(said, 1), said),
        Figure("precision of name and type", on, hit / max(said, 1), said),
        Figure("recall of name and type", on, hit / max(gold, 1), gold),
        Figure("F1 of name and type", on, 2 * hit / max(said + gold, 1), len(rows)),
    ]


def summaries(asker: Asker, texts: Sequence[str], on: str) -> list[Figure]:
    """Answers that end by themselves, those that are the first sentences asked for, and words that the text has."""
    ended = same = kept = words = 0
    for index, text in enumerate(texts):
        count = index % 2 + 1
        answer, done = asker.written({"sentences": str(count), "text": text}, 160)
        ended += done
        same += answer == " ".join(one.text for one in split_sentences(text)[:count])
        words += len(answer.split())
        kept += sum(word in text for word in answer.split())
    return [
        Figure("summaries that end", on, ended / len(texts), len(texts)),
        Figure("summaries that are the first sentences", on, same / len(texts), len(texts)),
        Figure("words of summaries that stand in the text", on, kept / max(words, 1), words),
    ]


def _read(answer: str) -> list[tuple[str, str]] | None:
    try:
        entities = json.loads(answer)["entities"]
        pairs = [(one["text"], one["type"]) for one in entities]
    except (ValueError, KeyError, TypeError):
        return None
    return pairs if all(isinstance(name, str) and kind in _KINDS for name, kind in pairs) else None


def _opinions(data: Path, name: str, n: int) -> list[tuple[str, str]]:
    rows = sample(sentiment_data.dev_rows(data / "sentiment", name), n, random.Random(SEED))
    return [(row.text, sentiment_data.LABELS[row.label]) for row in rows]


def _requests(rows: Sequence[router_data.Request]) -> list[tuple[str, str]]:
    return [(render_request(row.instruction, row.text), router_data.LABELS[row.label]) for row in rows]


def _tagged(path: Path, n: int) -> list[tuple[str, list[tuple[str, str]]]]:
    """Short sentences with one to three names."""
    sentences = [joined(row["tokens"], row["tags"], natural=True) for row in read_jsonl(path)]
    easy = [s for s in sentences if len(s.text.split()) <= _EASY_WORDS and 1 <= len(s.mentions) <= _EASY_NAMES]
    return [(s.text, [(one.text, one.kind) for one in s.mentions]) for s in sample(easy, n, random.Random(SEED))]


def _news(data: Path, n: int) -> list[str]:
    rows = [joined(row["tokens"], row["tags"], natural=True).text for row in read_jsonl(data / "ner" / "gmb_dev.jsonl.gz")]
    return sample([" ".join(rows[at : at + 3]) for at in range(0, len(rows) - 2, 3)], n, random.Random(SEED))


def measured(decoder: Decoder, data: Path, n: int) -> list[Figure]:
    """All figures, ``n`` texts of each set at most."""
    parts: tuple[tuple[str, Callable[[Asker], list[Figure]]], ...] = (
        ("sentiment", lambda asker: accuracy(asker, _opinions(data, "sst", n), "SST dev")),
        ("sentiment", lambda asker: accuracy(asker, _opinions(data, "tweets", n), "SemEval 2016 dev, 2015 test")),
        ("complexity_router", lambda asker: accuracy(asker, _requests(router_data.written()[1]), "written requests, held out")),
        ("complexity_router", lambda asker: accuracy(asker, _requests(_public(data, n)), "public requests")),
        ("ner", lambda asker: names(asker, _tagged(data / "ner" / "gmb_dev.jsonl.gz", n), "GMB dev, easy sentences")),
        ("ner", lambda asker: names(asker, _tagged(data / "ner" / "ewt_uner_dev.jsonl", n), "UNER EWT dev, easy sentences")),
        ("summarizer", lambda asker: summaries(asker, _news(data, n // 2), "GMB dev, three sentences")),
    )
    return [figure for agent, measure in parts for figure in measure(Asker(decoder, SERVICES / agent))]


def _public(data: Path, n: int) -> list[router_data.Request]:
    return sample(router_data.flask(data / "complexity")[1], n, random.Random(SEED))


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = [("figure", "measured on", "value", "n"), ("---",) * 4]
    lines += [(one.what, one.on, f"{one.value:.3f}", f"{one.n:,}") for one in figures]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder holding sentiment/, complexity/ and ner/")
    parser.add_argument("--model", type=Path, default=FOLDER / MODEL_FILE)
    parser.add_argument("-n", type=int, default=300, help="most texts of each set")
    parser.add_argument("--write", action="store_true", help="write the model card with these figures")
    arguments = parser.parse_args()
    figures = table(measured(opened(arguments.model), arguments.data, arguments.n))
    print(figures)
    if arguments.write:
        write_card(figures)


if __name__ == "__main__":
    main()
