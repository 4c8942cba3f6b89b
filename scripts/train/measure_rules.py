"""Measure the rules for entities, without any model: ``python -m scripts.train.measure_rules --data DIR``.

Protocol. DATE and MONEY: the labelled slots (restaurant, hotel and bank requests) in which that type is marked; only slots
asked for are marked, so texts without one say nothing. A span counts where both ends are exact. There, DATE means also
durations ("3 nights") and times of day ("in an hour"), which the rules leave alone. EMAIL, URL, PHONE: the synthetic
personal data; most of its telephone numbers are of countries beyond the regions set, and without their prefix nothing
tells them from other numbers, so those that the regions' formats allow are counted apart.

False alarms: every hit in 1,000 plain sentences was read by one person. ``rule_verdicts.json`` holds the verdicts as
hashes, no text; a hit without one is counted as such, and ``--show`` prints it with its hash. A span with a word too
many or too few counts as right where it names a date, an amount or an address.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import phonenumbers

from scripts.train.measure import Figure, at_least
from scripts.train.readers import read_jsonl
from smallmesh.entities import LOCALES, REGIONS, rules_for
from smallmesh.evaluation.metrics import span_scores
from smallmesh_contracts import Entity, EntityType

VERDICTS = Path(__file__).parent / "data" / "rule_verdicts.json"
SLOTS = "slots, texts with one marked"
PII = "Presidio synthetic, dev half"
PLAIN = {"UNER English-EWT dev": ("ewt_uner_dev.jsonl", 0), "GUM (tokenised)": ("gum_named.jsonl.gz", 250)}
"""Sets of plain sentences: file, and how many of the shuffled rows were looked at before and are left out."""
SENTENCES = 1_000
SEED = 5
SLOT_BAR, RECALL_BAR = 0.85, 0.95
LONG = 32_768
Spans = set[tuple[int, int, str]]


def rules(data: Path) -> list[Figure]:
    """All figures of the rules."""
    find = rules_for(REGIONS, LOCALES).find
    figures = [*_slots(data, find), *_addresses(data, find), *_phones(data, find), _dates(data, find)]
    for label in PLAIN:
        figures += _alarms(label, hits(data, label, find), verdicts())
    return [*figures, _speed(data, find)]


Find = Callable[[str], list[Entity]]


def _spans(entities: Iterable[Entity], kind: str) -> Spans:
    return {(entity.start, entity.end, kind) for entity in entities if entity.type == kind}


def _pairs(rows: Sequence[Mapping[str, Any]], kind: str, find: Find) -> list[tuple[Spans, Spans]]:
    return [(_spans(find(row["text"]), kind), {(start, end, kind) for start, end, name in row["spans"] if name == kind}) for row in rows]


def _slots(data: Path, find: Find) -> Iterator[Figure]:
    rows = read_jsonl(data / "ner" / "slots_date_time_money.jsonl.gz")
    for kind in (EntityType.DATE.value, EntityType.MONEY.value):
        marked = [row for row in rows if any(name == kind for *_, name in row["spans"])]
        pairs = _pairs(marked, kind, find)
        precision, recall, f1, size = span_scores(pairs)
        yield at_least(f"F1 of {kind}", SLOTS, f1, size, SLOT_BAR)
        yield Figure(f"precision of {kind}", SLOTS, precision, size)
        yield Figure(f"recall of {kind}", SLOTS, recall, size)
        yield Figure(f"recall of {kind}, any overlap", SLOTS, _touched(pairs), size)


def _touched(pairs: Sequence[tuple[Spans, Spans]]) -> float:
    touched = [any(a < d and c < b for c, d, _ in ours) for ours, theirs in pairs for a, b, _ in theirs]
    return sum(touched) / max(1, len(touched))


def _personal(data: Path) -> list[dict[str, Any]]:
    return read_jsonl(data / "pii" / "presidio_synth_dev.jsonl.gz")


def _addresses(data: Path, find: Find) -> Iterator[Figure]:
    for kind in (EntityType.EMAIL.value, EntityType.URL.value):
        precision, recall, _, size = span_scores(_pairs(_personal(data), kind, find))
        yield at_least(f"recall of {kind}", PII, recall, size, RECALL_BAR)
        yield Figure(f"precision of {kind}", PII, precision, size)


def _phones(data: Path, find: Find) -> Iterator[Figure]:
    kind = EntityType.PHONE.value
    rows = _personal(data)
    pairs = _pairs(rows, kind, find)
    found = [
        (row["text"][start:end], (start, end, kind) in ours)
        for row, (ours, theirs) in zip(rows, pairs, strict=True)
        for start, end, _ in theirs
    ]
    ours = [right for number, right in found if _of_regions(number)]
    precision, recall, _, size = span_scores(pairs)
    yield at_least(f"recall of {kind}", f"{PII}: with + or a format of {', '.join(REGIONS)}", sum(ours) / len(ours), len(ours), RECALL_BAR)
    yield Figure(f"recall of {kind}", f"{PII}: of all countries, most without prefix", recall, size)
    yield Figure(f"precision of {kind}", PII, precision, size)


def _of_regions(number: str) -> bool:
    """Whether a number has a country's prefix or is valid, as it is written, in one of the regions."""
    if number.startswith(("+", "00")):
        return True
    for region in REGIONS:
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed) and (parsed.country_code == 1 or number.lstrip("(").startswith("0")):
            return True
    return False


