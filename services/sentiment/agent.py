"""Sentiment: the attitude of a text, in three classes."""

from smallmesh.agent import Agent, Model
from smallmesh_contracts import SentimentLabel, SentimentRequest, SentimentResult

CONFIDENCE_THRESHOLD = 0.45
"""Probabilities are calibrated, so an answer under one half is more likely wrong than
right; less the calibration's own error, which docs/models.md gives."""


class Sentiment(Agent[SentimentRequest, SentimentResult]):
    """Judges a text by a classifier head inside its GGUF.

    A text of many windows gets the mean of their probabilities, weighted by their
    tokens: every part of a text counts by its length, wherever it stands.
    """

    name = "sentiment"
    answer = "sentiment"
    description = "Judges the attitude of a text: negative, neutral or positive, with calibrated probabilities"
    request = SentimentRequest
    result = SentimentResult
    confidence_threshold = CONFIDENCE_THRESHOLD

    async def respond(self, request: SentimentRequest, model: Model) -> SentimentResult:
        """Return the most likely class and all probabilities."""
        windows = await model.classify(request.text)
        tokens = sum(w.tokens for w in windows)
        mean = {label.value: sum(w.probabilities[label.value] * w.tokens for w in windows) / tokens for label in SentimentLabel}
        label = max(mean, key=mean.__getitem__)
        return SentimentResult(label=SentimentLabel(label), probabilities=mean, confidence=mean[label])


AGENT = Sentiment()
