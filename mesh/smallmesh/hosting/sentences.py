"""Sentences of a text with exact offsets, by rules: paragraphs, abbreviations, initials, decimals, quotes.

sentencex (MIT) was tried first: equally good on clean text, but its native code panics on some odd input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of a text without surrounding white space; ``source[start:end] == text``."""

    text: str
    start: int
    end: int


# Never the end of a sentence: something always follows.
_TITLES = frozenset(
    """
    mr mrs ms messrs dr prof st mt ft gen sen rep gov capt cpt lt col sgt cpl maj rev hon pres supt
    fig figs eq eqs sec vol ch art arts para cf vs viz e.g i.e eg ie approx ca no nos nr pp p ref resp incl
    """.split()  # noqa: SIM905 - a list of quoted words would be four times as long
)
# Of these, the ones that are words of their own: something follows only where it is a number ("No. 5").
_NUMBERED = frozenset(("no", "p", "art", "sec"))
# May end a sentence: it does where a word follows that usually begins one.
_ABBREVIATIONS = frozenset(
    """
    inc ltd co corp bros llc plc gmbh etc al jr sr esq dept est ave blvd rd tel ext ed eds min max avg
    a.m p.m am pm u.s u.k u.n e.u u.s.a d.c b.c a.d ph.d m.d b.a m.a ph phd
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun
    """.split()  # noqa: SIM905 - a list of quoted words would be four times as long
)
_STARTERS = frozenset(
    """
    the a an this that these those he she it they we you i his her its their our your my there here
    in on at for from by with after before when while where if as since because although but and or so
    however then now still also yet what who why how is are was were do does did can could will would should
    please thanks thank let no not yes
    """.split()  # noqa: SIM905 - a list of quoted words would be four times as long
)
# A run of marks is looked at once, from its beginning: 32 KiB of full stops took two minutes otherwise.
_END = re.compile(
    r"(?<![.!?\u2026])(?P<mark>[.!?\u2026]++)(?P<close>[\"'\u201d\u2019)\]\u00bb]*+)(?=\s)|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d]*"
)
_PARAGRAPH = re.compile(r"\n[^\S\n]*(?:\n\s*)+|\n")
_ITEM = re.compile(r"\s*(?:[-*\u2022\u2013>|#]|\(?\w{1,2}[.)]\s|[A-Z][\w-]{0,15}:)")
_OPENING = "\"'\u201c\u2018([\u00ab"
# Characters before a full stop that tell an abbreviation or the number of an item.
_LOOK_BACK = 20
# A shorter line was not broken by wrapping.
_WRAPPED_LINE = 50


def split_sentences(text: str) -> list[Span]:
    """The sentences of ``text`` in order; together they hold everything but white space.

    A blank line ends a sentence, and so does a line that was not wrapped: a short one, one before a list item,
    one that ends in terminal punctuation or a colon.
    """
    found: list[Span] = []
    for start, end in _blocks(text):
        found.extend(_cut_block(text, start, end))
    return found


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    start = line = 0
    for match in _PARAGRAPH.finditer(text):
        previous = text[line : match.start()].rstrip()
        wrapped = (
            match.group().count("\n") == 1
            and len(previous) >= _WRAPPED_LINE
            and previous[-1] not in ".!?:;\u2026"
            and not _ITEM.match(text, match.end())
        )
        line = match.end()
        if not wrapped:
            yield start, match.start()
            start = match.end()
    yield start, len(text)


def _cut_block(text: str, start: int, end: int) -> Iterator[Span]:
    small = not any(map(str.isupper, text[start:end]))
    begin = start
    for match in _END.finditer(text, start, end):
        if match["mark"] is None or _ends(text, begin, match, end, small=small):
            yield from _trimmed(text, begin, match.end())
            begin = match.end()
    yield from _trimmed(text, begin, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        at = start + len(piece) - len(piece.lstrip())
        yield Span(stripped, at, at + len(stripped))


def _ends(text: str, begin: int, match: re.Match[str], end: int, *, small: bool) -> bool:
    """Whether a mark ends its sentence. ``small``: the block has no capital letter, so case says nothing."""
    following = text[match.end() : min(end, match.end() + 40)].lstrip()
    after = following.lstrip(_OPENING)[:1]
    mark, closed = match["mark"], bool(match["close"])
    if not after:
        return True
    if after.islower() and not small and (closed or mark[-1] in ".\u2026"):
        return False
    if mark != "." or closed:
        return True
    return _stop_ends(text[max(begin, match.start() - _LOOK_BACK) : match.start()], following)


def _stop_ends(before: str, following: str) -> bool:
    """Whether a single full stop between the two ends a sentence, and not an abbreviation, an initial or a number."""
    words = before.split()
    if not words or before.strip(_OPENING + " \t").isdigit():
        return False
    word = words[-1].lstrip(_OPENING).lower()
    if word in _TITLES and (word not in _NUMBERED or following[:1].isdigit()):
        return False
    if word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha()):
        return _first_word(following) in _STARTERS
    return True


def _first_word(text: str) -> str:
    match = re.match(r"\W*(\w+)", text)
    return match.group(1).lower() if match else ""
