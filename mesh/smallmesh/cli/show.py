"""Answers as a person wants to read them."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smallmesh.cli.output import printable
from smallmesh_contracts import (
    AgentResult,
    AnalysisResult,
    Answer,
    ComplexityResult,
    EntitiesResult,
    ErrorInfo,
    Provenance,
    SentimentLabel,
    SentimentResult,
    Status,
    SummaryResult,
    TaskResult,
    Verdict,
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
_KINDS = {"PERSON": "cyan", "ORGANIZATION": "blue", "LOCATION": "green"}


def answer_text(answer: Answer) -> Text:
    """Return an answer's value, or its error."""
    if answer.error is not None:
        return error_text(answer.error)
    return value_text(answer.value or {})


def error_text(error: ErrorInfo) -> Text:
    """Return an error: its code, and what to do."""
    return Text.assemble((error.code.value, "red"), f": {printable(error.message)}")


def value_text(value: Mapping[str, Any]) -> Text:
    """Return a value by its shape; one of an added agent as JSON."""
    for kind, show in _SHAPES:
        try:
            return show(kind.model_validate(value, strict=False))
        except ValidationError:
            continue
    return Text(printable(json.dumps(value, ensure_ascii=False)))


def _label(label: str, confidence: float | None) -> Text:
    return Text.assemble((label, STYLES.get(label, "")), f" {confidence:.2f}" if confidence is not None else "")


def _sentiment(result: SentimentResult) -> Text:
    return _label(result.label.value, result.confidence)


def _complexity(result: ComplexityResult) -> Text:
    return _label(result.verdict.value, result.confidence)


def _entities(result: EntitiesResult) -> Text:
    named = dict.fromkeys((printable(e.text), e.type.value) for e in result.entities)
    shown = [Text.assemble(name, (f" {kind[:3]}", _KINDS.get(kind, ""))) for name, kind in named]
    return Text(", ").join(shown) if shown else Text("none", "dim")


def _summary(result: SummaryResult) -> Text:
    return Text(printable(result.summary))


def _analysis(result: AnalysisResult) -> Text:
    stands_in = "(the local summary stands in) " if result.source == "local_summary" else ""
    return Text.assemble((stands_in, "dim"), printable(result.text))


_SHAPES: Sequence[tuple[type[AgentResult], Callable[[Any], Text]]] = (
    (SentimentResult, _sentiment),
    (EntitiesResult, _entities),
    (SummaryResult, _summary),
    (ComplexityResult, _complexity),
    (AnalysisResult, _analysis),
)


def provenance_text(provenance: Provenance) -> Text:
    """Return where an answer comes from, in one line."""
    parts = (
        f"{provenance.answered_by}: {provenance.model_id}",
        f"prompt {provenance.prompt_version}",
        f"language {provenance.language}",
        f"waited {provenance.waited_ms:.1f} ms",
        f"worked {provenance.worked_ms:.1f} ms",
    )
    return Text(" · ".join(parts), "dim")


def print_task(result: TaskResult, console: Console) -> None:
    """Print a task's answers, and how it ended."""
    if result.answers:
        console.print(_task_table(result))
    console.print(_task_line(result))


def _task_table(result: TaskResult) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("answer")
    table.add_column("value", ratio=1)
    table.add_column("by")
    table.add_column("ms", justify="right")
    for name, answer in result.answers.items():
        by, ms = (answer.provenance.answered_by, f"{answer.provenance.worked_ms:.1f}") if answer.provenance else ("", "")
        table.add_row(name, answer_text(answer), by, ms)
    return table


def _task_line(result: TaskResult) -> Text:
    status = result.status.value
    parts = Text.assemble((status, STYLES.get(status, "red")), f" in {result.took_ms:.1f} ms")
    parts.append(f" · {result.data_class.value} · {result.task_id}", "dim")
    return Text.assemble(parts, "\n", error_text(result.error)) if result.error is not None else parts
