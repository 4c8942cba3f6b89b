"""Telephone numbers, as phonenumbers reads them for some regions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from smallmesh.entities.found import Found
from smallmesh.entities.vocabulary import split, words
from smallmesh_contracts import EntityType

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_GAP = r"[ \t\u00a0\u2009\u202f().\-/\u2010-\u2015]{0,3}"
_CANDIDATE = re.compile(rf"(?<![\w+#@$\u20ac\u00a3])(?<![\d][.,:/-])(?<![^\W_]-)[+(]{{0,2}}\d(?:{_GAP}\d){{5,39}}(?![\d%])")
_PARTED = re.compile(r" [/\u2010-\u2015-] |[ \t]{2,}|(?<=\d)/(?=[+(0])")
_NORTH_AMERICAN = re.compile(r"(?:\+?1[-. ]?|001[-. ]?)?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-. /])\d{3}[-. ]\d{4}\Z")
_NORTH_AMERICA = 1
_NO_PHONE = re.compile(r"\d{3}-\d{2}-\d{4}\Z|\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})\b|\d{4}[./-]\d{1,2}[./-]\d{1,2}\b")
"""US social security numbers, and dates."""
_DIGITS = re.compile(r"\d")
_FEWEST_DIGITS, _FEWEST_CUED = 7, 6
_MOST_DIGITS = 17  # E.164 has 15; a prefix such as 00 or 011 or "(0)" comes before them
_CUE_REACHES = 24  # characters from the cue to the number
_NEAR_AFTER = re.compile(r"[ \t\u00a0]*[(,-]?[ \t\u00a0]*")


class Phones:
    """Finds the telephone numbers of some regions, and those with a country's prefix."""

    def __init__(self, regions: Sequence[str], languages: Sequence[str]) -> None:
        import phonenumbers  # noqa: PLC0415 - only an agent's process has it

        self._lib = phonenumbers
        self._regions = tuple(regions)
        self._codes = {region: phonenumbers.country_code_for_region(region) for region in regions}
        before, after = _any_of(languages, "phone"), _any_of(languages, "phone", "phone_after")
        self._cue_before = re.compile(rf"(?<!\w){before}(?!\w)[^\d\n]{{0,{_CUE_REACHES}}}\Z", re.IGNORECASE)
        self._cue_after = re.compile(rf"{after}(?!\w)", re.IGNORECASE)

    def find(self, text: str) -> Iterator[Found]:
        """Yield the numbers; ``value`` is E.164, absent where no region or more than one fits."""
        for match in _CANDIDATE.finditer(text):
            if not text[match.end() : match.end() + 1].isalpha():
                yield from self._candidate(text, match.start(), match.end())

    def _candidate(self, text: str, start: int, end: int) -> Iterator[Found]:
        parts = [self._number(text, *part) for part in _parts(text, start, end)]
        found = [part for part in parts if part is not None]
        whole = None if found and len(found) == len(parts) else self._number(text, start, end)
        yield from [whole] if whole is not None else found

    def _number(self, text: str, start: int, end: int) -> Found | None:
        surface = text[start:end]
        digits = len(_DIGITS.findall(surface))
        if digits > _MOST_DIGITS or digits < _FEWEST_CUED or _NO_PHONE.match(surface) or surface.count("(") != surface.count(")"):
            return None
        cued = self._cued(text, start, end)
        if digits < _FEWEST_DIGITS and not cued:
            return None
        value = self._international(surface) if surface.lstrip("(").startswith("+") else self._national(surface, cued=cued)
        return Found(start, end, EntityType.PHONE, value or None) if value is not None else None

    def _international(self, surface: str) -> str | None:
        number = self._parsed(surface, None)
        return self._e164(number) if number and self._lib.is_possible_number(number) else None

    def _national(self, surface: str, *, cued: bool) -> str | None:
        """E.164; "" for a number whose country is open; None where this is none."""
        if surface.isdecimal() and surface[0] != "0":
            return "" if cued else None  # ten digits in a row are more often a number of something else
        parsed = {
            region: number
            for region in self._regions
            if (number := self._parsed(surface, region)) and self._is_regional(surface, number, region)
        }
        values = {region: self._e164(number) for region, number in parsed.items()}
        if len(set(values.values())) > 1:
            values = {region: value for region, value in values.items() if self._is_grouped(surface, region)}
        if len(set(values.values())) == 1:
            return next(iter(values.values()))
        return "" if cued or parsed else None

    def _is_grouped(self, surface: str, region: str) -> bool:
        """Whether the digits are grouped as the region does it."""
        strict = self._lib.Leniency.STRICT_GROUPING
        return any(match.raw_string == surface for match in self._lib.PhoneNumberMatcher(surface, region, strict, max_tries=1))

    def _is_regional(self, surface: str, number: PhoneNumber, region: str) -> bool:
        if self._codes[region] == number.country_code == _NORTH_AMERICA:
            return bool(_NORTH_AMERICAN.match(surface)) and bool(self._lib.is_possible_number(number))
        return surface.lstrip("(").startswith("0") and bool(self._lib.is_valid_number(number))

    def _parsed(self, surface: str, region: str | None) -> PhoneNumber | None:
        try:
            return self._lib.parse(surface, region)
        except self._lib.NumberParseException:
            return None

    def _e164(self, number: PhoneNumber) -> str:
        return str(self._lib.format_number(number, self._lib.PhoneNumberFormat.E164))

    def _cued(self, text: str, start: int, end: int) -> bool:
        """Whether a word such as "phone" stands before the number on its line, or directly after it."""
        near = _NEAR_AFTER.match(text, end)
        after = self._cue_after.match(text, near.end() if near else end)
        return bool(after or self._cue_before.search(text, max(0, start - 2 * _CUE_REACHES), start))


def _any_of(languages: Sequence[str], *kinds: str) -> str:
    """A pattern of the words of these kinds, the longest first."""
    sections = [words().get(language, {}) for language in languages]
    cues = {cue for section in sections for kind in kinds for cue in split(section.get(kind, "")) if cue}
    return f"(?:{'|'.join(re.escape(cue) for cue in sorted(cues, key=len, reverse=True)) or '(?!)'})"


def _parts(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut "030 123 / 0171 456" and the like; nothing where there is nothing to cut."""
    at = start
    for cut in _PARTED.finditer(text, start, end):
        yield at, cut.start()
        at = cut.end()
    if at > start:
        yield at, end
