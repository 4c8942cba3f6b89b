"""Numbers as people write amounts, as decimal numbers."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

_THOUSAND = 3  # digits in a group
_LONGEST = 24  # digits; a longer number is no amount of money
_NO_SIGN = re.compile(r"[^\d.,]")


def decimal(surface: str, *, dot_is_decimal: bool | None, scale: int = 0) -> str | None:
    """Return a written number times ten to the power of ``scale`` as a plain decimal number.

    A single dot or comma before three digits parts thousands, save where ``dot_is_decimal`` is True; a dot where
    nobody says (None), and either before a word such as "million", leave the value open.

    Returns:
        None where the number can be read in two ways or is none.
    """
    plain = _NO_SIGN.sub("", "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in surface))
    whole, sign, part = plain, "", ""
    for found in reversed(plain):
        if found in ".,":
            whole, sign, part = plain.rpartition(found)
            break
    if sign and _parts_thousands(whole, sign, part):
        if sign not in whole and (scale > 0 or (sign == "." and dot_is_decimal is None)):
            return None
        if sign == "." and dot_is_decimal and sign not in whole:
            return _scaled(f"{whole}.{part}", scale)
        whole, part = whole + part, ""
    digits = whole.replace(",", "").replace(".", "")
    return _scaled(f"{digits}.{part}" if part else digits, scale)


def _parts_thousands(whole: str, sign: str, part: str) -> bool:
    if len(part) != _THOUSAND or whole.strip("0.,") == "":
        return False
    other = "," if sign == "." else "."
    return other not in whole


def _scaled(number: str, scale: int) -> str | None:
    if not number or len(number) > _LONGEST:
        return None
    if scale == 0:
        return str(Decimal(number))
    value = Decimal(number).scaleb(scale)
    return f"{value:.2f}" if scale < 0 else f"{value.normalize():f}"
