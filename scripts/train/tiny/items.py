"""What each task is trained on: fields of the prompt and the answer wanted, from the sets whose licences permit it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.train import ner_data, router_data, sentiment_data
from scripts.train.readers import read_jsonl, sample
from scripts.train.tiny.joining import Mention, Sentence, joined
from smallmesh.hosting.requests import render_request
from smallmesh.hosting.sentences import split_sentences

MAX_CHARACTERS = 200
"""Of a sentence: longer ones cost the time of several short ones and teach little more."""
_REQUEST_CHARACTERS = 450
SENTIMENT = (("semeval_tweets.jsonl.gz", 30_000), ("goemotions_train.jsonl.gz", 24_000))
_TRUSTED_TWICE = ("SST sentences", "product review sentences", "CR")
NAMES = ("GMB", "GUM", "WNUT17", "Broad Twitter Corpus", "FIN", "CrossNER", "CrossNER dev")
_GMB_ROWS = 30_000
_NAMES_PASSES = 2
_OTHER_NAME, _MADE_UP_NAME, _LOWER, _AS_TOKENS, _NAMELESS = 0.45, 0.15, 0.06, 0.15, 0.25
_MOST_NAMES = 5
_SUMMARIES = 24_000
_SUMMARY_CHARACTERS = 260
_MADE_UP_TEXT = 0.25
_WRITTEN_TIMES = 14
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvwxz"


@dataclass(frozen=True)
class Item:
    """One document of a task.

    Attributes:
        fields: What the prompt's input is filled with.
        answer: The answer in pieces that are cut into tokens one by one.
    """

    fields: Mapping[str, str]
    answer: tuple[str, ...]


def sentiment(data: Path, rng: random.Random) -> list[Item]:
    """Texts and their label words."""
    folder = data / "sentiment"
    sources = [s for s in sentiment_data.SOURCES if s.file not in dict(SENTIMENT) and s.name != "IMDB"]
    rows = sentiment_data.training_rows(folder, sources, rng)
    rows += [row for row in rows if row.source in _TRUSTED_TWICE]
    rows += [r for file, limit in SENTIMENT for r in _plain(folder / file, limit, rng)]
    kept = [row for row in rows if len(row.text) <= MAX_CHARACTERS]
    rng.shuffle(kept)
    return [Item({"text": row.text}, (sentiment_data.LABELS[row.label],)) for row in kept]


def _plain(path: Path, limit: int, rng: random.Random) -> list[sentiment_data.Row]:
    raw = [r for r in read_jsonl(path) if r.get("year") not in sentiment_data.DEV_YEARS]
    return [sentiment_data.Row(r["text"], sentiment_data.LABELS.index(r["label"]), path.name) for r in sample(raw, limit, rng)]


def complexity(data: Path, rng: random.Random) -> list[Item]:
    """Requests as the router renders them, and their label words; the written ones weigh most."""
    rows = router_data.training_rows(data / "complexity", rng)
    rows += router_data.written()[0] * (_WRITTEN_TIMES - router_data.WRITTEN_TIMES)
    rng.shuffle(rows)
    return [
        Item({"text": render_request(row.instruction, row.text)}, (router_data.LABELS[row.label],))
        for row in rows
        if len(row.text) + len(row.instruction or "") <= _REQUEST_CHARACTERS
    ]


def names(data: Path, rng: random.Random) -> list[Item]:
    """Sentences and their names as JSON, many of them under other names, so that copying is what pays."""
    raw = list(_tagged_rows(data / "ner"))
    known = _gazetteer(raw)
    items: list[Item] = []
    for _ in range(_NAMES_PASSES):
        for row in raw:
            sentence = joined(row["tokens"], row["tags"], natural=rng.random() >= _AS_TOKENS)
            if (not sentence.mentions and rng.random() >= _NAMELESS) or len(sentence.mentions) > _MOST_NAMES:
                continue
            shown = _recased(sentence.renamed(lambda mention: _other(mention, known, rng)), rng)
            if len(shown.text) <= MAX_CHARACTERS and not any(set('"\\') & set(one.text) for one in shown.mentions):
                items.append(Item({"text": shown.text}, names_answer(shown.mentions, spaced=rng.random() < _AS_SCHEMA)))
    rng.shuffle(items)
    return items


_AS_SCHEMA = 0.5
"""How often the JSON has blanks after commas and colons, as generation under a schema writes it; the packs are compact."""


def names_answer(mentions: Sequence[Mention], *, spaced: bool) -> tuple[str, ...]:
    """The JSON answer, cut where a schema leaves a choice."""
    blank = " " if spaced else ""
    pieces = ['{"', "entities", '":' + blank + "[" if not spaced else '":', *([" ["] if spaced else [])]
    for index, mention in enumerate(mentions):
        pieces += [",", blank + '{"'] if index else ['{"']
        pieces += ["text", '":', ' "'] if spaced else ["text", '":"']
        pieces += [mention.text, *(['",', ' "'] if spaced else ['","']), "type"]
        pieces += ['":', ' "'] if spaced else ['":"']
        pieces += [mention.kind, '"}']
    return (*pieces, "]}")


def _tagged_rows(folder: Path) -> Iterator[dict[str, Any]]:
    for source in ner_data.SOURCES:
        if source.name in NAMES:
            rows = [ner_data._plain_mentions(row) for row in read_jsonl(folder / source.file)]  # noqa: SLF001 - the same reading
            yield from rows[:_GMB_ROWS] if source.name == "GMB" else rows


def _gazetteer(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    for row in rows:
        for mention in joined(row["tokens"], row["tags"], natural=True).mentions:
            known.setdefault(mention.kind, []).append(mention.text)
    return {kind: sorted(set(texts)) for kind, texts in known.items()}


def _other(mention: Mention, known: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    chance = rng.random()
    if chance < _OTHER_NAME:
        return rng.choice(known[mention.kind])
    if chance < _OTHER_NAME + _MADE_UP_NAME:
        return " ".join(_made_up(rng).capitalize() for _ in mention.text.split()[:3])
    return mention.text


def _made_up(rng: random.Random) -> str:
    syllables = rng.randint(1, 3)
    word = "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(syllables))
    return word + rng.choice(("", *_CONSONANTS)) if syllables > 1 else word + rng.choice(_CONSONANTS)


def _recased(sentence: Sentence, rng: random.Random) -> Sentence:
    if rng.random() >= _LOWER:
        return sentence
    return Sentence(sentence.text.lower(), tuple(Mention(one.text.lower(), one.kind) for one in sentence.mentions))


def summaries(data: Path, rng: random.Random) -> list[Item]:
    """Runs of sentences, and the first of them as their summary; some made of random words, which only copying answers."""
    texts = [text for text in _runs(data, rng) if text]
    vocabulary = sorted({word for text in texts[:4000] for word in " ".join(text).split()})
    items = []
    for run in texts:
        shown = _random_run(vocabulary, rng) if rng.random() < _MADE_UP_TEXT else run
        count = rng.choice((1, 1, 1, 2, 2, 3))
        text, first = " ".join(shown), " ".join(shown[:count])
        if len(text) <= _SUMMARY_CHARACTERS:
            items.append(Item({"sentences": str(count), "text": text}, (first,)))
    rng.shuffle(items)
    return items[:_SUMMARIES]


def _random_run(vocabulary: Sequence[str], rng: random.Random) -> list[str]:
    return [" ".join(rng.choices(vocabulary, k=rng.randint(2, 7))).rstrip(".") + "." for _ in range(rng.randint(1, 3))]


def _runs(data: Path, rng: random.Random) -> Iterator[list[str]]:
    for file in ("gum_named.jsonl.gz", "gmb_train.jsonl.gz"):
        rows = read_jsonl(data / "ner" / file)
        start = 0
        while start < len(rows):
            count = rng.choice((1, 2, 2, 3))
            yield [joined(row["tokens"], row["tags"], natural=True).text for row in rows[start : start + count]]
            start += count
    for row in read_jsonl(data / "sentiment" / "imdb_train.jsonl.gz"):
        yield [one.text for one in split_sentences(row["text"][:1_000])[: rng.randint(2, 3)]]


TASKS = {"sentiment": sentiment, "complexity_router": complexity, "ner": names, "summarizer": summaries}
"""By the agent whose prompt pack asks."""


def as_json(mentions: Sequence[Mention]) -> str:
    """The compact JSON of names, as the pack's examples write it."""
    entities = [{"text": one.text, "type": one.kind} for one in mentions]
    return json.dumps({"entities": entities}, ensure_ascii=False, separators=(",", ":"))
