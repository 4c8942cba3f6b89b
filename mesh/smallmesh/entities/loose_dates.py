"""Parts of dates that stand alone: a year, a month, a day of the week, "the 19th". Most need a word before them."""

from __future__ import annotations

from smallmesh.entities.calendar_values import plausible
from smallmesh.entities.dates import dated
from smallmesh.entities.found import Found
from smallmesh.entities.grammar import AFTER_DIGITS, Grammar, Hit
from smallmesh.entities.vocabulary import Vocabulary, listed, words

_LAST_DAY = 31
_SHORTEST_PLURAL = 2
_CAPITALS = frozenset(language for language, section in words().items() if section.get("month_capital"))
_BARE_YEARS = range(1900, 2100)
_NAMES_TOO = frozenset().union(*listed("month_too").values())
"""Months that are words or names of persons: alone they need a word before them that goes with months."""
_NOT_BEFORE_YEARS = listed("not_before_year")
"""Words before a bare ordinal, after which a bare number is a year only where another number stands before them."""
_NOT_BEFORE_DAYS = listed("not_before_day")
"""Words before a year, after which an ordinal is a place or a part of a game."""
_COUNTED = listed("counted")
_NOT_COUNTED = listed("not_counted")
"""Words that end like those that a number counts, and are not."""
_FOLLOWS_A_DAY = listed("follows_day")
"""Words that may follow "the 19th"; before others it counts something ("the 19th floor")."""

YEAR = rf"(?:(?P<cue>{{before_date}}){{S}}(?:{{the}}{{S}})?|\u00a9{{S}}?)(?P<span>(?P<year>4)){AFTER_DIGITS}"
YEAR_OF_NAME = rf"(?P<name>{{word}}){{S}}{{of}}{{S}}(?P<span>(?P<year>4)){AFTER_DIGITS}"
YEAR_IN_BRACKETS = r"\((?P<span>(?P<year>4))(?=\))"
YEARS = rf"(?P<year>4)[-\u2013](?P<last>4){AFTER_DIGITS}"
DECADE = r"(?P<year>4)'?S"
MONTH = r"(?:(?P<before>(?:{before_month}|{of}|{modifier}){S}(?:{the}{S})?)|{elided}')?(?P<span>(?P<month>{month}|{month_short}))"
WEEKDAY = r"(?P<weekday>{weekday})"
SHORT_WEEKDAY = r"(?:{before_date}|{modifier}){S}(?P<span>(?P<weekday>{weekday_short}))"
_OF_EACH = r"(?:{S}(?:{of}{S}(?:{the}|{word})|(?:{of}{S})?{modifier}){S}{unit})?"
DAY = rf"(?P<cue>{{before_date}}){{S}}(?P<the>{{the}}{{S}})?(?P<span>(?P<day>[12]){{suffix}}{_OF_EACH})"
WEEKDAY_AND_DAY = r"(?P<weekday>{weekday}|{weekday_short})\.?,?{S}(?:{joint}{S}){0,2}(?P<day>[12]){suffix}"
DAY_ALONE = r"{the}{S}(?P<span>(?P<day>[12]){suffix})(?=[.?!]|\n|\Z)"
NTH_OF = r"(?:{ordinal}|{modifier}|[12]{suffix}){S}(?:{weekday}|{unit}){S}{of}{S}(?:{month}(?:{S}4)?|(?:{modifier}|{the}|{word}){S}{unit})"


def grammar(vocabulary: Vocabulary) -> Grammar:
    """Return the rules."""
    return Grammar(
        vocabulary,
        [
            *((template, _year) for template in (YEAR, YEAR_OF_NAME, YEAR_IN_BRACKETS)),
            (YEARS, _years),
            (DECADE, _decade),
            (MONTH, _month),
            *((template, _weekday) for template in (WEEKDAY, SHORT_WEEKDAY)),
            *((template, _day) for template in (DAY, DAY_ALONE)),
            (NTH_OF, lambda hit: dated(hit, None)),
            (WEEKDAY_AND_DAY, _day_of_week),
        ],
    )


def _year(hit: Hit) -> Found | None:
    if int(hit.surface("year")) not in _BARE_YEARS or hit.after().isdecimal():
        return None
    if hit.has("name"):
        return dated(hit, hit.surface("year")) if hit.surface("name")[0].isupper() else None
    if hit.surface("cue").lower() in _NOT_BEFORE_YEARS[hit.language] and not "".join(hit.before()).isdecimal():
        return None
    return None if _counts(hit) else dated(hit, hit.surface("year"))


def _counts(hit: Hit) -> bool:
    """Whether the number is no year but says how many: "in 2000 cases"."""
    following = hit.after()
    plural = "en" in hit.languages and following.islower() and following.endswith("s") and len(following) > _SHORTEST_PLURAL
    return any(following in _COUNTED[known] for known in hit.languages) or (plural and following not in _NOT_COUNTED["en"])


def _years(hit: Hit) -> Found | None:
    first, last = hit.number("year") or 0, hit.number("last") or 0
    return dated(hit, None) if first < last and first in _BARE_YEARS and last in _BARE_YEARS else None


def _decade(hit: Hit) -> Found | None:
    year = hit.number("year") or 0
    return dated(hit, None) if year % 10 == 0 and plausible(year) and hit.surface("year") else None


def _month(hit: Hit) -> Found | None:
    month, name = hit.value("month", "month", "month_short"), hit.surface("month")
    short = hit.value("month", "month") is None
    if month is None or (short and not (hit.has("before") and name[0].isupper())):
        return None
    if name.lower() in _NAMES_TOO and not (hit.has("before") and (name[0].isupper() or hit.language not in _CAPITALS)):
        return None
    return dated(hit, f"--{int(month):02}")


def _weekday(hit: Hit) -> Found | None:
    return dated(hit, None) if hit.value("weekday", "weekday") is not None or hit.surface("weekday")[0].isupper() else None


def _day(hit: Hit) -> Found | None:
    day, following, cue = hit.number("day") or 0, hit.after(), hit.surface("cue").lower()
    if cue in _NOT_BEFORE_DAYS[hit.language] or (cue in _NOT_BEFORE_YEARS[hit.language] - {"on"} and not hit.has("the")):
        return None
    if not 1 <= day <= _LAST_DAY or (following[:1].isalpha() and following.lower() not in _FOLLOWS_A_DAY[hit.language]):
        return None
    return dated(hit, f"---{day:02}")


def _day_of_week(hit: Hit) -> Found | None:
    day = hit.number("day") or 0
    return dated(hit, f"---{day:02}") if 1 <= day <= _LAST_DAY else None
