"""Turns of speakers ("Ana: …", "[10:02] Ben: …", "<cleo> …") and where their labels stand."""

import re
from collections import Counter
from collections.abc import Sequence

from smallmesh.documents import phrases
from smallmesh.documents.page import Page

_CLOCK = r"\d{1,2}[:.]\d\d(?:[:.]\d\d)?(?:\s?[AaPp]\.?[Mm]\.?)?"
_DATE = r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}"
_TIME = rf"(?:\[[^\]\n]{{4,25}}\]|\({_CLOCK}\)|(?:{_DATE},?\s+)?{_CLOCK})\s*(?:[-\u2013|]\s*)?"
_NAME = r"[^\W_][\w.'\u2019-]{0,20}(?:[ ][\w.'\u2019#-]{1,20}){0,3}"
_TURN = re.compile(
    rf"\s*+(?P<time>{_TIME})?(?P<label>"
    rf"(?:\*\*|[#@])?(?P<name>{_NAME})#?(?:\s?\([^()\n]{{1,20}}\))?(?:\*\*)?\s?:(?:\*\*)?(?=\s|$)|"
    rf"<[@+ ]?(?P<nick>{_NAME})>:?(?=\s))"
)
_HEADING = re.compile(rf"\s*+(?P<name>{_NAME})\s{{1,4}}(?:[\u2014\u2022|-]\s)?\(?(?:{_DATE},?\s+)?{_CLOCK}\)?\s*$")
"""A line with name and time over what was said, as chat programs copy it."""
_NUMBER = re.compile(r" ?\d{1,2}$")
_LEAST_TURNS = 2
_LEAST_SHARE = 0.3
Label = tuple[int, int]


def mark_dialogue(page: Page) -> tuple[Label, ...] | None:
    """Claim the times of turns (``header``) and return start and end of each label that stands before words; None of no dialogue.

    A text is a dialogue where turns are a fair share of its lines and a speaker comes back, or all of them are roles
    ("Customer:"): "Pros: …" and "Service: …" in a review are neither.
    """
    free = page.free()
    turns = [(index, match) for index in free if (match := _turn(page.rows[index].text))]
    if not _are_turns([_speaker(match) for _, match in turns], len(free)):
        return _mark_headings(page, free)
    for index, match in turns:
        if match["time"]:
            page.cut(page.rows[index].start, page.rows[index].start + match.start("label"), "header")
    return tuple((page.rows[i].start + m.start("label"), page.rows[i].start + m.end("label")) for i, m in turns)


def _turn(text: str) -> re.Match[str] | None:
    match = _TURN.match(text) if ":" in text[:100] or "<" in text[:40] else None
    return match if match and _speaker(match) not in phrases.NO_SPEAKERS else None


def _speaker(match: re.Match[str]) -> str:
    return str(match["name"] or match["nick"]).lower()


def _are_turns(speakers: Sequence[str], lines: int) -> bool:
    if len(speakers) < _LEAST_TURNS or len(speakers) < lines * _LEAST_SHARE:
        return False
    times = Counter(speakers)
    if len(times) < len(speakers):
        return len(times) <= max(2, len(speakers) * 2 // 3)
    return all(_NUMBER.sub("", speaker) in phrases.ROLES for speaker in speakers)


def _mark_headings(page: Page, free: Sequence[int]) -> tuple[Label, ...] | None:
    """Claim lines that say who speaks below them; each needs something below it, or they are a timetable."""
    headings = [index for index in free if _HEADING.match(page.rows[index].text)]
    above = {*headings}
    said = all(index + 1 < len(page.rows) and index + 1 not in above for index in headings)
    if len(headings) < _LEAST_TURNS or len(headings) < len(free) * _LEAST_SHARE or headings[0] != free[0] or not said:
        return None
    for index in headings:
        page.claim(index, index + 1, "header")
    return ()
