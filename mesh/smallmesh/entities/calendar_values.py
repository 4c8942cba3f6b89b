"""ISO 8601 forms of dates, as much of them as is said."""

from __future__ import annotations

from datetime import date

_LEAP = 2000
_PIVOT = 69  # POSIX: "69" to "99" are of the last century, "00" to "68" of this one
_FIRST_YEAR, _LAST_YEAR = 1000, 2199
FIRST_BESIDE_MONTH = 1500
"""A number before it, with a month and without a day, is rarely a year: "October 1257" is a house."""


def full_year(digits: str) -> int:
    """Return a year written in four digits or in two."""
    year = int(digits)
    if len(digits) > 2:  # noqa: PLR2004 - two digits
        return year
    return year + (1900 if year >= _PIVOT else 2000)


def plausible(year: int | None, first: int = _FIRST_YEAR) -> bool:
    """Whether a number of four digits is taken for a year where it stands in a date."""
    return year is None or first <= year <= _LAST_YEAR


def day_form(year: int | None, month: int, day: int) -> str | None:
    """Return ``2024-03-14``, or ``--03-14`` without a year; None where there is no such day."""
    try:
        date(year or _LEAP, month, day)
    except ValueError:
        return None
    return f"{year:04}-{month:02}-{day:02}" if year else f"--{month:02}-{day:02}"
