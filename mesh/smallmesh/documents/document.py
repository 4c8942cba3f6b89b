"""A text as it comes, and what of it is to be read."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from smallmesh.documents.closing import mark_closings
from smallmesh.documents.dialogue import Label, mark_dialogue
from smallmesh.documents.fields import mark_fields
from smallmesh.documents.mail import mark_mail
from smallmesh.documents.markup import Reading, read_markup, unmarked
from smallmesh.documents.page import Page, Place, blanked
from smallmesh.documents.technical import mark_technical
from smallmesh_contracts import LeftOut

VERSION = 1
"""Of the rules; an agent that reads by them has it in its prompt version."""

_ITEM = re.compile(r"\s*+(?:[-*\u2022\u2013\u25e6\u25aa\u00b7+]\s|\(?\d{1,3}[.)]\s|\(?[a-zA-Z][.)]\s|\[[ xX]\]\s)")
_LEAST_ITEMS = 3
_ITEM_SHARE = 0.6
_QUOTE_MARKS = re.compile(r"\s{0,3}(?:>\s?)+")


class Kind(StrEnum):
    """What a text is. Where it is several, the first of these."""

    MAIL = "mail"
    DIALOGUE = "dialogue"
    TICKET = "ticket"
    HTML = "html"
    LIST = "list"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Document:
    """A text with everything blanked that is not to be read.

    Attributes:
        kind: What it is.
        body: As long as the text, so that offsets into it are offsets into the text: what is left out is white space, and no
            sentence reaches over it; an entity of HTML is its character and what stands for nothing.
        left_out: What was blanked, one a kind.
        speakers: Start and end of each speaker's label in a dialogue; they are in the body.
    """

    kind: Kind
    body: str
    left_out: tuple[LeftOut, ...] = ()
    speakers: tuple[Label, ...] = ()

    def without_speakers(self) -> "Document":
        """Return the document with the speakers' labels left out too, unless there is nothing else."""
        body = blanked(self.body, [(start, end, "speaker") for start, end in self.speakers])
        if not self.speakers or not _has_words(body):
            return self
        size = sum(end - start for start, end in self.speakers)
        return replace(self, body=body, left_out=(*self.left_out, LeftOut(kind="speaker", characters=size)), speakers=())

    def quote(self, start: int, end: int) -> str:
        """Return what stands between two offsets as it is quoted: decoded, without markup, white space as single spaces."""
        return unmarked(self.body[start:end])


def read(text: str) -> Document:
    """Return what of a text is to be read.

    Mail: the newest message, without headers, signature and disclaimer. Tickets: without fields, logs, traces and code.
    HTML: without markup. Where that leaves nothing, what was quoted is read, and else everything but markup.
    Takes time in proportion to the text's length, whatever it is.
    """
    reading = read_markup(text)
    if not _has_words(reading.body):
        return Document(Kind.PLAIN, text)
    page = Page(reading.body)
    mark_technical(page)
    technical = any(page.owners)
    is_mail = mark_mail(page, reading.quoted)
    is_mail = mark_closings(page, is_mail=is_mail) or is_mail
    is_ticket = mark_fields(page) or technical
    speakers = None if is_mail else mark_dialogue(page)
    kinds = {
        Kind.MAIL: is_mail,
        Kind.DIALOGUE: speakers is not None,
        Kind.TICKET: is_ticket,
        Kind.HTML: reading.is_html,
        Kind.LIST: _is_list(page),
        Kind.PLAIN: True,
    }
    return _first_with_words(next(kind for kind in Kind if kinds[kind]), reading, page, speakers or ())


def without_markup(text: str) -> str:
    """Return a text of the same length in which HTML tags are white space; all of it where nothing else would be left."""
    body = read_markup(text).body
    return body if _has_words(body) else text


def _first_with_words(kind: Kind, reading: Reading, page: Page, speakers: tuple[Label, ...]) -> Document:
    """Leave out all that was marked; if nothing is left, all but what is quoted; at last only markup."""
    places = page.left_out()
    for left in (places, _with_quotes(reading.body, places)):
        body = blanked(reading.body, left, {"markup": ""})
        if _has_words(body):
            return Document(kind, body, _counted(left, reading.markup), speakers)
    return Document(kind, reading.body, _counted((), reading.markup), speakers)


def _with_quotes(body: str, places: Iterable[Place]) -> list[Place]:
    """Places with the quoted ones read; of those only the marks before their lines are left out."""
    left: list[Place] = []
    for start, end, kind in places:
        marks = _QUOTE_MARKS.match(body, start, end) if kind == "quote" else None
        if kind != "quote":
            left.append((start, end, kind))
        elif marks:
            left.append((start, marks.end(), "markup"))
    return left


def _counted(places: Iterable[Place], markup: int) -> tuple[LeftOut, ...]:
    sizes = Counter({"markup": markup})
    for start, end, kind in places:
        sizes[kind] += end - start
    return tuple(LeftOut(kind=kind, characters=size) for kind, size in sorted(sizes.items()) if size)


def _has_words(text: str) -> bool:
    return any(map(str.isalnum, text))


def _is_list(page: Page) -> bool:
    items = sum(bool(_ITEM.match(row.text)) for row in page.rows)
    return items >= _LEAST_ITEMS and items >= len(page.rows) * _ITEM_SHARE
