"""Mail addresses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from smallmesh.entities.found import Found
from smallmesh_contracts import EntityType

_LONGEST_LOCAL = 64  # characters, RFC 5321
_LOCAL_SIGNS = frozenset("._%+-'")
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL}){{1,8}}")
_TOP = re.compile(r"[^\W\d_]{2,24}|xn--[a-z0-9-]+", re.IGNORECASE)


def find(text: str) -> Iterator[Found]:
    """Yield the addresses; their host is in small letters in ``value``."""
    at = text.find("@")
    while at >= 0:
        start, host = _local_start(text, at), _host(text, at + 1)
        if start is not None and host:
            yield Found(start, at + 1 + len(host), EntityType.EMAIL, f"{text[start:at]}@{host.lower()}")
        at = text.find("@", at + 1)


def _local_start(text: str, at: int) -> int | None:
    start, uncased = at, _is_uncased(text[at - 1 : at])
    while start > 0 and at - start <= _LONGEST_LOCAL and _is_local(text[start - 1], uncased=uncased):
        start -= 1
    if at - start > _LONGEST_LOCAL or text[start - 1 : start] == "@":
        return None
    start += len(text[start:at]) - len(text[start:at].lstrip(".%+-'"))
    local = text[start:at]
    return None if not local or local.endswith(".") or ".." in local else start


def _is_local(sign: str, *, uncased: bool) -> bool:
    return sign in _LOCAL_SIGNS or (sign.isalnum() and _is_uncased(sign) <= uncased)


def _is_uncased(sign: str) -> bool:
    """Whether a letter is of a script without case; beside others it is the sentence's, written without a space."""
    return bool(sign) and not sign.isascii() and unicodedata.category(sign) == "Lo"


def _host(text: str, start: int) -> str:
    match = _HOST.match(text, start)
    host = match.group() if match else ""
    if host and not _is_uncased(host[0]):
        host = next((host[:index] for index, sign in enumerate(host) if _is_uncased(sign)), host).rstrip("-.")
    labels = host.split(".")
    if len(labels) > 2 and _is_glued(labels[-2], labels[-1]):  # noqa: PLR2004 - a host has two at least
        labels.pop()
    return ".".join(labels) if len(labels) > 1 and _TOP.fullmatch(labels[-1]) else ""


def _is_glued(last: str, word: str) -> bool:
    """Whether a word is the next sentence's, without a space between: "ana@x.org.Then"."""
    return word[:1].isupper() and not word.isupper() and last.islower() and last.isalpha()
