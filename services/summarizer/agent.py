"""A short form of a text, in the text's own sentences."""

from smallmesh.agent import Agent, Model
from smallmesh_contracts import SummaryRequest, SummaryResult


class Summarizer(Agent[SummaryRequest, SummaryResult]):
    """Chooses the sentences that stand for the text, by their vectors."""

    name = "summarizer"
    answer = "summary"
    description = "Shortens a text to one to three of its own sentences"
    request = SummaryRequest
    result = SummaryResult

    async def respond(self, request: SummaryRequest, model: Model) -> SummaryResult:
        """Return the chosen sentences in the order of the text."""
        # The orchestrator reads this declaration too, and has no use for numpy.
        from smallmesh.hosting.extractive import select_sentences  # noqa: PLC0415
        from smallmesh.hosting.sentences import split_sentences  # noqa: PLC0415

        sentences = [request.text[s.start : s.end] for s in split_sentences(request.text)]
        if len(sentences) > 1:
            chosen = select_sentences(await model.embed(sentences), request.max_sentences, sentences=sentences)
            sentences = [sentences[i] for i in chosen]
        summary = " ".join(" ".join(s.split()) for s in sentences)
        return SummaryResult(summary=summary, method="extractive", sentences=len(sentences))


AGENT = Summarizer()
