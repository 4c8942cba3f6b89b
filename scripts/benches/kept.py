"""Results as the mesh keeps them: those of a short text for which the four default answers were wanted. Every value is made up."""

import random
import uuid
from collections.abc import Iterator, Mapping

from scripts.benches.filling import FIRST_ONLY, Sent
from smallmesh_contracts import (
    Address,
    AgentResult,
    Answer,
    ComplexityResult,
    DataClass,
    EntitiesResult,
    Entity,
    EntityType,
    Provenance,
    SentimentLabel,
    SentimentResult,
    Span,
    Status,
    StepResult,
    SummaryResult,
    TaskResult,
    Verdict,
    subjects,
)

TENANT = "bench"
TEXT = "Ana Lopes of Kestrel Freight in Porto says that two pallets are missing."
AGENTS = {"sentiment": "sentiment", "entities": "ner", "summary": "summarizer", "complexity": "complexity_router"}


def addresses(count: int, data_class: DataClass = DataClass.PUBLIC) -> Iterator[Address]:
    """Give addresses of tasks that nobody else has."""
    return (Address(TENANT, data_class, uuid.uuid4().hex) for _ in range(count))


def done(address: Address, made: random.Random) -> Sent:
    """Return a terminal result as an orchestrator stores it."""
    result = TaskResult(
        task_id=address.task_id,
        tenant=address.tenant,
        data_class=address.data_class,
        status=Status.COMPLETED,
        answers={name: _answer(name, made) for name in AGENTS},
        digest=made.randbytes(32).hex(),
        took_ms=round(made.uniform(20, 200), 3),
    )
    return subjects.done(address), result.to_bytes(), {**_trace(made), **FIRST_ONLY}


def steps(address: Address, made: random.Random, ttl_s: int) -> Iterator[Sent]:
    """Give the four stored steps of a task, as agents store them."""
    digest, trace = made.randbytes(32).hex(), _trace(made)
    for name, agent in AGENTS.items():
        result = StepResult(digest=digest, answer=_answer(name, made))
        yield subjects.result(address, agent, name), result.to_bytes(), {**trace, **FIRST_ONLY, "Nats-TTL": str(ttl_s)}


def _trace(made: random.Random) -> Mapping[str, str]:
    return {"traceparent": f"00-{made.randbytes(16).hex()}-{made.randbytes(8).hex()}-00"}


def _answer(name: str, made: random.Random) -> Answer:
    value, agent = _VALUES[name](made), AGENTS[name]
    provenance = Provenance(
        model_id=f"{agent}-minilm-q8",
        sha256=made.randbytes(32).hex(),
        prompt_version=made.randbytes(6).hex(),
        confidence=value.confidence,
        language="en",
        answered_by=agent,
        waited_ms=round(made.uniform(1, 9), 3),
        worked_ms=round(made.uniform(5, 50), 3),
    )
    return Answer(value=value.model_dump(mode="json"), provenance=provenance)


def _sentiment(made: random.Random) -> AgentResult:
    likely = made.uniform(0.4, 0.9)
    rest = made.uniform(0, 1 - likely)
    odds: dict[str, float] = {SentimentLabel.NEGATIVE: likely, SentimentLabel.NEUTRAL: rest, SentimentLabel.POSITIVE: 1 - likely - rest}
    return SentimentResult(label=SentimentLabel.NEGATIVE, probabilities=odds, confidence=likely)


def _entities(made: random.Random) -> AgentResult:
    named = {"Ana Lopes": EntityType.PERSON, "Kestrel Freight": EntityType.ORGANIZATION, "Porto": EntityType.LOCATION}
    found = (
        Entity(start=TEXT.index(text), end=TEXT.index(text) + len(text), text=text, type=kind, confidence=made.random(), source="model")
        for text, kind in named.items()
    )
    return EntitiesResult(entities=tuple(found), read_by=("model", "rule"))


def _summary(made: random.Random) -> AgentResult:  # noqa: ARG001 - of the form that the others have
    return SummaryResult(summary=TEXT, method="extractive", sentences=1, spans=(Span(start=0, end=len(TEXT)),))


def _complexity(made: random.Random) -> AgentResult:
    likely = made.uniform(0.8, 1)
    odds: dict[str, float] = {Verdict.SIMPLE: likely, Verdict.MEDIUM: (1 - likely) / 2, Verdict.COMPLEX: (1 - likely) / 2}
    reasons = ("no instruction: judged by the text alone", f"p(simple) = {likely:.2f}")
    return ComplexityResult(verdict=Verdict.SIMPLE, probabilities=odds, reasons=reasons, confidence=likely)


_VALUES = {"sentiment": _sentiment, "entities": _entities, "summary": _summary, "complexity": _complexity}
