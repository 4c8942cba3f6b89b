"""Texts as they come: mail, chats, tickets, HTML; what of them is to be read, with the offsets of the original."""

from smallmesh.documents.aside import aside
from smallmesh.documents.document import VERSION, Document, Kind, read, without_markup
from smallmesh.documents.pieces import Piece, pieces_of, read_pieces, with_speakers

__all__ = ["VERSION", "Document", "Kind", "Piece", "aside", "pieces_of", "read", "read_pieces", "with_speakers", "without_markup"]
