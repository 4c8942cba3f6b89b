"""Dates in digits alone. Which number is the day follows from the regions, or from neither fitting as a month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smallmesh.entities.calendar_values import day_form, full_year, plausible
from smallmesh.entities.dates import WEEKDAY, dated, misled
from smallmesh.entities.found import Found
from smallmesh.entities.grammar import AFTER_DIGITS, Grammar, Hit
from smallmesh.entities.vocabulary import Vocabulary

_MONTHS = 12
_FRACTIONS = frozenset({"1/2", "1/3", "2/3", "1/4", "3/4", "1/5", "1/8", "1/10", "24/7"})

YEAR_FIRST = r"(?P<year>4)(?P<sign>[-/.])(?P<month>[12])(?P=sign)(?P<day>[12])"
STAMP = rf"(?P<span>{YEAR_FIRST})T{{number}}Z?"
YEAR_LAST = rf"{WEEKDAY}(?P<first>[12])(?P<sign>[-/.])(?P<second>[12])(?P=sign)(?P<year>4|2){AFTER_DIGITS}"
SPACED = rf"{WEEKDAY}(?P<first>[12])(?P<sign>\.)[ ](?P<second>[12])\.[ ](?P<year>4){AFTER_DIGITS}"
_CUE = r"(?:{before_date}{S}(?:{the}{S})?|(?:{weekday}|{weekday_short})\.?,?{S}(?:{joint}{S}){0,2})"
NO_YEAR = rf"{_CUE}(?P<span>(?P<first>[12])(?P<sign>/)(?P<second>[12])){AFTER_DIGITS}"
NO_YEAR_DOTS = rf"{_CUE}(?P<span>(?P<first>[12])(?P<sign>\.)(?P<second>[12])\.)"
MONTH_YEAR = rf"(?P<month>[12])/(?P<year>4){AFTER_DIGITS}"
YEAR_MONTH = rf"(?P<year>4)-(?P<month>2){AFTER_DIGITS}"


@dataclass(frozen=True, slots=True)
class Order:
    """How regions write dates in digits: for each, its separator and whether the month comes first."""

    styles: frozenset[tuple[str, bool]]

    @classmethod
    def of(cls, regions: Sequence[str]) -> Order:
        """Return the styles of some regions."""
        from smallmesh.entities import locale_names  # noqa: PLC0415 - it loads Babel

        return cls(frozenset((locale_names.date_separator(region), locale_names.month_first(region)) for region in regions))

    def values(self, first: int, second: int, sign: str, year: int | None) -> set[str]:
        """Return every day that these numbers may be; of the regions, those that write this separator decide."""
        own = {month_first for separator, month_first in self.styles if separator == sign}
        orders = own or {month_first for _, month_first in self.styles}
        readings = {False: day_form(year, second, first), True: day_form(year, first, second)}
        likely = {readings[order] for order in orders} - {None}
        return {value for value in likely or set(readings.values()) if value}


def grammar(vocabulary: Vocabulary, regions: Sequence[str]) -> Grammar:
    """Return the rules."""
    order = Order.of(regions)
    return Grammar(
        vocabulary,
        [
            (f"{YEAR_FIRST}{AFTER_DIGITS}", _year_first),
            (STAMP, _year_first),
            *((template, lambda hit: _day_and_month(hit, order)) for template in (YEAR_LAST, SPACED, NO_YEAR, NO_YEAR_DOTS)),
            *((template, _month) for template in (MONTH_YEAR, YEAR_MONTH)),
        ],
    )


def _year_first(hit: Hit) -> Found | None:
    year, month, day = (hit.number(name) or 0 for name in ("year", "month", "day"))
    value = day_form(year, month, day) if plausible(year) else None
    return dated(hit, value) if value else None


def _day_and_month(hit: Hit, order: Order) -> Found | None:
    first, second, sign, year = (hit.surface(name) for name in ("first", "second", "sign", "year"))
    if not year and f"{first}/{second}" in _FRACTIONS:
        return None
    if len(year) == 2 and sign != "/" and not len(first) == len(second) == 2:  # noqa: PLR2004 - "1.2.13" is a version
        return None
    full = full_year(year) if year else None
    values = order.values(int(first), int(second), "-" if sign not in "./" else sign, full)
    if not values or misled(hit) or not plausible(full):
        return None
    return dated(hit, values.pop() if len(values) == 1 else None)


def _month(hit: Hit) -> Found | None:
    year, month = hit.number("year") or 0, hit.number("month") or 0
    if not 1 <= month <= _MONTHS or not plausible(year):
        return None
    season = hit.index("year") < hit.index("month") and month == (year + 1) % 100  # "2010-11" may be two years
    return dated(hit, None if season else f"{year:04}-{month:02}")
