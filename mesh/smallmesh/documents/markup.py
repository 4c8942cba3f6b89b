"""HTML in a text: which of it is markup, and the characters that entities stand for.

The standard library's ``html.parser`` gives positions too, but takes eleven seconds for 32 KiB of ``<a "`` (Python 3.11) and
would read "a <b and c> d" as a tag. Here a text is HTML only where tags with known names are used as tags, and no pattern
crosses a ``<``, so time grows with length alone.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

JOINER = "\u2060"
"""Stands for markup inside a word: the models' tokenizer drops it, so the word stays whole; quoting drops it too."""
SEAM = "\x1f"
"""Stands for markup beside words: white space to every reader; quoting drops it, so "<b>so</b>," is "so,"."""
_JOINED = 40
"""Longer runs would make a word too long for the tokenizer."""

_TAG = re.compile(
    r"<!--|<!doctype\b[^<>]*>|<\?xml\b[^<>]*>|"
    r"<(?P<close>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]{0,30}(?::[a-zA-Z]{1,20})?)(?P<rest>(?:[\s/](?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*+>|[\s/][^<>]*>|>))",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_LINE_ENDS = re.compile(r"(?P<blank>\r?\n[^\S\n]*\n\s*)|\r?\n")
_ATTRIBUTE = re.compile(r"\s[a-zA-Z][\w:-]*\s*=")
_BLOCKS = frozenset(
    """
    address article aside blockquote body br center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3
    h4 h5 h6 header hr html legend li main nav ol option p pre section summary table tbody tfoot thead title tr ul
    """.split()  # noqa: SIM905 - a list of quoted words would be four times as long
)
_INLINE = frozenset(
    """
    a abbr b bdi bdo big cite code del dfn em font i iframe img input ins kbd label link mark meta q s samp small span
    strike strong sub sup td th u var wbr button select textarea style script head noscript svg template object video
    audio source
    """.split()  # noqa: SIM905 - a list of quoted words would be four times as long
)
_KNOWN = _BLOCKS | _INLINE
_VOID = frozenset(("br", "hr"))
_UNREAD = frozenset(("script", "style", "head", "title", "svg", "template", "noscript", "object", "iframe", "select"))
"""What stands between these and their ends is no text."""
_CELLS = frozenset(("td", "th", "option", "button"))
_QUOTED = re.compile(r"gmail_quote|yahoo_quoted|moz-cite|type\s*=\s*[\"']?cite", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """A text without its markup.

    Attributes:
        body: The text, of the same length: markup is white space, an entity its character and white space.
        is_html: Whether it had tags.
        markup: How many characters were markup.
        quoted: Start and end of what a mail program marked as an older message.
    """

    body: str
    is_html: bool = False
    markup: int = 0
    quoted: tuple[tuple[int, int], ...] = ()


def read_markup(text: str) -> Reading:
    """Return a text with its tags, comments, scripts and styles blanked and its entities decoded."""
    plain = text.replace(SEAM, " ")
    tags = list(_tags(plain)) if "<" in plain and _is_html(plain) else []
    if not tags:
        return Reading(_decoded(plain))
    body = _decoded(_without(plain, tags))
    return Reading(body, is_html=True, markup=sum(end - start for start, end, _, _ in tags), quoted=tuple(_quoted(plain, tags)))


def _is_html(text: str) -> bool:
    """Whether a tag is closed, has an attribute or is used twice without an end: a lone "<b>" or "<br>" is talk of HTML."""
    opened: set[str] = set()
    for match in _TAG.finditer(text):
        name = (match["name"] or "").lower()
        if not name and match.group() != "<!--":
            return True
        if match["close"] or name in _VOID:
            if name in opened or match["rest"].endswith("/>"):
                return True
        elif name in _KNOWN and _ATTRIBUTE.match(match["rest"]):
            return True
        if name in _KNOWN:
            opened.add(name)
    return False


def _tags(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """Start, end, name and whether it closes, of each tag; an element that holds no text is one with its content."""
    at = 0
    unclosed: set[str] = set()  # looked for once, not once for each of ten thousand
    while match := _TAG.search(text, at):
        name = (match["name"] or "").lower()
        at = match.end()
        if match.group() == "<!--":
            found = text.find("-->", at)
            at = len(text) if found < 0 else found + 3
        elif name in _UNREAD and name not in unclosed and not match["close"] and not match.group().endswith("/>"):
            end = re.compile(rf"</{name}\s*>", re.IGNORECASE).search(text, at)
            if end:
                at = end.end()
            elif name in ("script", "style"):
                at = len(text)
            else:
                unclosed.add(name)
        yield match.start(), at, name, bool(match["close"])


def _without(text: str, tags: list[tuple[int, int, str, bool]]) -> str:
    blocks = any(name in _BLOCKS for _, _, name, _ in tags)
    parts: list[str] = []
    at = 0
    for start, end, name, _ in tags:
        parts += (_flowing(text[at:start]) if blocks else text[at:start], _fill(text, start, end, name))
        at = end
    parts.append(_flowing(text[at:]) if blocks else text[at:])
    return "".join(parts)


def _flowing(text: str) -> str:
    """Return text between tags with its single line ends as spaces: where paragraphs are tags, line ends are not."""
    return _LINE_ENDS.sub(lambda match: match["blank"] or " " * len(match.group()), text)


def _fill(text: str, start: int, end: int, name: str) -> str:
    size = end - start
    if name in _BLOCKS:
        return "\n\n".ljust(size)
    if name in _CELLS:
        return " " * size
    inside_word = text[start - 1 : start].isalnum() and text[end : end + 1].isalnum()
    return (JOINER if inside_word and size <= _JOINED else SEAM) * size


def _decoded(text: str) -> str:
    return _ENTITY.sub(_character, text) if "&" in text else text


def _character(match: re.Match[str]) -> str:
    entity = match.group()
    character = html.unescape(entity)
    if len(character) != 1:
        return entity
    before, after = match.string[match.start() - 1 : match.start()], match.string[match.end() : match.end() + 1]
    if character.isspace():
        return " " * len(entity)
    inside_word = character.isalnum() and (before.isalnum() or after.isalnum())
    return character + (JOINER if inside_word else SEAM) * (len(entity) - 1)


def _quoted(text: str, tags: list[tuple[int, int, str, bool]]) -> Iterator[tuple[int, int]]:
    """Start and end of the outermost elements that mail programs put around older messages."""
    depth, begun, kind = 0, 0, ""
    for start, end, name, closes in tags:
        if depth == 0 and not closes and name in ("div", "blockquote") and _QUOTED.search(text, start, end):
            depth, begun, kind = 1, start, name
        elif depth and name == kind:
            depth += -1 if closes else 1
            if depth == 0:
                yield begun, end
    if depth:
        yield begun, len(text)


def unmarked(text: str) -> str:
    """Return a piece of a body as it is quoted: nothing stands for markup any more, white space is single spaces."""
    return " ".join(text.replace(JOINER, "").replace(SEAM, "").split())