def _dates(data: Path, find: Find) -> Figure:
    kind = EntityType.DATE.value
    pairs = [pair for pair in _pairs(_personal(data), kind, find) if pair[1]]
    return Figure(
        f"recall of {kind}, any overlap",
        f"{PII}; with the time of day it marks more",
        _touched(pairs),
        sum(len(theirs) for _, theirs in pairs),
    )


def hits(data: Path, label: str, find: Find) -> list[tuple[str, Entity]]:
    """Every hit in the plain sentences of one set, with its text."""
    file, seen = PLAIN[label]
    rows = read_jsonl(data / "ner" / file)
    random.Random(SEED).shuffle(rows)
    texts = [row.get("text") or " ".join(row["tokens"]) for row in rows[seen : seen + SENTENCES]]
    return [(text, entity) for text in texts for entity in find(text)]


def mark(text: str, entity: Entity) -> str:
    """A hit's name in the list of verdicts."""
    return hashlib.sha256(f"{text}\n{entity.start} {entity.end} {entity.type.value}".encode()).hexdigest()[:12]


def verdicts() -> dict[str, bool]:
    """Hits that were read, and whether each is right."""
    read = json.loads(VERDICTS.read_text(encoding="utf-8"))
    return {**dict.fromkeys(read["right"], True), **dict.fromkeys(read["wrong"], False)}


def _alarms(label: str, found: Sequence[tuple[str, Entity]], read: Mapping[str, bool]) -> Iterator[Figure]:
    for kind in (EntityType.DATE, EntityType.MONEY, EntityType.EMAIL, EntityType.PHONE, EntityType.URL):
        right = [read.get(mark(text, entity)) for text, entity in found if entity.type == kind]
        yield Figure(f"false alarms of {kind.value}", f"{SENTENCES:,} sentences of {label}; n is the hits", right.count(False), len(right))
        if None in right:
            yield Figure(f"hits of {kind.value} nobody has read", label, right.count(None), len(right))


def _speed(data: Path, find: Find) -> Figure:
    mails = (row["text"] for row in read_jsonl(data / "summary" / "aeslc_dev.jsonl.gz"))
    text = "\n\n".join(mails)[:LONG]
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        find(text)
        spent.append(time.perf_counter() - began)
    return Figure("ms for 32 KiB, rules alone", "e-mails (AESLC dev)", sorted(spent)[2] * 1000, len(spent))


def main() -> None:
    """Print the figures, or the hits that nobody has read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder holding ner/, pii/ and summary/")
    parser.add_argument("--show", action="store_true", help="print the hits without a verdict instead")
    arguments = parser.parse_args()
    if not arguments.show:
        for figure in rules(arguments.data):
            print(f"{figure.name:34} {figure.value:8.3f} {figure.size:6,} {figure.bar:8} {figure.data}")
        return
    find, read = rules_for(REGIONS, LOCALES).find, verdicts()
    for label in PLAIN:
        for text, entity in hits(arguments.data, label, find):
            if mark(text, entity) not in read:
                before, after = text[max(0, entity.start - 40) : entity.start], text[entity.end : entity.end + 20]
                print(f"{mark(text, entity)} {entity.type.value:6} {before!r} [{entity.text}] {after!r}")


if __name__ == "__main__":
    main()
