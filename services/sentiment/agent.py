"""Sentiment: the attitude of a text, in three classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smallmesh.agent import Agent, Model, WindowScores
from smallmesh_contracts import SentimentLabel, SentimentRequest, SentimentResult

if TYPE_CHECKING:
    from smallmesh.documents import Document

CONFIDENCE_THRESHOLD = 0.45
"""Probabilities are calibrated, so an answer under one half is more likely wrong than
right; less the calibration's own error, which docs/models.md gives."""


class Sentiment(Agent[SentimentRequest, SentimentResult]):
    """Judges a text by a classifier head inside its GGUF.

    Of a mail the newest message counts, of a dialogue what is said and not by whom, of a ticket
    neither fields nor logs. What was not read stands in the answer.

    A text of many windows gets the mean of their probabilities, weighted by their
    tokens: every part of a text counts by its length, wherever it stands.
    """

    name = "sentiment"
    answer = "sentiment"
    description = "Judges the attitude of a text: negative, neutral or positive, with calibrated probabilities"
    request = SentimentRequest
    result = SentimentResult
    confidence_threshold = CONFIDENCE_THRESHOLD

    def prepare(self) -> None:
        """Compile the rules for documents: the orchestrator reads this declaration too, and has no use for them."""
        import smallmesh.documents  # noqa: F401, PLC0415

    def tuning(self) -> Mapping[str, Any]:
        """Return the threshold and which rules for documents there were."""
        from smallmesh.documents import VERSION  # noqa: PLC0415 - see prepare

        return {**super().tuning(), "documents": VERSION}

    async def respond(self, request: SentimentRequest, model: Model) -> SentimentResult:
        """Return the most likely class and all probabilities."""
        from smallmesh.documents import aside  # noqa: PLC0415 - see prepare

        document = await aside(_read, request.text)
        windows = await model.classify(document.body)
        tokens = sum(w.tokens for w in windows)
        mean = {label.value: sum(w.probabilities[label.value] * w.tokens for w in windows) / tokens for label in SentimentLabel}
        label = max(mean, key=mean.__getitem__)
        return SentimentResult(
            label=SentimentLabel(label),
            probabilities=mean,
            confidence=mean[label],
            reasons=_reasons(windows),
            left_out=document.left_out,
        )


def _read(text: str) -> "Document":
    """What of a text is judged."""
    from smallmesh.documents import read  # noqa: PLC0415 - see prepare

    return read(text).without_speakers()


def _reasons(windows: Sequence[WindowScores]) -> tuple[str, ...]:
    """How several windows were made one answer, in words; nothing of one."""
    if len(windows) == 1:
        return ()
    votes = Counter(max(w.probabilities, key=w.probabilities.__getitem__) for w in windows)
    told = ", ".join(f"{votes[label]} {label}" for label in SentimentLabel if votes[label])
    return (f"{len(windows)} windows: {told}; weighted by their tokens",)


AGENT = Sentiment()
