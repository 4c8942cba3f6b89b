"""Dates with a name of a month in them, and quarters and weeks of a year."""

from __future__ import annotations

from smallmesh.entities.calendar_values import FIRST_BESIDE_MONTH, day_form, full_year, plausible
from smallmesh.entities.found import Found
from smallmesh.entities.grammar import AFTER_NUMBER, Grammar, Hit
from smallmesh.entities.vocabulary import Vocabulary, listed
from smallmesh_contracts import EntityType

WEAK = listed("month_weak")
"""Names of months that are words of another kind: in small letters beside a bare number they say nothing."""
_WEAK_EVEN_CAPITAL = listed("month_weakest")
MONTHS_BEFORE_DAYS = "en"
QUARTERS = 4
_WEEKS = 53

WEEKDAY = r"(?:(?P<weekday>{weekday}|{weekday_short})(?:\.?,?{S}|[.,])(?:{joint}{S}){0,2})?"
_MONTH = r"(?P<month>{month}|{month_short})"
_DOT = r"(?P<dot>\.)?"
_OF = r"(?:{of}{S}|{elided}')"
_YEAR = rf"(?:(?:,?{{S}}|,|[-/.]){_OF}?(?P<year>4)|(?:{{S}}'|[-/.])(?P<short>2))"
_RANGE = r"(?:(?P<first>[12])(?:{suffix}|\.)?{S}?[-\u2013]{S}?)?"
_DAY = r"(?P<day>[12])(?P<mark>{suffix}|\.)?"
_ORDINAL = r"(?P<ordinal>{ordinal})"
_CLOSE = r"(?:,?{S}{weekday}|{S}{modifier}{S}{unit})?"

DAY_MONTH = rf"{WEEKDAY}{_RANGE}{_DAY}(?:{{S}}(?P<of>{_OF})?|[-/.])?{_MONTH}(?:{_DOT}{_YEAR})?{AFTER_NUMBER}{_CLOSE}"
ORDINAL_MONTH = rf"{WEEKDAY}{_ORDINAL}{{S}}(?P<of>{_OF}){_MONTH}(?:{_DOT}{_YEAR})?{AFTER_NUMBER}"
MONTH_DAY = (
    rf"{WEEKDAY}{_MONTH}{_DOT}(?:{{S}}|(?P<joined>[-/]))?(?P<the>{{the}}{{S}})?(?:(?P<day>[12])(?P<mark>{{suffix}})?|{_ORDINAL})"
    rf"(?:{{S}}?[-\u2013]{{S}}?(?P<first>[12]){{suffix}}?)?{_YEAR}?{AFTER_NUMBER}{_CLOSE}"
)
MONTH_YEAR = rf"{_MONTH}{_DOT}(?:(?:,?{{S}}|,|[-/.]){_OF}?(?P<year>4)|{{S}}?'(?P<short>2)){AFTER_NUMBER}"
MONTH_OF_YEAR = r"(?P<month>{month}){S}{modifier}{S}{unit}"
YEAR_MONTH_DAY = rf"(?P<year>4)(?:{{S}}|-){_MONTH}{_DOT}(?:{{S}}|-){_DAY}{AFTER_NUMBER}"
LETTER_QUARTER = rf"(?P<letter>[QTH])(?P<part>1)(?:{{S}}?'(?P<short>2)|(?:{{S}}{_OF}?|[-/])(?P<year>4)){AFTER_NUMBER}"
YEAR_QUARTER = r"(?P<year>4)(?:{S}|[-/])?(?P<letter>[QTH])(?P<part>1)"
NAMED_QUARTER = rf"(?:(?P<ordinal>{{ordinal}})|(?P<part>1)(?:{{suffix}}|\.)){{S}}{{quarter}}{{S}}{_OF}?(?:{{the}}{{S}})?(?P<year>4)"
BARE_QUARTER = r"{before_date}{S}(?:{the}{S})?(?P<span>Q(?P<part>1))"
WEEK = rf"(?P<name>{{week}})\.?{{S}}?(?P<week>[12])(?:(?:{{S}}{_OF}?|{{S}}?/{{S}}?|,{{S}})(?P<year>4))?{AFTER_NUMBER}"
YEAR_WEEK = r"(?P<year>4)-?W(?P<week>2)"


