"""Which writing system a word is in, and which languages are written in it.

The Latin one is the script of a word of which nothing else is known to be so: it tells no language.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Script:
    """A writing system.

    Attributes:
        languages: The identifier's labels of languages written in it; empty where there are too many to tell anything.
        weight: How many Latin letters one of its letters stands for in a text that has both.
        ranges: First and last character of each of its blocks.
    """

    languages: tuple[str, ...]
    weight: int = 1
    ranges: tuple[str, ...] = ()


LATIN = Script(())
_IDEOGRAPHS = 2
"""A Han or kana character or a Hangul syllable says about as much as two letters or more."""

_CYRILLIC = ("ru", "uk", "bg", "sr", "be", "mk", "kk", "ky", "tg", "tt", "mn", "ba", "cv", "ce", "os", "av", "kv", "mhr", "myv", "krc")
_ARABIC = ("ar", "fa", "ur", "ps", "arz", "sd", "ckb", "ug", "azb", "pnb", "mzn", "lrc")
SCRIPTS = (
    Script(("el",), ranges=("\u0370\u03ff", "\u1f00\u1fff")),
    Script((*_CYRILLIC, "lez", "sah", "tyv", "rue", "bxr"), ranges=("\u0400\u052f", "\u1c80\u1c8f")),
    Script(("hy",), ranges=("\u0530\u058f",)),
    Script(("he", "yi"), ranges=("\u0590\u05ff", "\ufb1d\ufb4f")),
    Script(_ARABIC, ranges=("\u0600\u06ff", "\u0750\u077f", "\u0870\u08ff", "\ufb50\ufdff", "\ufe70\ufefe")),
    Script(("dv",), ranges=("\u0780\u07bf",)),
    Script(("hi", "mr", "ne", "sa", "mai", "bh", "new", "gom", "dty"), ranges=("\u0900\u097f",)),
    Script(("bn", "as", "bpy"), ranges=("\u0980\u09ff",)),
    Script(("pa",), ranges=("\u0a00\u0a7f",)),
    Script(("gu",), ranges=("\u0a80\u0aff",)),
    Script(("or",), ranges=("\u0b00\u0b7f",)),
    Script(("ta",), ranges=("\u0b80\u0bff",)),
    Script(("te",), ranges=("\u0c00\u0c7f",)),
    Script(("kn",), ranges=("\u0c80\u0cff",)),
    Script(("ml",), ranges=("\u0d00\u0d7f",)),
    Script(("si",), ranges=("\u0d80\u0dff",)),
    Script(("th",), ranges=("\u0e00\u0e7f",)),
    Script(("lo",), ranges=("\u0e80\u0eff",)),
    Script(("bo",), ranges=("\u0f00\u0fff",)),
    Script(("my",), ranges=("\u1000\u109f",)),
    Script(("ka", "xmf"), ranges=("\u10a0\u10ff", "\u1c90\u1cbf", "\u2d00\u2d2f")),
    Script(("am",), ranges=("\u1200\u139f",)),
    Script(("km",), ranges=("\u1780\u17ff",)),
    Script(("ko",), _IDEOGRAPHS, ranges=("\u1100\u11ff", "\u3130\u318f", "\ua960\ua97f", "\uac00\ud7ff")),
    Script(
        ("zh", "ja", "wuu"),
        _IDEOGRAPHS,
        ranges=("\u3040\u30ff", "\u31f0\u31ff", "\u3400\u4dbf", "\u4e00\u9fff", "\uf900\ufaff", "\U00020000\U0003ffff"),
    ),
)
_BLOCKS = sorted((block[0], block[1], script) for script in SCRIPTS for block in script.ranges)
_STARTS = [start for start, _, _ in _BLOCKS]
_ALSO_LATIN = frozenset(("sr", "tt", "kk", "az", "yi"))
"""Languages of other scripts that are met in Latin letters too."""
NEVER_LATIN = frozenset(label for script in SCRIPTS for label in script.languages) - _ALSO_LATIN


def by_script(words: Sequence[str]) -> Mapping[Script, list[str]]:
    """Return the words of each script, in their order; a word is in the script of its first letter of another than Latin."""
    found: dict[Script, list[str]] = {}
    for word in words:
        found.setdefault(LATIN if word.isascii() else _script_of_word(word), []).append(word)
    return found


def _script_of_word(word: str) -> Script:
    return next((script for script in map(_script_of, word) if script is not LATIN), LATIN)


@lru_cache(maxsize=4096)
def _script_of(character: str) -> Script:
    place = bisect_right(_STARTS, character) - 1
    if place < 0 or character > _BLOCKS[place][1]:
        return LATIN
    return _BLOCKS[place][2]
