"""How a message ends: signatures, and what lawyers and programs put under it."""

import re
from collections.abc import Sequence

from smallmesh.documents import phrases
from smallmesh.documents.page import Page

_DELIMITER = re.compile(r"\s*+(?:--|\u2014)\s*$")
_STANDARD_DELIMITER = "-- "
"""As mail programs write it; what follows is a signature whatever it says."""
SIGNATURE_ROWS = 12
"""A signature is shorter; what is longer below "--" is text below a rule."""
SIGNATURE_WORDS = 12
"""Words of a line of a signature: more are a sentence."""
_NAME_WORDS = 3
_DISCLAIMER_SIGNS = 2
_CONTACTS = 2
_HEAD, _TAIL = 6, 40
"""Rows at the beginning and at the end of a message where disclaimers stand: a long text is not searched whole."""


def mark_closings(page: Page, *, is_mail: bool) -> bool:
    """Claim disclaimers and signatures; tell whether there were any, which is a mark of mail.

    Args:
        page: The text's lines.
        is_mail: Whether the text is known to be mail: then addresses at the end need no leave-taking before them.
    """
    found = False
    for message in _messages(page):
        disclaimed = _mark_disclaimers(page, message)
        addressed = bool(phrases.GREETING.match(page.rows[message[0]].text))
        rest = [index for index in message if page.owners[index] is None]
        signed = _mark_signature(page, rest, is_mail=is_mail or disclaimed or addressed)
        found = found or disclaimed or signed
    return found


def _messages(page: Page) -> list[list[int]]:
    """The rows that nobody claimed, cut where a header stands between them."""
    messages: list[list[int]] = [[]]
    for index, owner in enumerate(page.owners):
        if owner is None:
            messages[-1].append(index)
        elif owner == "header" and messages[-1]:
            messages.append([])
    return [message for message in messages if message]


# --- disclaimers ------------------------------------------------------------------------------------------------------


def _mark_disclaimers(page: Page, message: Sequence[int]) -> bool:
    edges = message if len(message) <= _HEAD + _TAIL else [*message[:_HEAD], *message[-_TAIL:]]
    claimed = [_claim_disclaimer(page, paragraph) for paragraph in _paragraphs(page, edges)]
    return any(claimed)


def _paragraphs(page: Page, rows: Sequence[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for index in rows:
        if not found or page.rows[index].gap or index != found[-1][-1] + 1:
            found.append([])
        found[-1].append(index)
    return found


def _claim_disclaimer(page: Page, paragraph: Sequence[int]) -> bool:
    """Claim a paragraph that is a disclaimer, or else those of its lines that are."""
    texts = [page.rows[index].text for index in paragraph]
    if is_disclaimer(" ".join(texts)):
        about = next((at for at, text in enumerate(texts) if phrases.DISCLAIMER_OF.search(text)), 0)
        signed = any(phrases.SIGN_OFF.match(text) for text in texts[:about])  # no blank line between signature and disclaimer
        page.claim(paragraph[about if signed else 0], paragraph[-1] + 1, "disclaimer")
        return True
    lines = [index for index, text in zip(paragraph, texts, strict=True) if _is_programs(text)]
    for index in lines:
        page.claim(index, index + 1, "disclaimer")
    return bool(lines)


def _is_programs(text: str) -> bool:
    """Whether a line was put there by a mail program or a list."""
    return bool(phrases.BANNER.match(text) or phrases.MAILING.match(text))


def is_disclaimer(text: str) -> bool:
    """Whether a paragraph speaks of the message it stands in, and in two ways that disclaimers do."""
    if not phrases.DISCLAIMER_OF.search(text):
        return False
    return sum(bool(sign.search(text)) for sign in phrases.DISCLAIMER_SIGNS) >= _DISCLAIMER_SIGNS


# --- signatures -------------------------------------------------------------------------------------------------------


def _mark_signature(page: Page, message: Sequence[int], *, is_mail: bool) -> bool:
    """Claim the signature of a message; its first line is never part of one."""
    rows = list(message)
    while len(rows) > 1 and phrases.SENT_FROM.match(page.rows[rows[-1]].text):
        page.claim(rows[-1], rows[-1] + 1, "signature")
        rows.pop()
    tail = rows[1:][-SIGNATURE_ROWS - 1 :]
    at = next((at for at in range(len(tail)) if _begins_signature(page, tail[at:])), None)
    if at is None and is_mail:
        at = _contacts_at(page, tail)
    if at is not None:
        for index in _before_postscript(page, tail[at:]):
            page.claim(index, index + 1, "signature")
    return at is not None or len(rows) < len(message)


def _begins_signature(page: Page, rows: Sequence[int]) -> bool:
    first, *rest = [page.rows[index].text for index in rows]
    if first == _STANDARD_DELIMITER or not rest:
        return bool(rest) or bool(phrases.SIGN_OFF.match(first))
    if any(len(text.split()) > SIGNATURE_WORDS for text in _texts_before_postscript(rest)):
        return False
    if _DELIMITER.match(first) or phrases.SIGN_OFF.match(first):
        return True
    is_leave = phrases.SHORT_SIGN_OFF.match(first) and (first.rstrip().endswith(",") or len(rest) == 1)
    return bool(is_leave) and _is_name(rest[0])


def _is_name(text: str) -> bool:
    words = text.split()
    return len(words) <= _NAME_WORDS and text.lstrip()[:1].isupper() and text.rstrip()[-1] not in "?!:;"


def _contacts_at(page: Page, rows: Sequence[int]) -> int | None:
    """Where the last paragraph begins, if it is a name and ways to reach it."""
    at = max((at for at, index in enumerate(rows) if page.rows[index].gap), default=None)
    if at is None:
        return None
    texts = [page.rows[index].text for index in rows[at:]]
    reached = sum(bool(phrases.CONTACT.search(text)) for text in texts)
    is_block = _CONTACTS <= reached < len(texts) and all(len(text.split()) <= SIGNATURE_WORDS for text in texts)
    return at if is_block and _is_name(texts[0]) else None


def _before_postscript(page: Page, rows: Sequence[int]) -> Sequence[int]:
    return rows[: len(_texts_before_postscript([page.rows[index].text for index in rows]))]


def _texts_before_postscript(texts: Sequence[str]) -> Sequence[str]:
    return texts[: next((at for at, text in enumerate(texts) if phrases.POSTSCRIPT.match(text)), len(texts))]
