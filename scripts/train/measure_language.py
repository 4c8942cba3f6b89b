"""Measure language detection: English refused wrongly, foreign sentences caught, beside fastText on the raw text.

``python -m scripts.train.measure_language --data DIR`` prints Markdown; ``--show`` adds every English text that would be
refused, for a person to judge: the data sets are English as a whole, not line by line.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.train.readers import read_jsonl, sample
from smallmesh.language import Detected, Detector
from smallmesh.language.detection import model_file

SENTENCES = Path(__file__).parents[2] / "tests" / "unit" / "data"
MOST_WORDS = 40
"""Longer texts are left out: they are no sentences."""
LIMIT = 10_000
"""Texts of one source, chosen by a seeded choice."""

TUNED_ON = (
    "ner/ewt_uner_dev.jsonl",
    "ner/gum_named.jsonl.gz",
    "ner/wnut17_dev.jsonl",
    "ner/btc_dev_h.jsonl",
    "ner/slots_date_time_money.jsonl.gz",
    "ner/crossner_dev.jsonl.gz",
    "ner/conll2003_dev.jsonl",
    "ner/gmb_dev.jsonl.gz",
    "ner/fin5_train.jsonl",
    "sentiment/sst_dev.jsonl",
    "sentiment/cr.jsonl",
    "sentiment/mpqa.jsonl",
    "sentiment/airline_train.jsonl.gz",
    "sentiment/semeval_tweets.jsonl.gz",
    "sentiment/goemotions_dev.jsonl.gz",
    "sentiment/phrasebank_train.jsonl",
    "sentiment/product_review_sentences.jsonl",
    "complexity/clinc150.jsonl.gz",
    "complexity/banking77.jsonl.gz",
    "complexity/bitext_support.jsonl",
    "complexity/trec_questions.jsonl",
    "pii/presidio_synth_dev.jsonl.gz",
)
"""Looked at while the detector was made."""
UNSEEN = (
    "sentiment/sst_train.jsonl.gz",
    "sentiment/mr.jsonl.gz",
    "sentiment/goemotions_train.jsonl.gz",
    "ner/conll2003_train.jsonl.gz",
    "ner/gmb_train.jsonl.gz",
    "ner/wnut17_train.jsonl",
    "ner/btc_train.jsonl.gz",
    "ner/crossner_train.jsonl",
    "complexity/self_instruct_seeds.jsonl",
    "complexity/mixeval.jsonl.gz",
)
"""First read when it was done."""

Judge = Callable[[str], Detected]


@dataclass(frozen=True, slots=True)
class Counted:
    """How one set of English texts fared.

    Attributes:
        name: The file.
        texts: How many.
        raw: How many of them fastText on the raw text would refuse.
        refused: The texts refused, with the language that they were taken for.
        told: How many were told to be English; the rest is served as ``und``.
    """

    name: str
    texts: int
    raw: int
    refused: Sequence[tuple[str, str]]
    told: int

    @property
    def share(self) -> float:
        """Refused, of all."""
        return len(self.refused) / self.texts


def raw_judge() -> Judge:
    """Return the named alternative: fastText's first label of the text as it is."""
    import fasttext  # noqa: PLC0415 - a heavy import of one mode

    model = fasttext.load_model(str(model_file()))

    def judge(text: str) -> Detected:
        labels, probabilities = model.predict(" ".join(text.split()), k=1)
        return Detected(labels[0].removeprefix("__label__"), float(probabilities[0]))

    return judge


def refused(found: Detected) -> bool:
    """Whether an agent whose model knows English only would refuse the text."""
    return found.certain and found.code != "en"


def english(data: Path, names: Iterable[str], detector: Detector, raw: Judge) -> Iterator[Counted]:
    """Yield the figures of each English source."""
    for name in names:
        texts = sample([text for text in map(_text, read_jsonl(data / name)) if len(text.split()) <= MOST_WORDS], LIMIT, random.Random(0))
        found = [detector.detect(text) for text in texts]
        yield Counted(
            name=name,
            texts=len(texts),
            raw=sum(refused(raw(text)) for text in texts),
            refused=[(f.code, text) for f, text in zip(found, texts, strict=True) if refused(f)],
            told=sum(f.certain and f.code == "en" for f in found),
        )


def _text(row: dict[str, Any]) -> str:
    return str(row["text"]) if "text" in row else " ".join(row["tokens"])


def foreign() -> list[tuple[str, str]]:
    """Return the foreign sentences of the tests, with their languages."""
    lines = (SENTENCES / "foreign_sentences.tsv").read_text(encoding="utf-8").splitlines()
    return [(code, text) for code, text in (line.split("\t") for line in lines)]


def _english_table(rows: Sequence[Counted]) -> Iterator[str]:
    yield "| English texts of at most 40 words | n | raw fastText would refuse | refused | share | told English |"
    yield "| --- | --- | --- | --- | --- | --- |"
    total = Counted(
        "all",
        sum(row.texts for row in rows),
        sum(row.raw for row in rows),
        [text for row in rows for text in row.refused],
        sum(row.told for row in rows),
    )
    for row in (*rows, total):
        told = row.told / row.texts
        yield f"| {row.name} | {row.texts:,} | {row.raw} | {len(row.refused)} | {row.share:.3%} | {told:.1%} |"


def _foreign_table(judges: dict[str, Judge]) -> Iterator[str]:
    yield f"| foreign sentences caught | n | {' | '.join(judges)} |"
    yield f"| --- | --- |{' --- |' * len(judges)}"
    by_language: dict[str, list[str]] = defaultdict(list)
    for code, text in foreign():
        by_language[code].append(text)
        by_language["all"].append(text)
    for code, texts in sorted(by_language.items(), key=lambda item: (item[0] == "all", -len(item[1]))):
        caught = [sum(refused(judge(text)) for text in texts) for judge in judges.values()]
        yield f"| {code} | {len(texts)} | {' | '.join(f'{n} ({n / len(texts):.0%})' for n in caught)} |"


def _speed(detector: Detector, texts: Sequence[str]) -> str:
    began = time.process_time()
    for text in texts:
        detector.detect(text)
    each = (time.process_time() - began) / len(texts) * 1000
    return f"{each:.2f} ms of processor time a text, over {len(texts):,} of them"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="the folder of open data sets")
    parser.add_argument("--show", action="store_true", help="print the English texts that would be refused")
    arguments = parser.parse_args()
    detector, raw = Detector(), raw_judge()
    for title, names in (("looked at while it was made", TUNED_ON), ("unseen", UNSEEN)):
        rows = list(english(arguments.data, names, detector, raw))
        print(f"\nEnglish, {title}:\n", *_english_table(rows), sep="\n")
        if arguments.show:
            print("", *(f"{row.name}: {code}: {text!r}" for row in rows for code, text in row.refused), sep="\n")
    print("", *_foreign_table({"raw fastText": raw, "detector": detector.detect}), sep="\n")
    print(f"\n{_speed(detector, [text for _, text in foreign()])}")


if __name__ == "__main__":
    main()
