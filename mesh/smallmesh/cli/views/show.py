"""Answers in one line."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.text import Text

from smallmesh.cli.output import printable
from smallmesh.hosting.card import EMBEDDED
from smallmesh_contracts import (
    AgentResult,
    AnalysisResult,
    Answer,
    ComplexityResult,
    ContractError,
    EntitiesResult,
    EntityType,
    ErrorInfo,
    Provenance,
    SentimentLabel,
    SentimentResult,
    Status,
    SummaryResult,
    Verdict,
    decode,
)

STYLES = {
    SentimentLabel.NEGATIVE.value: "red",
    SentimentLabel.NEUTRAL.value: "yellow",
    SentimentLabel.POSITIVE.value: "green",
    Verdict.SIMPLE.value: "green",
    Verdict.MEDIUM.value: "yellow",
    Verdict.COMPLEX.value: "magenta",
    Status.COMPLETED.value: "green",
    Status.PARTIAL.value: "yellow",
}
"""Styles of labels, verdicts and statuses; a status that is not here is bad news."""
KINDS: Mapping[EntityType, str] = {
    EntityType.PERSON: "cyan",
    EntityType.ORGANIZATION: "blue",
    EntityType.LOCATION: "green",
    EntityType.DATE: "yellow",
    EntityType.MONEY: "magenta",
    EntityType.EMAIL: "bright_cyan",
    EntityType.PHONE: "bright_magenta",
    EntityType.URL: "bright_blue",
    EntityType.OTHER: "white",
}
"""A colour of the terminal's own sixteen for every type of entity, so that a theme stays readable."""

WAITED_MS = 10.0
"""A shorter wait is not worth telling."""


def answer_text(answer: Answer) -> Text:
    """Return an answer's value, or its error."""
    if answer.error is not None:
        return error_text(answer.error)
    return value_text(answer.value or {})


def error_text(error: ErrorInfo) -> Text:
    """Return an error: its code, and what is wrong."""
    return Text.assemble((error.code.value, "red"), f": {printable(error.message)}")


def value_text(value: Mapping[str, Any]) -> Text:
    """Return a value by its shape; one of an added agent as JSON."""
    result = shape_of(value)
    return _SHAPES[type(result)](result) if result is not None else Text(printable(json.dumps(value, ensure_ascii=False)))


def shape_of(value: Mapping[str, Any]) -> AgentResult | None:
    """Return a value as the result of a shipped agent; None where it has the shape of none."""
    body = json.dumps(value).encode()
    for kind in _SHAPES:
        try:
            return decode(kind, body)
        except ContractError:
            continue
    return None


def label_text(label: str, confidence: float | None) -> Text:
    """Return a label in its colour, with how sure it is."""
    return Text.assemble((label, STYLES.get(label, "")), f" {confidence:.2f}" if confidence is not None else "")


def _sentiment(result: SentimentResult) -> Text:
    return label_text(result.label.value, result.confidence)


def _complexity(result: ComplexityResult) -> Text:
    return label_text(result.verdict.value, result.confidence)


def _entities(result: EntitiesResult) -> Text:
    named = dict.fromkeys((printable(e.text), e.type) for e in result.entities)
    shown = [Text.assemble(name, (f" {kind.value[:3]}", KINDS[kind])) for name, kind in named]
    return Text(", ").join(shown) if shown else Text("none", "dim")


def _summary(result: SummaryResult) -> Text:
    return Text(printable(result.summary))


def _analysis(result: AnalysisResult) -> Text:
    stands_in = "(the local summary stands in) " if result.source == "local_summary" else ""
    return Text.assemble((stands_in, "dim"), printable(result.text))


_SHAPES: Mapping[type[AgentResult], Callable[[Any], Text]] = {
    SentimentResult: _sentiment,
    EntitiesResult: _entities,
    SummaryResult: _summary,
    ComplexityResult: _complexity,
    AnalysisResult: _analysis,
}


def dotted(parts: Iterable[Text]) -> Text:
    """Return parts in one line, with dim dots between them."""
    shown = Text()
    for number, part in enumerate(parts):
        shown.append(" · " if number else "", "dim")
        shown.append_text(part)
    return shown


def provenance_text(provenance: Provenance, name: str = "", language: str = "") -> Text:
    """Return where an answer comes from, in one line.

    Args:
        provenance: Of the answer.
        name: Of the answer, where it is said beside it: who gave it is told where that is somebody else.
        language: Said already; another one is told.
    """
    by, waited_ms = provenance.answered_by, provenance.waited_ms
    parts = (
        f"by {by}" if name and by != name else "",
        provenance.model_id,
        f"tier {provenance.tier}" if provenance.tier not in (None, EMBEDDED) else "",
        f"prompt {provenance.prompt_version}",
        f"language {provenance.language}" if provenance.language != language else "",
        f"{provenance.windows} windows" if provenance.windows > 1 else "",
        f"{provenance.worked_ms:.0f} ms",
        f"after {waited_ms:.0f} ms of waiting" if waited_ms >= WAITED_MS else "",
    )
    return Text(printable(" · ".join(part for part in parts if part)), "dim")
