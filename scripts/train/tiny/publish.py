"""Puts a trained file and its card where tests find them: ``python -m scripts.train.tiny.publish --run DIR``."""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from scripts.train import ner_data, router_data, sentiment_data
from scripts.train.tiny.items import NAMES

FOLDER = Path(__file__).resolve().parents[3] / "tests" / "models" / "tiny-instruct"
MODEL_FILE, TABLE_FILE, CARD_FILE = "model.gguf", "model.toml", "MODEL_CARD.md"
MAX_BYTES = 8_000_000
ID = "tiny-instruct-q8"
TRAINING = (
    "400 steps, 1.4 million tokens, nine minutes of a core. The prompt packs have been edited since. A second stage of 400 steps, in which "
    "the first tokens of labels and names weighed six times as much, was tried and not kept: it wrote empty lists of names."
)
_PENDING = "Not measured yet: run `python -m scripts.train.tiny.measure --data DIR --write`."

_FORM = """\
# A test instrument: right in form and better than chance. MODEL_CARD.md says more.
[model]
id = "{id}"
file = "{file}"
sha256 = "{sha256}"
architecture = "qwen2"
quantisation = "Q8_0"
engine = "instruct"
context = 4096                  # tokens that all requests may hold together
slots = 8
n_threads = 1
languages = ["en"]
licence = "Apache-2.0"
"""

_CARD = """\
# A tiny instruct model for tests

It answers the prompts of the four agents through its own chat template, as any instruct GGUF does: label words, names as JSON, the
first sentences of a text. **A test instrument, not a product**: right in form and better than chance, so that prompts, scoring,
schemas, batching, streaming and cancelling are tested on true outputs whose accuracy can be measured.

## File

| fact | value |
| --- | --- |
| id | {id} |
| file | `{file}`, {size:,} bytes |
| sha256 | `{sha256}` |
| architecture | qwen2: 4 layers, width 192, 4 heads, inner width 512, embedding tied, 2.56 million parameters |
| vocabulary | byte-level BPE, 4,096 tokens with `<|endoftext|>`, `<|im_start|>`, `<|im_end|>` |
| chat template | ChatML |
| quantisation | Q8_0 |
| context | 2,048 tokens; trained behind prefixes of up to about 700 on texts of up to about 120 |
| languages | en |
| licence of the weights | Apache-2.0 |
| base weights | none: from scratch |

## Training

`python -m scripts.train.tiny --data DIR` trains it on one core. {training}
Each step holds rows of every task behind the agent's own few-shot prefix, rendered by the code that serves; about half of the batches
see the prefix without its examples or with others. Only answers are learnt. The first weights are not random but made: token vectors
of counts over the same rows (neighbours, letters, which label a token speaks for), and a few attention heads that copy and that add up
those counts. Most names of `ner` are replaced by others or by made-up ones, and a quarter of the summaries' texts are random words,
so that copying is learnt and not names.

| data | licence | used for |
| --- | --- | --- |
{data}

Where no licence is stated the texts are not redistributed here. Test splits and sets for research or non-commercial use were not read.

## Measured

On the file, through llama.cpp, greedy and without a grammar, with the prompt packs as they are
(`python -m scripts.train.tiny.measure --data DIR`):

{figures}

## Limits

- Its answers are worth nothing to a user. English sentences of up to 40 words; longer texts are outside of what it has seen.
- Its prompts' texts may be edited; it then answers in form still, less often right.
- Summaries are the first sentences, copied, and long ones drift.
- WNUT17, GMB, BTC and tweets name real persons; a generated name that is not in the text may be one of them.
"""


def data_table() -> str:
    """The sets it was trained on, their licences and what for."""
    rows: dict[str, tuple[str, list[str]]] = {}

    def add(name: str, licence: str, use: str) -> None:
        rows.setdefault(name, (licence, []))[1].append(use)

    for source in sentiment_data.SOURCES:
        if source.name != "IMDB":
            add(source.name, source.licence, "sentiment")
    for source in sentiment_data.NEUTRAL:
        add(source.name, source.licence, "sentiment")
    for tagged in ner_data.SOURCES:
        if tagged.name in NAMES:
            add(tagged.name, tagged.licence, "ner")
    add("GUM", "", "summarizer")
    add("GMB", "", "summarizer")
    add("IMDB", "no data licence stated (Maas 2011, research corpus)", "summarizer")
    for name, licence in router_data.LICENCES.items():
        add(name, licence, "complexity_router")
    return _table([(name, licence, ", ".join(uses)) for name, (licence, uses) in rows.items()])


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write_card(figures: str = _PENDING) -> None:
    """Write ``MODEL_CARD.md`` for the file that lies in the folder; ``figures`` is a Markdown table."""
    path = FOLDER / MODEL_FILE
    facts = {"id": ID, "file": MODEL_FILE, "size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    text = _CARD.format(**facts, training=TRAINING, data=data_table(), figures=figures)
    (FOLDER / CARD_FILE).write_text(text, encoding="utf-8")


def main() -> None:
    """Copy the GGUF, write its table and its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the training's --out")
    parser.add_argument("--stage", default="stage1")
    arguments = parser.parse_args()
    made = arguments.run / f"{arguments.stage}.gguf"
    if made.stat().st_size > MAX_BYTES:
        raise SystemExit(f"{made} has {made.stat().st_size} bytes, more than {MAX_BYTES}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made, FOLDER / MODEL_FILE)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    (FOLDER / TABLE_FILE).write_text(_FORM.format(id=ID, file=MODEL_FILE, sha256=digest), encoding="utf-8")
    print(f"wrote {FOLDER / MODEL_FILE}: {made.stat().st_size} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
