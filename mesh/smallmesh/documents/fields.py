"""Blocks of fields in tickets and forms ("Priority: high"), as far as they are facts to file by."""

import re

from smallmesh.documents import phrases
from smallmesh.documents.page import Page

_FIELD = re.compile(r"\s*+(?:[-*\u2022|]\s+)?\**(?P<name>[^\W\d_][\w '/.#-]{0,28}?)\**\s?(?:[:|]|\s=\s)\**\s*(?P<value>.*)")
_VALUE_WORDS = 10
_LEAST_FIELDS = 3
"""Fewer lines are a sentence's "Note: …", or a review's "Service: slow"."""
_KNOWN_SHARE = 0.5


def mark_fields(page: Page) -> bool:
    """Claim the fields of each block; of a field that holds prose ("Description: …") its name alone. Tell whether there were any."""
    found = False
    block: list[tuple[int, re.Match[str]]] = []
    for index in page.free():
        match = _field(page.rows[index].text)
        if block and (match is None or index != block[-1][0] + 1):
            found = _claim_block(page, block) or found
            block = []
        if match:
            block.append((index, match))
    return _claim_block(page, block) or found


def _field(text: str) -> re.Match[str] | None:
    match = _FIELD.match(text)
    if not match or _is_prose(match):
        return match
    return match if len(match["value"].split()) <= _VALUE_WORDS else None


def _is_prose(match: re.Match[str]) -> bool:
    return match["name"].strip().lower() in phrases.PROSE_FIELDS


def _claim_block(page: Page, block: list[tuple[int, re.Match[str]]]) -> bool:
    names = [match["name"].strip().lower() for _, match in block]
    known = sum(name in phrases.FIELD_NAMES for name in names)
    if len(block) < _LEAST_FIELDS or len(set(names)) < len(names) or known < max(2, len(names) * _KNOWN_SHARE):
        return False
    for index, match in block:
        if _is_prose(match):
            page.cut(page.rows[index].start, page.rows[index].start + match.start("value"), "header")
        else:
            page.claim(index, index + 1, "header")
    return True
