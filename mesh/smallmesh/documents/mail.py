"""Mail in a text: headers, older messages, what is quoted of them.

Libraries for this were looked at (2026-11-21). ``mail-parser-reply`` 1.36 gives texts without their places and takes twelve
seconds for 8,192 empty lines; ``quotequail`` 0.5.4 is quick, but cuts a text in two once, so answers between quoted lines,
signatures and disclaimers are beyond it. Hence rules of our own, over lines.
"""

import re
from dataclasses import dataclass
from typing import Literal

from smallmesh.documents import phrases
from smallmesh.documents.page import Page

_HEADER = re.compile(r"\s*+\*{0,2}(?P<name>[^\W\d_][\w' -]{0,24}?)\s?\*{0,2}\s?:\*{0,2}(?=\s|$)")
_PRECISE = re.compile(r"\S@\S|\d{1,2}[:.]\d\d\b")
"""An address or a time of day: mail programs give one of them."""
_QUOTE = re.compile(r"\s{0,3}>")
_BARE_QUOTE = re.compile(r"\s{0,3}>\s*(?:>|$)")
_RULE = re.compile(r"\s*+[_-]{10,}\s*$")
_WRAPPED_LINE = 45
"""A quoted line that was longer is prose; shorter ones may be items of a list."""
_ATTRIBUTION_ROWS = 3
_BEFORE_HEADERS = 4
"""Lines between "Forwarded by…" and its headers: Lotus puts the sender and the date there."""
_PASSING_ON_WORDS = 12
_ANSWER_WORDS = 4

Opening = Literal["reply", "forward"]


@dataclass(frozen=True, slots=True)
class Seam:
    """Where an older message begins.

    Attributes:
        first: The first row of what introduces it.
        end: The row after the last of that.
        opening: ``forward`` where it was passed on to be read.
    """

    first: int
    end: int
    opening: Opening


def mark_mail(page: Page, quoted: tuple[tuple[int, int], ...] = ()) -> bool:
    """Claim headers and whatever is not part of the newest message; tell whether the text is mail.

    Args:
        page: The text's lines.
        quoted: What markup has said to be quoted.
    """
    blocks = _header_blocks(page)
    attributions = _attributions(page)
    _mark_quoted_elements(page, quoted)
    seams = _seams(page, blocks, attributions)
    kept = _newest(page, seams)
    _mark_older(page, seams, kept)
    _mark_headers(page, blocks, seams, kept)
    is_mail = bool(blocks or seams or quoted or attributions)
    return _mark_quoted_lines(page, attributions, is_mail=is_mail) or is_mail


# --- headers ----------------------------------------------------------------------------------------------------------


def _header_name(text: str) -> str | None:
    """What a line's header stands for; None where it is none."""
    match = _HEADER.match(text)
    if not match:
        return None
    name = match["name"].lower()
    return phrases.HEADER_NAMES.get(name) or ("other" if name.startswith("x-") else None)


def _header_blocks(page: Page) -> list[tuple[int, int]]:
    """First row and the row after the last of each run of lines that is a message's header."""
    found: list[tuple[int, int]] = []
    index = 0
    rows = page.rows
    names = [_header_name(row.text) if ":" in row.text[:32] else None for row in rows]
    while index < len(rows):
        end = index
        while end < len(rows) and (names[end] or (end > index and rows[end].text[0] in " \t" and not rows[end].gap)):
            end += 1
        if end > index and _is_header({name for name in names[index:end] if name}, " ".join(row.text for row in rows[index:end])):
            found.append((index, end))
        index = max(end, index + 1)
    return found


def _is_header(names: set[str], text: str) -> bool:
    """Whether these names make a header: "From: London, To: Paris" is a journey."""
    if not names & {"from", "to"} or len(names) < 2:  # noqa: PLR2004 - one line is no block
        return bool(names >= {"date", "subject"} and _PRECISE.search(text))
    return "subject" in names or bool(_PRECISE.search(text))


def _mark_headers(page: Page, blocks: list[tuple[int, int]], seams: list[Seam], kept: int) -> None:
    """Claim the headers of the messages that are read; the first subject's words stay."""
    headers = {index for first, end in blocks for index in range(first, end)}
    headers |= {index for seam in seams[:kept] for index in range(seam.first, seam.end)}
    titled = False
    for index in sorted(headers):
        row = page.rows[index]
        if page.owners[index] is None and not titled and _header_name(row.text) == "subject":
            titled = True
            page.cut(row.start, row.start + _subject_at(row.text), "header")
        else:
            page.claim(index, index + 1, "header")


def _subject_at(text: str) -> int:
    """Offset of a subject's own words in its line."""
    header = _HEADER.match(text)
    at = header.end() if header else 0
    at += len(text[at:]) - len(text[at:].lstrip())
    prefix = phrases.SUBJECT_PREFIX.match(text, at)
    return prefix.end() if prefix else at


# --- older messages ---------------------------------------------------------------------------------------------------


def _attributions(page: Page) -> list[Seam]:
    """Lines of the form "On Monday Ana wrote:", over up to three rows; of answers without ">" those with an address or a time."""
    found: list[Seam] = []
    rows = page.rows
    for index, row in enumerate(rows):
        text = row.text.rstrip()
        if page.owners[index] is not None or not text.endswith(":") or not phrases.ATTRIBUTION_CLOSES.search(text[-300:]):
            continue
        first = _attribution_start(page, index)
        text = " ".join(r.text for r in rows[index if first is None else first : index + 1])
        answered = index + 1 < len(rows) and bool(_QUOTE.match(rows[index + 1].text))
        if answered or (first is not None and _PRECISE.search(text)):
            found.append(Seam(index if first is None else first, index + 1, "reply"))
    return found


