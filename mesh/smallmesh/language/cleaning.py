"""What of a text is worth showing to a language identifier: its words in small letters, without what no language wrote.

Addresses, mentions, hashtags, numbers, identifiers, paths, log lines and base64 look like some language or other to a
model of character n-grams, and capital letters like another language than small ones.
"""

import html
import re
import unicodedata
from itertools import groupby

SAMPLE_CHARACTERS = 2_400
"""A longer text is judged by this much of it: two or three lines from each of twelve places, read in under 2 ms."""
_PLACES = 12
_LONGEST_WORD = 40
"""Letters; a longer run of Latin letters is no word (German has some of 40). Scripts without spaces have longer ones."""
_WORDS_IN_LINE = 0.5
"""A line with a smaller share of words among its tokens is a log record, a table or code."""

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# Format characters, and ligatures of whole Arabic words, which would unfold into eighteen letters each.
_INVISIBLE = re.compile("[\ufdf0-\ufdff\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# Every repeat is bounded or cannot run into another, so that no text takes more than one pass.
_ADDRESS = re.compile(
    r"```.*?```"  # fenced code
    r"|</?[a-zA-Z!][^<>]{0,500}>"  # HTML tags
    r"|\b(?:https?|ftp|file)://\S+|\bwww\.\S+"
    r"|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]+"
    r"|(?<!\w)[@#]\w+",
    re.DOTALL,
)
# Scripts that put no space between words: what is written in ASCII among them is cut out.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff"
_SEAM = re.compile(rf"(?<=[{_SPACELESS}])(?=[!-~])|(?<=[!-~])(?=[{_SPACELESS}])")
_LATIN = re.compile("[A-Za-z]")
_IN_CODE = re.compile(r"[\d_/\\=@{}<>|^~+*%$&#]|[a-z][A-Z]|\.\w|\w\(")
_DRAWN_OUT = re.compile(r"(\w)\1{2,}")
_LETTERS = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u00b4": "'", "\u0130": "i"})


def words_of(text: str) -> list[str]:
    """Return the words of a text, or of a sample of a long one, in small letters and in their order; a repeated word once."""
    plain = _ADDRESS.sub(" ", _visible(_sample(text)))
    if not plain.isascii():
        plain = _composed(plain)
    drawn = _DRAWN_OUT.sub(r"\1\1", plain)
    words = (word for line in drawn.splitlines() for word in _words_of_line(line))
    return [word for word, _ in groupby(words)]


def _sample(text: str) -> str:
    """Return the text, or slices of it from its beginning to its end, each on a line of its own."""
    if len(text) <= SAMPLE_CHARACTERS:
        return text
    size = SAMPLE_CHARACTERS // _PLACES
    step = (len(text) - size) / (_PLACES - 1)
    starts = [int(place * step) for place in range(_PLACES)]
    return "\n".join(text[start : start + size] for start in starts)


def _visible(text: str) -> str:
    shown = html.unescape(text) if "&" in text else text
    return _INVISIBLE.sub("", _CONTROL.sub(" ", shown))


def _composed(text: str) -> str:
    """Return a text with full-width, bold and half-width letters as any others, and ASCII apart from scripts without spaces."""
    composed = unicodedata.normalize("NFKC", text)[: 2 * SAMPLE_CHARACTERS]
    return _SEAM.sub(" ", composed.translate(_LETTERS))


def _words_of_line(line: str) -> list[str]:
    tokens = line.split()
    words = [word for word in map(_word, tokens) if word]
    return words if 2 * len(words) >= len(tokens) or _is_prose(len(words), tokens) else []


def _is_prose(words: int, tokens: list[str]) -> bool:
    """Tell whether words make up enough of the tokens that are more than signs."""
    return words >= _WORDS_IN_LINE * sum(any(map(str.isalnum, token)) for token in tokens)


def _word(token: str) -> str:
    """Return a token as a word in small letters; nothing where it is none."""
    if token.isalpha() and token.islower() and len(token) <= _LONGEST_WORD:
        return token
    word = _trimmed(token)
    return "" if _is_code(word) or not any(map(str.isalpha, word)) else word.lower()


def _trimmed(token: str) -> str:
    """Return a token without signs at its edges. Vowel signs of Indic and Thai words are no such signs."""
    start, end = 0, len(token)
    while start < end and _is_sign(token[start]):
        start += 1
    while end > start and _is_sign(token[end - 1]):
        end -= 1
    return token[start:end]


def _is_sign(character: str) -> bool:
    return not character.isalnum() and unicodedata.category(character) not in {"Mn", "Mc"}


def _is_code(word: str) -> bool:
    """Tell identifiers, paths, numbers with letters and base64 from words; only words in Latin letters are looked at."""
    return _LATIN.search(word) is not None and (len(word) > _LONGEST_WORD or _IN_CODE.search(word) is not None)
