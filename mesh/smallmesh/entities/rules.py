"""All rules together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.resources import files

from smallmesh.entities import dates, emails, loose_dates, numeric_dates, relative_dates, vocabulary
from smallmesh.entities.found import Found
from smallmesh.entities.merge import ADDRESSES, select
from smallmesh.entities.money import Money
from smallmesh.entities.phones import Phones
from smallmesh.entities.urls import Urls
from smallmesh_contracts import Entity, EntityType

REGIONS = ("US", "GB", "DE")
LOCALES = ("en", "de", "fr", "es", "it", "nl", "pt")
LONGEST = 2_048
"""Characters; a longer entity may be missed or cut."""
_CONTEXT = 96  # characters before a part of a text that a rule may look back on

_READ = {
    EntityType.DATE: (2_584, 2_644),
    EntityType.MONEY: (131, 131),
    EntityType.EMAIL: (31, 31),
    EntityType.PHONE: (45, 45),
    EntityType.URL: (43, 43),
}
"""Of each type, how many hits were right of how many, by ``scripts/train/measure_rules.py``: labelled slots, the
synthetic personal data and 2,000 plain sentences together."""
CONFIDENCE = {kind: round((right + 1) / (found + 2), 3) for kind, (right, found) in _READ.items()}
"""Measured precision, by Laplace's rule: so few hits without a mistake make nothing certain."""


class Rules:
    """Finds dates, amounts, mail and web addresses and telephone numbers. Building it takes a second, so it is kept."""

    def __init__(self, regions: Sequence[str] = REGIONS, locales: Sequence[str] = LOCALES) -> None:
        self._vocabulary = vocabulary.build(locales, regions)
        self._grammars = (
            dates.grammar(self._vocabulary),
            numeric_dates.grammar(self._vocabulary, regions),
            loose_dates.grammar(self._vocabulary),
            relative_dates.grammar(self._vocabulary),
            Money(self._vocabulary, regions).grammar,
        )
        self._urls = Urls()
        self._phones = Phones(regions, [locale.partition("_")[0] for locale in locales])

    def find(self, text: str, start: int = 0, end: int | None = None) -> list[Entity]:
        """Return what begins in ``text[start:end]``, in order, longest spans, no overlaps.

        The time it takes grows with ``end - start`` alone: about 10 ms a thousand characters.
        """
        stop = len(text) if end is None else min(end, len(text))
        base = max(0, start - _CONTEXT)
        window = text[base : stop + LONGEST]
        kept = select(self._all(window), _rank)
        return [_entity(text, found, base) for found in kept if start <= base + found.start < stop]

    def _all(self, text: str) -> Iterator[Found]:
        reading = self._vocabulary.read(text)
        for grammar in self._grammars:
            yield from grammar.find(reading)
        yield from emails.find(text)
        yield from self._urls.find(text)
        yield from self._phones.find(text)


def _rank(found: Found) -> tuple[bool, int, int, bool]:
    """Addresses first, then the longer, the earlier, the one with a value."""
    return found.type not in ADDRESSES, found.start - found.end, found.start, found.value is None


def _entity(text: str, found: Found, base: int) -> Entity:
    start, end = base + found.start, base + found.end
    return Entity(
        start=start,
        end=end,
        text=text[start:end],
        type=found.type,
        confidence=CONFIDENCE[found.type],
        source="rule",
        value=found.value,
        currency=found.currency,
    )


@lru_cache(maxsize=4)
def rules_for(regions: tuple[str, ...], locales: tuple[str, ...]) -> Rules:
    """Return the rules for some regions and locales, built once."""
    return Rules(regions, locales)


def known_regions(regions: tuple[str, ...]) -> tuple[str, ...]:
    """Return the regions, ISO 3166 codes of two letters.

    Raises:
        ValueError: There is no such region, or none is given.
    """
    from smallmesh.entities import locale_names  # noqa: PLC0415 - it loads Babel

    return _known(regions, "region", locale_names.known_region)


def known_locales(locales: tuple[str, ...]) -> tuple[str, ...]:
    """Return the locales, as in ``de`` or ``pt_BR``.

    Raises:
        ValueError: There is no such locale, or none is given.
    """
    from smallmesh.entities import locale_names  # noqa: PLC0415 - it loads Babel

    return _known(locales, "locale", locale_names.known_locale)


def _known(names: tuple[str, ...], what: str, is_known: Callable[[str], bool]) -> tuple[str, ...]:
    unknown = [name for name in names if not is_known(name)]
    if unknown or not names:
        raise ValueError(f"unknown {what}: {', '.join(unknown) or 'none given'}")
    return names


@cache
def rules_version() -> str:
    """Return what the rules' answers depend on: a hash of their code and words, and of their libraries' versions."""
    parts = sorted((entry for entry in files("smallmesh.entities").iterdir() if entry.is_file()), key=lambda entry: entry.name)
    found = hashlib.sha256(b"".join(entry.read_bytes() for entry in parts))
    found.update(" ".join(version(library) for library in ("babel", "linkify-it-py", "phonenumbers")).encode())
    return found.hexdigest()[:12]
