"""Sentiment rows from the open data sets, with what each is trusted for."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.train.readers import read_jsonl, sample, squeeze

LABELS = ("negative", "neutral", "positive")
# Held out of training: they fit the temperature, or are reported.
DEV_YEARS = ("2016dev", "2015test")
# Tokenised sets are shown half as they are, half as people write.
DETOKENISED_SHARE = 0.5
# Headings and fragments of GUM have no more words than this.
SHORT_PROSE = 6


@dataclass(frozen=True)
class Row:
    """One labelled text. ``two_class`` rows only say which of negative and positive is nearer."""

    text: str
    label: int
    source: str
    two_class: bool = False


@dataclass(frozen=True)
class Source:
    """One training set, how much of it is used, and its licence for the model card."""

    name: str
    file: str
    limit: int | None
    licence: str
    two_class: bool = False
    tokenised: bool = False


SOURCES = (
    Source("SST sentences", "sst_train.jsonl.gz", None, "no data licence stated (research corpus, Socher 2013)", tokenised=True),
    Source("MR", "mr.jsonl.gz", None, "no data licence stated (Pang & Lee 2005)", two_class=True, tokenised=True),
    Source("CR", "cr.jsonl", None, "no data licence stated (Hu & Liu 2004)", tokenised=True),
    Source("product review sentences", "product_review_sentences.jsonl", None, "MIT (VADER ground truth)"),
    Source("SemEval tweets", "semeval_tweets.jsonl.gz", 14_000, "no data licence stated (platform terms apply)"),
    Source("GoEmotions", "goemotions_train.jsonl.gz", 7_000, "CC BY 4.0"),
    Source("IMDB", "imdb_train.jsonl.gz", 1_500, "no data licence stated (Maas 2011, research corpus)"),
)
# Plain requests and factual prose, taken as neutral (weak labels): the product reads more than opinions.
NEUTRAL = (
    Source("CLINC150 requests, as neutral", "../complexity/clinc150.jsonl.gz", 1_000, "CC BY 3.0"),
    Source("GUM academic and biography sentences, as neutral", "../ner/gum_named.jsonl.gz", 1_200, "CC BY 4.0 / CC BY-SA 3.0"),
)


def _detokenise(text: str) -> str:
    text = re.sub(r" n ?'t\b", "n't", text)
    text = re.sub(r" '(s|re|ve|ll|d|m)\b", r"'\1", text)
    return re.sub(r" ([.,!?;:)])", r"\1", text)


def training_rows(folder: Path, sources: Sequence[Source], rng: random.Random) -> list[Row]:
    """The rows of ``sources`` and the neutral ones, without texts of the SST development set (MR repeats most of them)."""
    held_out = {squeeze(row["text"]) for row in read_jsonl(folder / "sst_dev.jsonl")}
    rows: list[Row] = []
    for source in sources:
        raw = [r for r in read_jsonl(folder / source.file) if r.get("year") not in DEV_YEARS]
        raw = [r for r in raw if squeeze(r["text"]) not in held_out]
        for item in sample(raw, source.limit, rng):
            text = _detokenise(item["text"]) if source.tokenised and rng.random() < DETOKENISED_SHARE else item["text"]
            rows.append(Row(text, LABELS.index(item["label"]), source.name, source.two_class))
    for source in NEUTRAL:
        texts = _neutral_texts(folder / source.file)
        rows.extend(Row(text, 1, source.name) for text in sample(texts, source.limit, rng))
    rng.shuffle(rows)
    return rows


def _neutral_texts(path: Path) -> list[str]:
    rows = read_jsonl(path)
    if "gum" in path.name:
        return [_detokenise(" ".join(r["tokens"])) for r in rows if r["genre"] in ("academic", "bio") and len(r["tokens"]) > SHORT_PROSE]
    return [r["text"] for r in rows]


def split(rows: list[Row], share: float = 0.04) -> tuple[list[Row], list[Row]]:
    """Training rows and a held-out slice for the temperature (three-class rows only), in the given order."""
    count = int(len(rows) * share)
    held = [row for row in rows[:count] if not row.two_class]
    return rows[count:], held


def dev_rows(folder: Path, name: str) -> list[Row]:
    """A development set: ``sst``, ``tweets`` (SemEval 2016 dev and 2015 test) or ``goemotions``."""
    if name == "sst":
        raw = read_jsonl(folder / "sst_dev.jsonl")
    elif name == "tweets":
        raw = [r for r in read_jsonl(folder / "semeval_tweets.jsonl.gz") if r["year"] in DEV_YEARS]
    else:
        raw = read_jsonl(folder / "goemotions_dev.jsonl.gz")
    return [Row(r["text"], LABELS.index(r["label"]), name) for r in raw]
