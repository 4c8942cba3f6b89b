"""Names of months, days and currencies, and the wording of "in 3 days", as Babel has them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.numbers import get_currency_symbol, get_territory_currencies

from smallmesh.entities.reading import Meaning

_WIDTHS = (("wide", ""), ("abbreviated", "_short"))
_FIELDS = ("day", "week", "month", "year", "quarter")


def known_locale(name: str) -> bool:
    """Whether Babel knows a locale."""
    try:
        Locale.parse(name)
    except (UnknownLocaleError, ValueError):
        return False
    return True


def of(locales: Sequence[str], regions: Sequence[str]) -> Iterator[Meaning]:
    """Every name, with its kind and meaning."""
    yield from _region_symbols(regions)
    for code in _codes():
        yield Meaning(code, "iso", code)
    for name in locales:
        locale = Locale.parse(name)
        yield from _calendar(locale)
        yield from _relative(locale)
        yield from _currencies(locale)


def _calendar(locale: Locale) -> Iterator[Meaning]:
    for kind, names in (("month", locale.months), ("weekday", locale.days)):
        for context in ("format", "stand-alone"):
            for width, suffix in _WIDTHS:
                for number, name in names[context][width].items():
                    plain = name.strip(".").lower()
                    short = suffix if plain != names[context]["wide"][number].lower() else ""
                    yield Meaning(plain, kind + short, number, locale.language)


def _relative(locale: Locale) -> Iterator[Meaning]:
    fields = locale._data["date_fields"]  # noqa: SLF001 - Babel uses it for format_timedelta and offers it in no other way
    for field in _FIELDS:
        future, past = ([text.lower() for text in fields.get(field, {}).get(tense, {}).values()] for tense in ("future", "past"))
        units = set(_common(future, past))
        yield from (Meaning(unit, "unit", 0, locale.language) for unit in units)
        for text in (*future, *past):
            before, _, after = text.partition("{0}")
            trail = next((after.strip().removeprefix(unit).strip() for unit in sorted(units, key=len, reverse=True) if unit in after), "")
            yield from (Meaning(part, kind, 0, locale.language) for part, kind in ((before.strip(), "lead"), (trail, "trail")) if part)


def _common(future: Iterable[str], past: Iterable[str]) -> Iterator[str]:
    """The unit's names: what stands after the number in the one, and begins what stands there in the other."""
    tails = [text.partition("{0}")[2].strip() for text in (*future, *past)]
    for tail in tails:
        if tail and not any(other != tail and tail.startswith(f"{other} ") for other in tails):
            yield tail


def _codes() -> list[str]:
    """The codes of all money in use."""
    return sorted(home_currencies(region for region in get_global("territory_currencies") if len(region) == len("US")))


def _currencies(locale: Locale) -> Iterator[Meaning]:
    plural = locale._data["currency_names_plural"]  # noqa: SLF001 - the only way to all of them at once
    for code in _codes():
        forms = plural[code].values() if code in plural else ()
        for name in {locale.currencies.get(code, code), *forms}:
            if name != code:
                yield Meaning(name.lower(), "currency", code, locale.language)
        symbol = locale.currency_symbols.get(code, code)
        if symbol != code and (any(unicodedata.category(sign) == "Sc" for sign in symbol) or symbol.isalpha()):
            yield Meaning(symbol.lower(), "symbol", code)


def _region_symbols(regions: Sequence[str]) -> Iterator[Meaning]:
    """A region's own sign for its money; one that several regions use for several kinds of money says none."""
    codes: dict[str, set[str]] = {}
    for region in regions:
        for code in get_territory_currencies(region):
            symbol = get_currency_symbol(code, Locale.parse(f"und_{region}"))
            codes.setdefault(symbol.lower(), set()).add(code)
    for symbol, found in codes.items():
        if symbol.upper() not in found:
            yield Meaning(symbol, "symbol", found.pop() if len(found) == 1 else "")


def home_currencies(regions: Iterable[str]) -> frozenset[str]:
    """The currencies of some regions."""
    return frozenset(code for region in regions for code in get_territory_currencies(region))


def month_first(region: str) -> bool:
    """Whether a region writes the month before the day."""
    pattern = _locale(region).date_formats["short"].pattern
    return bool(pattern.index("M") < pattern.index("d"))


def date_separator(region: str) -> str:
    """What a region puts between day, month and year: one of ``. / -``."""
    return next((sign for sign in _locale(region).date_formats["short"].pattern if sign in "./-"), "-")


def decimal_sign(region: str) -> str:
    """A region's decimal sign."""
    return str(_locale(region).number_symbols["latn"]["decimal"])


def _locale(region: str) -> Locale:
    return Locale.parse(f"und_{region}")


def known_region(region: str) -> bool:
    """Whether a region is one that has a currency."""
    return region in get_global("territory_currencies") and known_locale(f"und_{region}")
