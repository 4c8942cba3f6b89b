"""A short form of a text, in the text's own sentences."""

from smallmesh.agent import Agent, Model
from smallmesh.hosting.extractive import select_sentences
from smallmesh.hosting.sentences import split_sentences
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
        sentences = [request.text[s.start : s.end] for s in split_sentences(request.text)]
        if len(sentences) > 1:
            chosen = select_sentences(await model.embed(sentences), request.max_sentences)
            sentences = [sentences[i] for i in chosen]
        summary = " ".join(" ".join(s.split()) for s in sentences)
        return SummaryResult(summary=summary, method="extractive", sentences=len(sentences))


AGENT = Summarizer()
