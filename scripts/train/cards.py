"""The model cards: what each model is, what it was trained on, what it cannot do. Figures come from the report."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.train import ner_data, router_data, sentiment_data
from scripts.train.facts import BASE_NAME

CARD_FILE = "MODEL_CARD.md"
_PENDING = "Not measured since this export: run `python -m scripts.train.report --data DIR`."


@dataclass(frozen=True)
class Card:
    """The words of one model card."""

    agent: str
    title: str
    what: str
    training: str
    data: Sequence[tuple[str, str]]
    limits: Sequence[str]
    tried: Sequence[str] = ()


_ENGLISH = "English only; the words of other languages fall into small pieces and the answer is a guess."
_UNCASED = "The encoder is uncased and has a vocabulary of 30,522 word pieces."

CARDS = (
    Card(
        "sentiment",
        "Sentiment: negative, neutral, positive",
        "The base encoder fine-tuned as a classifier (dense + tanh over the first token, one linear layer), read through llama.cpp's "
        "RANK pooling. Its probabilities are softmax(logits / `smallmesh.temperature`), the temperature fitted on held-out rows of the "
        "training sources.",
        "One epoch, batch 32, AdamW, 1e-4 (head 5e-4), texts cut to 128 tokens, embeddings frozen, one seed. Sources with two classes "
        "only (MR) are scored without the neutral logit. Texts that recur in SST dev were removed first: MR holds 845 of its 1,100.",
        [(s.name, s.licence) for s in (*sentiment_data.SOURCES, *sentiment_data.NEUTRAL)],
        (
            _ENGLISH,
            "Trained on sentences, reviews, tweets and comments; a long text is judged window by window.",
            "Neutral is the weakest class: the data sets disagree about it, and irony is often labelled as what it says.",
            "A plain report of bad news (an outage, a cancellation) may come out negative.",
        ),
        (
            "The bar of 0.90 on two classes is missed. MR holds 845 of SST dev's texts; trained on, they would measure nothing.",
            "Half of the tokenised film reviews were shown as people write them, so that ordinary text fares better; SST dev is tokenised.",
            "A second stage (opinions again, slower, with MPQA's phrases and more IMDB reviews) was begun and stopped for want of time.",
        ),
    ),
    Card(
        "ner",
        "Names: PERSON, ORGANIZATION, LOCATION",
        "The base encoder fine-tuned for token classification. The vector of each word's first piece and the case of the word and its "
        "neighbours go through one GELU layer of 256 units to seven BIO labels; the best valid sequence is found by Viterbi. That head "
        "lies in the GGUF's metadata (`smallmesh.tagger.*`) and is applied by `smallmesh.hosting.tagging`. Beside the model, the rules of "
        "`smallmesh.entities` find DATE, MONEY, EMAIL, PHONE and URL, in seven languages; `scripts/train/measure_rules.py` says how they "
        "are measured.",
        "One epoch, batch 32, AdamW, 1.5e-4 (head 1e-3), embeddings frozen, one seed. 13 % of the texts in another case, 30 % of the "
        "running texts joined with the sentences after them. @mentions count as no names.",
        [(s.name, s.licence) for s in ner_data.SOURCES],
        (
            _ENGLISH,
            "GMB's labels were made by tools: about one entity in twenty is wrong, mostly organizations.",
            "Nationalities, products, works and events are no entities here.",
            "Texts without capital letters, or all in capitals, lose recall.",
            "Rules: durations, times of day and holidays are no dates; an amount needs a currency beside it.",
            'Rules: a telephone number without a country\'s prefix needs one of the regions set, or a word such as "phone" beside it.',
            "Rules: measured on English texts; the forms of the other languages are tested one by one, not measured.",
        ),
        (
            'Of the DATE slots missed, most are durations ("3 nights") and times ("in an hour"); of the MONEY slots, all are bare numbers.',
            "False alarms: 3 found in UNER English-EWT while the rules were made were taken out; GUM's sentences had not been looked at.",
        ),
    ),
    Card(
        "summarizer",
        "Sentence vectors for extractive summaries",
        "The base encoder as it is, re-exported with MEAN pooling; nothing was trained and no summary data was used. "
        "`smallmesh.documents.extractive` chooses one to three sentences: near the text's mean, early in prose, none of them twice.",
        "None.",
        (),
        (
            _ENGLISH,
            'It quotes; it cannot rephrase, combine or resolve "he" and "it".',
            "The weights of the choice were set on small samples of the development data.",
        ),
        (
            "On the 60 texts a domain that set the weights, DialogSum was 0.02 above LEAD-k, the others within 0.01: no gain is claimed.",
            "Closeness to the text's mean without a position prior, on those 60: news 0.02 to 0.04 and mail 0.05 under LEAD-k.",
        ),
    ),
    Card(
        "complexity_router",
        "Complexity of a request: simple, medium, complex",
        "The base encoder fine-tuned as a classifier over one rendering of the request (`smallmesh.hosting.requests`): instruction, "
        "length in a word, beginning of the text. Probabilities are softmax(logits / `smallmesh.temperature`).",
        f"One epoch, batch 32, AdamW, 1e-4 (head 5e-4), label smoothing 0.05, embeddings frozen, one seed. The written requests are read "
        f"{router_data.WRITTEN_TIMES} times; a fifth of their texts is held out for measuring, a tenth of the rest fits the temperature. "
        "The public prompts are proxies: short requests and trivia are simple, word problems medium (seven steps and more: complex), "
        "FLASK by its difficulty, MMLU-Pro and MATH complex, plain documents without an instruction simple.",
        list(router_data.LICENCES.items()),
        (
            _ENGLISH,
            "The written requests (scripts/train/data/README.md) carry one reader's labels; agreement with a second was not measured.",
            "It sees the first window only: what makes a long text hard may stand behind it.",
            "Public benchmarks have their own style, and the model may have learnt some of it.",
            "It does not foresee which MMLU question a weak model gets wrong: there the prompt's length alone does better.",
            "Some plain e-mails without an instruction come out complex (see the figures).",
        ),
    ),
)


def write_card(agent: str, folder: Path, figures: str = _PENDING) -> None:
    """Write ``MODEL_CARD.md`` into the agent's ``folder``; ``figures`` is a Markdown table."""
    card = next(card for card in CARDS if card.agent == agent)
    facts = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))["model"]
    size = (folder / facts["file"]).stat().st_size
    parts = [
        f"# {card.title}",
        card.what,
        "## File",
        _table(
            ("fact", "value"),
            [
                ("id", facts["id"]),
                ("file", f"`{facts['file']}`, {size:,} bytes"),
                ("sha256", f"`{facts['sha256']}`"),
                ("architecture", facts["architecture"]),
                ("quantisation", facts["quantisation"]),
                ("window", f"{facts['window']} tokens"),
                ("languages", ", ".join(facts["languages"])),
                ("licence of the weights", facts["licence"]),
                ("base weights", f"{BASE_NAME}, changed by the training below and by quantisation"),
            ],
        ),
        "## Training",
        f"{card.training} {_UNCASED}",
        _table(("data", "licence"), card.data) if card.data else "No data.",
        "Where no licence is stated the texts are not redistributed here." if card.data else "",
        "## Measured",
        figures,
        *(["Tried:", *(f"- {line}" for line in card.tried)] if card.tried else []),
        "## Limits",
        "\n".join(f"- {line}" for line in card.limits),
    ]
    (folder / CARD_FILE).write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
