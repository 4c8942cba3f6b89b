"""A short form of a text, in the text's own sentences."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from smallmesh.agent import Agent, Model
from smallmesh_contracts import Span, SummaryRequest, SummaryResult

if TYPE_CHECKING:
    from smallmesh.documents import Document, Piece


class Summarizer(Agent[SummaryRequest, SummaryResult]):
    """Chooses the sentences that stand for the text, by their vectors.

    It reads the newest message of a mail, what is said in a dialogue with its speakers, the prose of a ticket, the text
    of HTML; what was not read stands in the answer. A sentence of more than 60 words is cut at a clause, short items of a
    list go together. Of a text with more than 128 such pieces each stretch sends one, chosen by its words, to the model.
    """

    name = "summarizer"
    answer = "summary"
    description = "Shortens a text to one to three of its own sentences"
    request = SummaryRequest
    result = SummaryResult

    def prepare(self) -> None:
        """Load what chooses: the orchestrator reads this declaration too, and has no use for numpy and rules for documents."""
        import smallmesh.documents  # noqa: PLC0415
        import smallmesh.documents.extractive  # noqa: F401, PLC0415

    def tuning(self) -> Mapping[str, Any]:
        """Return which rules for documents there were."""
        from smallmesh.documents import VERSION  # noqa: PLC0415 - see prepare

        return {**super().tuning(), "documents": VERSION}

    async def respond(self, request: SummaryRequest, model: Model) -> SummaryResult:
        """Return the chosen sentences in the order of the text."""
        from smallmesh.documents import aside, with_speakers  # noqa: PLC0415 - see prepare
        from smallmesh.documents.extractive import select_sentences  # noqa: PLC0415 - see prepare

        document, pieces = await aside(_read, request.text)
        if len(pieces) > 1:
            texts = [piece.text for piece in pieces]
            chosen = select_sentences(await model.embed(texts), request.max_sentences, sentences=texts)
            pieces = with_speakers(document, [pieces[index] for index in chosen])
        return SummaryResult(
            summary=" ".join(piece.text for piece in pieces),
            method="extractive",
            sentences=len(pieces),
            spans=tuple(Span(start=piece.start, end=piece.end) for piece in pieces),
            left_out=document.left_out,
        )


def _read(text: str) -> "tuple[Document, list[Piece]]":
    """A text's document, and which of its pieces the model is shown."""
    from smallmesh.documents import read_pieces  # noqa: PLC0415 - see prepare
    from smallmesh.documents.extractive import shortlist  # noqa: PLC0415 - see prepare

    document, pieces = read_pieces(text)
    return document, [pieces[index] for index in shortlist([piece.text for piece in pieces])]


AGENT = Summarizer()
