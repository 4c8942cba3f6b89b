"""A short form of a text: in the text's own sentences, or in new ones where the model can write."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from smallmesh.agent import Agent, Model
from smallmesh.hosting.sentences import split_sentences
from smallmesh_contracts import Span, SummaryRequest, SummaryResult

if TYPE_CHECKING:
    from smallmesh.documents import Document, Piece


class Summarizer(Agent[SummaryRequest, SummaryResult]):
    """Chooses the sentences that stand for the text, by their vectors; where the model can write, it writes new ones.

    It reads the newest message of a mail, what is said in a dialogue with its speakers, the prose of a ticket, the text
    of HTML; what was not read stands in the answer. A sentence of more than 60 words is cut at a clause, short items of a
    list go together. Of a text with more than 128 such pieces each stretch sends one, chosen by its words, to the model.
    A model that writes is shown all of them.
    """

    name = "summarizer"
    answer = "summary"
    description = "Shortens a text to one to three sentences: its own, or new ones where the model can write"
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
        """Return sentences in the order of the text, or the model's own. A text of one sentence is its own summary."""
        from smallmesh.documents import aside  # noqa: PLC0415 - see prepare

        document, pieces = await aside(_read, request.text)
        if len(pieces) > 1 and model.writes:
            return await self._write(document, request, model)
        if len(pieces) > 1:
            pieces = await self._choose(document, pieces, request, model)
        return SummaryResult(
            summary=" ".join(piece.text for piece in pieces),
            method="extractive",
            sentences=len(pieces),
            spans=tuple(Span(start=piece.start, end=piece.end) for piece in pieces),
            left_out=document.left_out,
        )

    async def _choose(self, document: "Document", pieces: "list[Piece]", request: SummaryRequest, model: Model) -> "list[Piece]":
        from smallmesh.documents import with_speakers  # noqa: PLC0415 - see prepare
        from smallmesh.documents.extractive import select_sentences  # noqa: PLC0415 - see prepare

        texts = [piece.text for piece in pieces]
        chosen = select_sentences(await model.embed(texts), request.max_sentences, sentences=texts)
        return with_speakers(document, [pieces[index] for index in chosen])

    async def _write(self, document: "Document", request: SummaryRequest, model: Model) -> SummaryResult:
        from smallmesh.documents import aside  # noqa: PLC0415 - see prepare

        written = await model.write(await aside(_whole, request.text), sentences=request.max_sentences)
        sentences = [sentence.text for sentence in split_sentences(written)][: request.max_sentences]
        return SummaryResult(summary=" ".join(sentences), method="abstractive", sentences=len(sentences), left_out=document.left_out)


def _read(text: str) -> "tuple[Document, list[Piece]]":
    """A text's document, and which of its pieces the model is shown."""
    from smallmesh.documents import read_pieces  # noqa: PLC0415 - see prepare
    from smallmesh.documents.extractive import shortlist  # noqa: PLC0415 - see prepare

    document, pieces = read_pieces(text)
    return document, [pieces[index] for index in shortlist([piece.text for piece in pieces])]


def _whole(text: str) -> str:
    """All that is to be read of a text, in its lines."""
    from smallmesh.documents import read_pieces  # noqa: PLC0415 - see prepare

    document, pieces = read_pieces(text)
    shown = pieces[0].text
    for before, piece in pairwise(pieces):
        shown += ("\n" if "\n" in document.body[before.end : piece.start] else " ") + piece.text
    return shown


AGENT = Summarizer()
