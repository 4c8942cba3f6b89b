"""Requests and results of the shipped agents and of escalation."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from smallmesh_contracts._base import Text, Wire, unknown_as

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class AgentRequest(Wire):
    """What every agent needs at least: a text with something in it."""

    text: Text


class AgentResult(Wire):
    """What every agent gives at least.

    Attributes:
        confidence: Calibrated, 0 to 1; absent where the method has none.
    """

    confidence: Probability | None = None


class SentimentLabel(StrEnum):
    """The attitude of a text."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


class SentimentRequest(AgentRequest):
    """A text to judge."""


class SentimentResult(AgentResult):
    """The attitude of a text, with calibrated probabilities that sum to 1."""

    label: SentimentLabel = Field(strict=False)
    probabilities: dict[str, Probability]


class EntityType(StrEnum):
    """What an entity is. A value that a reader does not know is ``other`` to it; no agent gives that."""

    PERSON = "PERSON"
    ORGANIZATION = "ORGANIZATION"
    LOCATION = "LOCATION"
    OTHER = "other"


class Entity(Wire):
    """A name in the text.

    Attributes:
        start: Offset of its first character in the original text, in Unicode code points.
        end: Offset after its last character.
        text: ``text[start:end]`` of the original.
        type: What it is.
        confidence: Probability of its least certain word.
        source: ``model`` or ``rule``.
    """

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(gt=0)]
    text: str
    type: Annotated[EntityType, Field(strict=False), unknown_as(EntityType.OTHER)]
    confidence: Probability
    source: Annotated[Literal["model", "rule", "other"], unknown_as("other")] = "model"


class EntitiesRequest(AgentRequest):
    """A text to read for names."""


class EntitiesResult(AgentResult):
    """Names in order of their place: longest spans, no overlaps."""

    entities: Annotated[tuple[Entity, ...], Field(strict=False)]


class SummaryRequest(AgentRequest):
    """A text to shorten to at most ``max_sentences`` sentences."""

    max_sentences: Annotated[int, Field(ge=1, le=3)] = 3


class SummaryResult(AgentResult):
    """A short form of the text.

    Attributes:
        summary: The sentences, joined by a space.
        method: ``extractive`` where they are the text's own.
        sentences: How many there are.
    """

    summary: str
    method: Annotated[Literal["extractive", "abstractive", "other"], unknown_as("other")]
    sentences: Annotated[int, Field(ge=1)]


class Verdict(StrEnum):
    """How hard a request is. Only ``complex`` may ever reach a frontier model."""

    SIMPLE = "simple"
    MEDIUM = "medium"
    COMPLEX = "complex"


class ComplexityRequest(AgentRequest):
    """A request to judge: its instruction, where it has one, and its text."""

    instruction: str | None = None


class ComplexityResult(AgentResult):
    """The verdict, with calibrated probabilities and the facts behind it."""

    verdict: Verdict = Field(strict=False)
    probabilities: dict[str, Probability]
    reasons: Annotated[tuple[str, ...], Field(strict=False)]


class AnalysisResult(AgentResult):
    """An analysis.

    Attributes:
        text: The analysis.
        source: ``frontier``, or ``local_summary`` where the request was not complex.
    """

    text: str
    source: Annotated[Literal["frontier", "local_summary", "other"], unknown_as("other")]