def _attribution_start(page: Page, last: int) -> int | None:
    for index in range(last, max(-1, last - _ATTRIBUTION_ROWS), -1):
        if phrases.ATTRIBUTION_OPENS.match(page.rows[index].text):
            return index
        if page.rows[index].gap:
            break
    return last if "@" in page.rows[last].text else None


def _seams(page: Page, blocks: list[tuple[int, int]], attributions: list[Seam]) -> list[Seam]:
    """Where older messages begin that are not quoted line by line, in order and apart."""
    rows = page.rows
    ends = dict(blocks)
    seams: dict[int, Seam] = {}
    for index in page.free():
        text = rows[index].text
        forwarded = bool(phrases.FORWARDED_MESSAGE.match(text))
        if forwarded or phrases.OLDER_MESSAGE.match(text):
            seams[index] = Seam(index, _introduced(page, index + 1, ends), "forward" if forwarded else "reply")
    covered = {index for seam in seams.values() for index in range(seam.first, seam.end)}
    forwarding = _is_forwarding(page, blocks)
    for first, end in blocks:
        begin = first - 1 if first and _RULE.match(rows[first - 1].text) else first
        if first not in covered and not _QUOTE.match(rows[first].text) and _is_answered(page, begin):
            seams[begin] = Seam(begin, end, "forward" if forwarding and not seams else "reply")
    for seam in attributions:
        if seam.end < len(rows) and not _QUOTE.match(rows[seam.end].text):
            seams.setdefault(seam.first, seam)
    return [seams[first] for first in sorted(seams)]


def _is_answered(page: Page, first: int) -> bool:
    """Whether what stands before a header answers the message after it; "Ticket 4711" over a message does not."""
    if not first or not page.rows[first].gap:
        return False
    text = " ".join(row.text for row in page.rows[max(0, first - _ATTRIBUTION_ROWS) : first]).rstrip()
    return len(text.split()) >= _ANSWER_WORDS or text.endswith((".", "!", "?", ","))


def _introduced(page: Page, index: int, ends: dict[int, int]) -> int:
    """The row after a separator's own headers."""
    for first in range(index, min(index + _BEFORE_HEADERS + 1, len(page.rows))):
        if first in ends:
            return ends[first]
    return index


def _is_forwarding(page: Page, blocks: list[tuple[int, int]]) -> bool:
    if not blocks or blocks[0][0]:
        return False
    subjects = [row.text.partition(":")[2] for row in page.rows[: blocks[0][1]] if _header_name(row.text) == "subject"]
    return any(map(phrases.FORWARDING_SUBJECT.match, subjects))


def _newest(page: Page, seams: list[Seam]) -> int:
    """How many of the older messages are read too: what was passed on is read, and what "see below" points at."""
    kept = 0
    while kept < len(seams):
        begin = seams[kept - 1].end if kept else 0
        own = " ".join(page.rows[index].text for index in page.free(begin, seams[kept].first) if not _header_name(page.rows[index].text))
        passing_on = len(own.split()) <= _PASSING_ON_WORDS and bool(phrases.PASSED_ON.search(own))
        if seams[kept].opening == "reply" and any(map(str.isalnum, own)) and not passing_on:
            break
        kept += 1
    return kept


def _mark_older(page: Page, seams: list[Seam], kept: int) -> None:
    if kept < len(seams):
        page.claim(seams[kept].first, len(page.rows), "quote")


# --- quoted lines -----------------------------------------------------------------------------------------------------


def _mark_quoted_elements(page: Page, quoted: tuple[tuple[int, int], ...]) -> None:
    index = 0
    for start, end in quoted:
        while index < len(page.rows) and page.rows[index].start < start:
            index += 1
        first = index
        while index < len(page.rows) and page.rows[index].end <= end:
            index += 1
        page.claim(first, index, "quote")


def _mark_quoted_lines(page: Page, attributions: list[Seam], *, is_mail: bool) -> bool:
    """Claim lines that begin with ">" where they are quoted mail, with the lines that say whose; tell whether there were any."""
    rows = page.rows
    introduced = {seam.end: seam.first for seam in attributions}
    found = False
    index = 0
    while index < len(rows):
        end = index
        while end < len(rows) and page.owners[end] is None and _QUOTE.match(rows[end].text):
            end += 1
        if end > index and (index in introduced or _is_quoted(page, index, end, is_mail=is_mail)):
            page.claim(introduced.get(index, index), index, "header")
            page.claim(index, end, "quote")
            found = True
        index = max(end, index + 1)
    return found


def _is_quoted(page: Page, first: int, end: int, *, is_mail: bool) -> bool:
    """Whether a run of lines that begin with ">" is quoted: one line, or items under "To do:", are not."""
    if is_mail:
        return True
    listed = first > 0 and page.rows[first - 1].text.rstrip().endswith(":")
    lines = [row.text for row in page.rows[first:end]]
    return len(lines) > 1 and not listed and any(len(line) >= _WRAPPED_LINE or _BARE_QUOTE.match(line) for line in lines)
