"""Requests and results of the shipped agents and of escalation."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from smallmesh_contracts._base import Text, Wire, unknown_as

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Verdict(StrEnum):
    """How hard a request is. Only ``complex`` may ever reach a frontier model."""

    SIMPLE = "simple"
    MEDIUM = "medium"
    COMPLEX = "complex"


Judged = Annotated[
    Annotated[Verdict, Field(strict=False)] | None,
    unknown_as(None),
    Field(exclude_if=lambda verdict: verdict is None),
]
"""The router's verdict of a request, where it is known; one that a reader does not know is none to it."""


class AgentRequest(Wire):
    """What every agent needs at least: a text with something in it.

    Attributes:
        text: To be read.
        verdict: How hard the request is, where somebody has judged it. A ``medium`` one is answered by the agent's next tier, where
            one is loaded.
    """

    text: Text
    verdict: Judged = None


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


class LeftOut(Wire):
    """What of a text an agent did not read, because it says nothing of what was asked.

    Attributes:
        kind: ``quote``, ``signature``, ``disclaimer``, ``header``, ``log``, ``code``, ``markup``, ``speaker``; others may come.
        characters: How many of the text's characters.
    """

    kind: str
    characters: Annotated[int, Field(gt=0)]


class SentimentResult(AgentResult):
    """The attitude of a text, with calibrated probabilities that sum to 1.

    Attributes:
        label: The most likely attitude.
        probabilities: Of every label.
        reasons: How parts of a longer text were made one, in words.
        left_out: What was not read.
    """

    label: SentimentLabel = Field(strict=False)
    probabilities: dict[str, Probability]
    reasons: Annotated[tuple[str, ...], Field(strict=False)] = ()
    left_out: Annotated[tuple[LeftOut, ...], Field(strict=False)] = ()


class EntityType(StrEnum):
    """What an entity is. A value that a reader does not know is ``other`` to it; no agent gives that."""

    PERSON = "PERSON"
    ORGANIZATION = "ORGANIZATION"
    LOCATION = "LOCATION"
    DATE = "DATE"
    MONEY = "MONEY"
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    URL = "URL"
    OTHER = "other"


Source = Annotated[Literal["model", "rule", "other"], unknown_as("other")]


class Entity(Wire):
    """Something named in the text.

    Attributes:
        start: Offset of its first character in the original text, in Unicode code points.
        end: Offset after its last character.
        text: ``text[start:end]`` of the original.
        type: What it is.
        confidence: Of a model: probability of its least certain word. Of a rule: its measured precision.
        source: ``model`` or ``rule``.
        value: Its normal form, where it has one that follows from the text alone. DATE: ISO 8601, as much of it as is said
            (``2024-03-14``, ``2024-03``, ``2024``, ``2024-Q3``, ``2024-W12``; without a year ``--03-14``, ``--03``, ``---14``);
            MONEY: the amount as a decimal number; PHONE: E.164; EMAIL and URL: with the host in lower case, a URL with its scheme.
        currency: ISO 4217, of MONEY where the text says which.
    """

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(gt=0)]
    text: str
    type: Annotated[EntityType, Field(strict=False), unknown_as(EntityType.OTHER)]
    confidence: Probability
    source: Source = "model"
    value: str | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None


class EntitiesRequest(AgentRequest):
    """A text to read for what it names."""


class EntitiesResult(AgentResult):
    """Entities in order of their place: longest spans, no overlaps.

    Attributes:
        entities: What was found.
        read_by: Who read the text. Without ``model`` its language is not one of the model's: then persons,
            organisations and locations were not looked for, and what rules find is all there is.
    """

    entities: Annotated[tuple[Entity, ...], Field(strict=False)]
    read_by: Annotated[tuple[Source, ...], Field(strict=False)] = ("model",)


class SummaryRequest(AgentRequest):
    """A text to shorten to at most ``max_sentences`` sentences."""

    max_sentences: Annotated[int, Field(ge=1, le=3)] = 3


class Span(Wire):
    """A place in the original text, in Unicode code points; ``end`` is the offset after its last character."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(gt=0)]


class SummaryResult(AgentResult):
    """A short form of the text.

    Attributes:
        summary: The sentences, joined by a space.
        method: ``extractive`` where they are the text's own.
        sentences: How many there are.
        spans: Where they stand in the original text, of an extractive summary.
        left_out: What was not read.
    """

    summary: str
    method: Annotated[Literal["extractive", "abstractive", "other"], unknown_as("other")]
    sentences: Annotated[int, Field(ge=1)]
    spans: Annotated[tuple[Span, ...], Field(strict=False)] = ()
    left_out: Annotated[tuple[LeftOut, ...], Field(strict=False)] = ()


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
