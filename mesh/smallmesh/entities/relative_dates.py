"""Dates that follow from the day of writing: "tomorrow", "next Friday", "three days ago". They have no value."""

from __future__ import annotations

from smallmesh.entities.dates import WEAK, dated
from smallmesh.entities.found import Found
from smallmesh.entities.grammar import Grammar, Hit
from smallmesh.entities.vocabulary import Vocabulary, listed

_NO_DATE = listed("no_date")

_NUMBER = r"(?:[12]|(?P<quantity>{quantity})|{vague}|[123])"
_SPAN = rf"{_NUMBER}{{S}}(?:{{approx}}{{S}})?{{unit}}(?:{{S}}{{and}}{{S}}{_NUMBER.replace('quantity>', 'quantity_>')}{{S}}{{unit}})?"

WORD = r"{relative}|{relative_lower}"
AHEAD = rf"{{lead}}{{S}}(?:{{approx}}{{S}})?{_SPAN}(?:{{S}}{{trail}})?"
BEHIND = rf"{_SPAN}{{S}}{{trail}}"
NEXT = r"{modifier}{S}(?:{unit}|{weekday}|{weekday_short}|(?P<month>{month})|{day_part})(?:{S}{weekday})?"
NEXT_FEW = r"{modifier}{S}(?:[123]|{quantity}|{vague}){S}{unit}"
NEXT_DAY = r"{modifier}{S}[12]{suffix}"
AFTER = r"(?:{the}{S})?(?:{unit}|{weekday}|{month}){S}{modifier_after}"
OF_WEEK = r"{weekday}{S}(?:{of}{S})?(?:{modifier}{S}{unit}|{lead}{S}{quantity}{S}{unit})"


def grammar(vocabulary: Vocabulary) -> Grammar:
    """Return the rules."""
    return Grammar(
        vocabulary, [(NEXT, _next), *((template, _found) for template in (WORD, AHEAD, BEHIND, NEXT_FEW, NEXT_DAY, AFTER, OF_WEEK))]
    )


def _found(hit: Hit) -> Found | None:
    return dated(hit, None)


def _next(hit: Hit) -> Found | None:
    start, end = hit.span
    words = " ".join(hit.reading.text[start:end].lower().split())
    return None if words in _NO_DATE[hit.language] or hit.surface("month") in WEAK[hit.language] else dated(hit, None)