def grammar(vocabulary: Vocabulary) -> Grammar:
    """Return the rules."""
    return Grammar(
        vocabulary,
        [
            *((template, _day) for template in (DAY_MONTH, ORDINAL_MONTH, MONTH_DAY, YEAR_MONTH_DAY)),
            (MONTH_YEAR, _month),
            (MONTH_OF_YEAR, lambda hit: dated(hit, f"--{_month_of(hit):02}")),
            *((template, _quarter) for template in (LETTER_QUARTER, YEAR_QUARTER, NAMED_QUARTER, BARE_QUARTER)),
            *((template, _week) for template in (WEEK, YEAR_WEEK)),
        ],
    )


def dated(hit: Hit, value: str | None) -> Found:
    """Return the place as a date."""
    return Found(*hit.span, EntityType.DATE, value)


def misled(hit: Hit) -> bool:
    """Whether what would be a day's name is a little word of another language: "do, 5 August"."""
    name = hit.surface("weekday")
    return len(name) == 2 and name.islower()  # noqa: PLR2004 - "do", "so", "ma"


def year_of(hit: Hit) -> int | None:
    """Return the year that a place names, in two digits or four."""
    digits = hit.surface("year") or hit.surface("short")
    return full_year(digits) if digits else None


def _month_of(hit: Hit) -> int:
    """Return the month's number, 0 where a dot stands after a name that is no abbreviation: there a sentence ends."""
    return int(hit.value("month", *(("month_short",) if hit.has("dot") else ("month", "month_short"))) or 0)


def _day(hit: Hit) -> Found | None:
    year, month = year_of(hit), _month_of(hit)
    day = int(hit.value("ordinal", "ordinal") or hit.number("day") or 0)
    value = day_form(year, month, day)
    if value is None or misled(hit) or not plausible(year) or (year is None and not _clear(hit)):
        return None
    return dated(hit, None if hit.has("first") or (hit.has("joined") and year is None) else value)


def _clear(hit: Hit) -> bool:
    """Whether day and month without a year are a date: not so "5 may", "the March 5" or "im Mai 14 Tage"."""
    name, marked = hit.surface("month"), hit.has("mark") or hit.has("ordinal") or hit.has("of")
    weak = WEAK if name.islower() else _WEAK_EVEN_CAPITAL
    if name.lower() in weak[hit.language] and not marked and hit.value("weekday", "weekday") is None:
        return False
    if hit.index("month") < hit.index("ordinal" if hit.has("ordinal") else "day"):
        return marked or (not hit.has("the") and hit.language == MONTHS_BEFORE_DAYS)
    return True


def _month(hit: Hit) -> Found | None:
    year, month = year_of(hit), _month_of(hit)
    return dated(hit, f"{year:04}-{month:02}") if month and plausible(year, FIRST_BESIDE_MONTH) else None


def _quarter(hit: Hit) -> Found | None:
    part, year, letter = int(hit.value("ordinal", "ordinal") or hit.number("part") or 0), year_of(hit), hit.surface("letter")
    if not 1 <= part <= (2 if letter == "H" else QUARTERS) or not plausible(year) or letter.islower():
        return None
    return dated(hit, f"{year}-Q{part}" if year and letter != "H" else None)


def _week(hit: Hit) -> Found | None:
    year, week = hit.number("year"), hit.number("week") or 0
    if not 1 <= week <= _WEEKS or not plausible(year) or (year is None and hit.surface("name").lower() != "kw"):
        return None
    return dated(hit, f"{year}-W{week:02}" if year else None)
