"""Answers and tasks as cards: what a person wants to know of a result, in the width there is."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from smallmesh.cli.output import printable, printable_lines
from smallmesh.cli.views.advice import next_step
from smallmesh.cli.views.entities import by_type, unread
from smallmesh.cli.views.show import STYLES, error_text, label_text, provenance_text, shape_of, value_text
from smallmesh_contracts import (
    AgentResult,
    AnalysisResult,
    Answer,
    ComplexityResult,
    EntitiesResult,
    ErrorInfo,
    LeftOut,
    SentimentResult,
    SummaryResult,
    TaskResult,
)

BAR = 20
"""Columns of a bar that stands for certainty."""
_NAME = 14
"""Columns for the name of an answer; a longer one is folded."""


def print_task(result: TaskResult, console: Console) -> None:
    """Print a task's answers, and how it ended."""
    language = _language(result.answers)
    if result.answers:
        console.print(_answers(result.answers, language))
        console.print()
    console.print(_headline(result, language))
    if result.error is not None:
        console.print(error_lines(result.error))


def answer_card(answer: Answer, name: str = "", language: str = "") -> RenderableType:
    """Return one answer with all that it says: its value or its error, and where it comes from.

    Args:
        answer: It.
        name: Said beside it already; who gave it is told only where that is somebody else.
        language: Likewise.
    """
    body = error_lines(answer.error) if answer.error is not None else _value(answer.value or {})
    marked = [Text("marked complex", "magenta")] if answer.marked else []
    provenance = [provenance_text(answer.provenance, name, language)] if answer.provenance is not None else []
    return Group(body, *marked, *provenance)


def error_lines(error: ErrorInfo) -> RenderableType:
    """Return an error, and what to do about it."""
    advice = next_step(error)
    return Group(error_text(error), *([Text(f"→ {advice}", "dim")] if advice else []))


def _answers(answers: Mapping[str, Answer], language: str) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=_NAME, overflow="fold", style="bold")
    table.add_column(overflow="fold")
    for number, (name, answer) in enumerate(answers.items()):
        above = (1 if number else 0, 0, 0, 0)
        table.add_row(Padding(Text(printable(name)), above), Padding(answer_card(answer, name, language), above))
    return table


def _language(answers: Mapping[str, Answer]) -> str:
    """Return the language that most answers found."""
    found = Counter(answer.provenance.language for answer in answers.values() if answer.provenance is not None)
    return found.most_common(1)[0][0] if found else ""


def _headline(result: TaskResult, language: str) -> Text:
    status = result.status.value
    parts = Text.assemble((status, f"{STYLES.get(status, 'red')} bold"), f" in {result.took_ms:.0f} ms")
    told = (f"language {language}" if language else "", result.data_class.value, result.tenant, result.task_id)
    parts.append(printable("".join(f" · {one}" for one in told if one)), "dim")
    return parts


def _value(value: Mapping[str, Any]) -> RenderableType:
    result = shape_of(value)
    if result is not None:
        return Group(*_BODIES[type(result)](result))
    if not value:
        return value_text(value)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=_NAME * 2, overflow="fold")
    table.add_column(overflow="fold")
    for name, one in value.items():
        told = one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
        table.add_row(Text(printable(name), "dim"), Text(printable_lines(told)))
    return table


def _sentiment(result: SentimentResult) -> Iterable[RenderableType]:
    told = result.label.value in result.probabilities
    yield _bars(result.probabilities, result.label.value) if told else label_text(result.label.value, result.confidence)
    yield from _reasons(result.reasons)
    yield from _left_out(result.left_out)


def _complexity(result: ComplexityResult) -> Iterable[RenderableType]:
    yield label_text(result.verdict.value, result.confidence)
    yield from _reasons(result.reasons)


def _entities(result: EntitiesResult) -> Iterable[RenderableType]:
    yield by_type(result.entities)
    yield from unread(result)


def _summary(result: SummaryResult) -> Iterable[RenderableType]:
    yield Text(printable_lines(result.summary))
    yield from _left_out(result.left_out)


def _analysis(result: AnalysisResult) -> Iterable[RenderableType]:
    if result.source == "local_summary":
        yield Text("the local summary stands in: the request was not judged complex", "dim")
    yield Text(printable_lines(result.text))


_BODIES: Mapping[type[AgentResult], Callable[[Any], Iterable[RenderableType]]] = {
    SentimentResult: _sentiment,
    EntitiesResult: _entities,
    SummaryResult: _summary,
    ComplexityResult: _complexity,
    AnalysisResult: _analysis,
}


def _bars(probabilities: Mapping[str, float], chosen: str) -> RenderableType:
    """Return a bar for every label, the likeliest first."""
    table = Table.grid(padding=(0, 1, 0, 0))
    for label, probability in sorted(probabilities.items(), key=lambda one: -one[1]):
        style = STYLES.get(label, "") if label == chosen else "dim"
        table.add_row(Text(printable(label), style), Text(bar(probability), style), Text(f"{probability:.2f}", style))
    return table


def bar(probability: float) -> str:
    """Return a probability as a bar of eighths of a column, always :data:`BAR` columns wide."""
    eighths = round(min(max(probability, 0.0), 1.0) * BAR * 8)
    part = "" if eighths % 8 == 0 else " ▏▎▍▌▋▊▉"[eighths % 8]
    return ("█" * (eighths // 8) + part).ljust(BAR)


def _reasons(reasons: Iterable[str]) -> Iterable[Text]:
    told = "; ".join(map(printable, reasons))
    return [Text(told, "dim")] if told else []


def _left_out(parts: Iterable[LeftOut]) -> Iterable[Text]:
    sizes: dict[str, int] = {}
    for part in parts:
        sizes[part.kind] = sizes.get(part.kind, 0) + part.characters
    told = ", ".join(f"{printable(kind)} ({size} characters)" for kind, size in sizes.items())
    return [Text(f"not read: {told}", "yellow")] if told else []
