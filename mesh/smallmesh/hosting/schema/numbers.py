"""Numbers, digit by digit: none can be begun that cannot end within its bounds."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import NamedTuple

from smallmesh.hosting.schema.states import State

LARGEST_INTEGER = 999_999_999_999_999
"""Bound of an integer that has none: every reader of JSON has it exactly."""

LARGEST_NUMBER = 999_999_999
"""Bound of a number that has none, before its decimals."""

MOST_DECIMALS = 6
SIGNIFICANT_DIGITS = 15
"""Digits that a double keeps apart; numbers with larger bounds have fewer decimals."""

_MINUS, _POINT = b"-."
DIGITS = b"0123456789"
_ENOUGH_DIGITS = 400
"""For exact arithmetic on bounds: a double has at most 309 before its point."""


@dataclass(frozen=True, slots=True)
class Number:
    r"""A number without an exponent: ``-?(0|[1-9][0-9]*)(\.[0-9]+)?``, never minus zero.

    Attributes:
        low: Least value, in units of the last decimal.
        high: Greatest value, likewise.
        decimals: Most digits after the point; 0 for an integer, which has no point.
    """

    low: int
    high: int
    decimals: int

    @property
    def longest(self) -> int:
        """Most characters."""
        whole = len(str(max(abs(self.low), abs(self.high)) // 10**self.decimals))
        return (self.low < 0) + whole + (self.decimals + 1 if self.decimals else 0)

    def enter(self, after: State) -> State:
        """Return the place before it."""
        return Digits(self, negative=False, value=None, places=None, after=after)

    def magnitudes(self, *, negative: bool) -> tuple[int, int] | None:
        """Return the least and the greatest magnitude within the bounds under a sign; None where there is none."""
        low, high = (max(-self.high, 1), -self.low) if negative else (max(self.low, 0), self.high)
        return (low, high) if low <= high else None


def scaled(bound: Decimal, decimals: int, *, up: bool, exclusive: bool) -> int:
    """Return the least (``up``) or the greatest number of so many decimals that a bound allows, in units of the last decimal."""
    with localcontext(prec=_ENOUGH_DIGITS):
        exact = bound.scaleb(decimals)
        whole = exact.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
        step = (1 if up else -1) if exclusive and whole == exact else 0
        return int(whole) + step


class Digits(NamedTuple):
    """Within a number: the digits so far as one integer, and how many of them are after the point."""

    number: Number
    negative: bool
    value: int | None
    places: int | None
    after: State

    def step(self, byte: int) -> State | None:
        """Go on within the number, or beyond it where it may end."""
        if byte == _MINUS:
            return self._replace(negative=True) if self._may_be_negative() else None
        if byte == _POINT:
            return self._replace(places=0) if self._may_have_decimals() else None
        if byte not in DIGITS:
            return self.after.step(byte) if self._may_end() else None
        digit = byte - DIGITS[0]
        if not any(low <= digit <= high for low, high in self.numerals(1)):
            return None
        places = None if self.places is None else self.places + 1
        return Digits(self.number, self.negative, (self.value or 0) * 10 + digit, places, self.after)

    def firsts(self) -> Collection[int]:
        """Return the digits that lead to a value within the bounds, and what follows where the number may end."""
        own = {DIGITS[digit] for low, high in self.numerals(1) for digit in range(low, high + 1)}
        if self._may_be_negative():
            own.add(_MINUS)
        if self._may_have_decimals():
            own.add(_POINT)
        return own | set(self.after.firsts()) if self._may_end() else own

    def numerals(self, length: int) -> Iterator[tuple[int, int]]:
        """Yield from which to which numeral of so many digits, zeros in front included, may come here.

        Those are the ones that more digits, or none, make a value within the bounds of.
        """
        bounds = self.number.magnitudes(negative=self.negative)
        if bounds is None:
            return
        before = (self.value or 0) * 10**length
        first = 10 ** (length - 1) if self.value is None and length > 1 else before
        for width in self._widths(length, bounds[1]):
            low, high = max(bounds[0] // width, first), min(bounds[1] // width, before + 10**length - 1)
            if low <= high:
                yield low - before, high - before
            first = max(first, 1)  # no digit follows a zero before the point

    def _widths(self, length: int, most: int) -> Iterator[int]:
        """Yield how many units each step of the last digit may come to be worth, most being the greatest magnitude."""
        if self.places is not None:
            left = self.number.decimals - self.places - length
            if left >= 0:
                yield 10**left
        elif self.value != 0:
            width = 10**self.number.decimals
            yield width
            while (width := width * 10) <= most:
                yield width

    def _may_be_negative(self) -> bool:
        return self.value is None and not self.negative and self.number.magnitudes(negative=True) is not None

    def _may_have_decimals(self) -> bool:
        unit = 10**self.number.decimals
        return unit > 1 and self.places is None and self.value is not None and self._holds(self.value * unit, (self.value + 1) * unit - 1)

    def _may_end(self) -> bool:
        if self.value is None or self.places == 0:
            return False
        exact = self.value * 10 ** (self.number.decimals - (self.places or 0))
        return self._holds(exact, exact)

    def _holds(self, least: int, greatest: int) -> bool:
        bounds = self.number.magnitudes(negative=self.negative)
        return bounds is not None and max(bounds[0], least) <= min(bounds[1], greatest)
