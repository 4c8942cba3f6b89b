"""Web addresses, with and without a scheme, as linkify-it sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from smallmesh.entities.found import Found
from smallmesh.entities.vocabulary import split, words
from smallmesh_contracts import EntityType

if TYPE_CHECKING:
    from linkify_it import LinkifyIt

_SCHEME = re.compile(r"(?<![A-Za-z0-9+.-])(https?|ftp)(:)//", re.IGNORECASE)
_CHUNK = re.compile(r"[^\s<>]+")
_MAYBE_HOST = re.compile(r"[^\W_]\.[^\W\d_]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00-\x1f]")
_HOST_ENDS = re.compile(r"[/?#]")
_ASSUMED = "http://"
_RESERVED = split(words()["domain"]["reserved"])
_CLEAR = frozenset(split(words()["domain"]["clear"]))
_WORDS = frozenset(split(words()["domain"]["words_too"]))


class Urls:
    """Finds web addresses."""

    def __init__(self) -> None:
        from linkify_it import LinkifyIt  # noqa: PLC0415 - only an agent's process has it
        from linkify_it.tlds import TLDS  # noqa: PLC0415

        self._linkify: LinkifyIt = LinkifyIt({"mailto:": None, "//": None}, {"fuzzy_email": False})
        self._linkify.tlds([*(name.lower() for name in TLDS), *_RESERVED])

    def find(self, text: str) -> Iterator[Found]:
        """Yield the addresses; ``value`` has a scheme, and the host in small letters."""
        for match in _SCHEME.finditer(text):
            length = self._linkify.test_schema_at(text, f"{match[1].lower()}:", match.end(2))
            yield from _found(text, match.start(), match.end(2) + length if length else match.start())
        for chunk in _CHUNK.finditer(text):
            for link in (_MAYBE_HOST.search(chunk.group()) and self._linkify.match(chunk.group())) or ():
                if not link.schema and _is_host(link.raw):
                    yield from _found(text, chunk.start() + link.index, chunk.start() + link.last_index)


def _found(text: str, start: int, end: int) -> Iterator[Found]:
    hidden = _INVISIBLE.search(text, start, end)
    surface = text[start : hidden.start() if hidden else end]
    if surface:
        yield Found(start, start + len(surface), EntityType.URL, _normal(surface))


def _normal(surface: str) -> str:
    scheme, mark, rest = surface.partition("://")
    if not mark:
        scheme, rest = _ASSUMED.removesuffix("://"), surface
    ends = _HOST_ENDS.search(rest)
    authority = rest[: ends.start()] if ends else rest
    user, sign, host = authority.rpartition("@")
    return f"{scheme.lower()}://{user}{sign}{host.lower()}{rest[len(authority) :]}"


def _is_host(surface: str) -> bool:
    """Whether something without a scheme is a web address, and not a file's name or two sentences without a space."""
    host = _HOST_ENDS.split(surface, maxsplit=1)[0].partition(":")[0]
    last = host.rpartition(".")[2]
    if host.lower().startswith("www.") or "/" in surface:
        return True
    return (last.islower() or host.isupper()) and (last.lower() in _CLEAR or (len(last) == len("de") and last not in _WORDS))
