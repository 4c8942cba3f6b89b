"""Sentences with names from the open data sets, as the words that serving sees."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.train.readers import read_jsonl, sample
from smallmesh.hosting.tagging import LABELS
from smallmesh.hosting.words import Word, split_words

IGNORE = -100
_PERSON = ("PER", "POLITICIAN", "WRITER", "SCIENTIST", "RESEARCHER", "MUSICALARTIST", "PERSON")
_ORGANISATION = ("ORG", "CORP", "GROUP", "POLITICALPARTY", "BAND", "UNIVERSITY", "ORGANISATION")
_LOCATION = ("LOC", "COUNTRY", "LOCATION")
TYPE_OF = {
    **dict.fromkeys(_PERSON, "PERSON"),
    **dict.fromkeys(_ORGANISATION, "ORGANIZATION"),
    **dict.fromkeys(_LOCATION, "LOCATION"),
}


@dataclass(frozen=True)
class Source:
    """One training set: how often it is read, how much of it, its licence for the model card."""

    name: str
    file: str
    licence: str
    times: int = 1
    limit: int | None = None
    ordered: bool = False


SOURCES = (
    Source("GMB", "gmb_train.jsonl.gz", "public-domain texts; no licence stated for the annotations", limit=32_000, ordered=True),
    Source("GUM", "gum_named.jsonl.gz", "CC BY 2.5 / CC BY 4.0 / CC BY-SA 3.0 by genre", times=2, ordered=True),
    Source("WNUT17", "wnut17_train.jsonl", "CC BY 4.0", times=2),
    Source("Broad Twitter Corpus", "btc_train.jsonl.gz", "CC BY 4.0"),
    Source("FIN", "fin5_train.jsonl", "CC BY 3.0"),
    Source("CrossNER", "crossner_train.jsonl", "MIT (texts from Wikipedia)", times=2),
    Source("CrossNER dev", "crossner_dev.jsonl.gz", "MIT (texts from Wikipedia)"),
    Source("WikiANN", "wikiann_en_silver.jsonl.gz", "no data licence stated", limit=5_000),
)
# How often a row is given another case, and how often it is joined with the sentences after it.
RECASED = 0.13
JOINED = 0.3


@dataclass(frozen=True)
class Tagged:
    """The words of one text and an index into ``LABELS`` for each; IGNORE where nobody knows."""

    words: Sequence[Word]
    labels: Sequence[int]


def from_tokens(tokens: Sequence[str], tags: Sequence[str]) -> tuple[str, list[int]]:
    """A text of space-joined tokens, and the label index of each word that serving will find in it."""
    labels: list[int] = []
    for token, tag in zip(tokens, tags, strict=True):
        kind = TYPE_OF.get(tag[2:])
        for part, _ in enumerate(split_words(token)):
            edge = "B" if part == 0 and tag.startswith("B-") else "I"
            labels.append(LABELS.index(f"{edge}-{kind}") if kind else 0)
    return " ".join(tokens), labels


def _plain_mentions(row: dict[str, Any]) -> dict[str, Any]:
    """BTC marks @mentions as persons, the other sets do not: here they are no names."""
    tags = list(row["tags"])
    for index, token in enumerate(row["tokens"]):
        if token.startswith("@") and len(token) > 1:
            tags[index] = "O"
            if index + 1 < len(tags) and tags[index + 1].startswith("I-"):
                tags[index + 1] = "B-" + tags[index + 1][2:]
    return {**row, "tags": tags}


def _recase(text: str, rng: random.Random) -> str:
    (form,) = rng.choices((str.lower, str.upper, str.title), weights=(11, 5, 4))
    return form(text)


def training_rows(folder: Path, rng: random.Random) -> list[Tagged]:
    """All training texts, some recased, some joined with the sentences after them."""
    rows: list[Tagged] = []
    for source in SOURCES:
        raw = [_plain_mentions(row) for row in read_jsonl(folder / source.file)]
        if source.limit:
            raw = raw[: source.limit] if source.ordered else sample(raw, source.limit, rng)
        for _ in range(source.times):
            rows.extend(_texts(raw, source.ordered, rng))
    rng.shuffle(rows)
    return rows


def _texts(raw: list[dict[str, Any]], ordered: bool, rng: random.Random) -> list[Tagged]:
    rows: list[Tagged] = []
    index = 0
    while index < len(raw):
        count = rng.choice((2, 3, 4)) if ordered and rng.random() < JOINED else 1
        parts = [from_tokens(row["tokens"], row["tags"]) for row in raw[index : index + count]]
        index += count
        text = " ".join(part[0] for part in parts)
        recased = _recase(text, rng) if rng.random() < RECASED else text
        words = split_words(recased)
        labels = [label for part in parts for label in part[1]]
        if len(words) == len(labels):  # upper-casing "ß" and the like may change the cuts
            rows.append(Tagged(words, labels))
    return rows


def gold_rows(folder: Path, file: str) -> list[tuple[str, set[tuple[int, int, str]]]]:
    """Texts of a development set with their gold spans (start, end, type) in characters."""
    return [_gold(row) for row in read_jsonl(folder / file)]


def _gold(row: dict[str, Any]) -> tuple[str, set[tuple[int, int, str]]]:
    if "spans" in row:
        return row["text"], {(s, e, TYPE_OF[kind]) for s, e, kind in row["spans"] if kind in TYPE_OF}
    text, spans, at, begin = " ".join(row["tokens"]), set(), 0, -1
    tags = [*row["tags"], "O"]
    for index, token in enumerate(row["tokens"]):
        kind = TYPE_OF.get(tags[index][2:])
        begin = at if tags[index].startswith("B-") else begin
        at += len(token)
        if kind and not tags[index + 1].startswith("I-"):
            spans.add((begin, at, kind))
        at += 1
    return text, spans
