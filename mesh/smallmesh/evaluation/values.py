"""Reading what an answer's fields hold."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import JsonValue

Place = tuple[int, int, str]
"""Where something stands in the text, and what it is."""


def places_in(value: object) -> list[Mapping[str, Any]]:
    """Return the items of a list that say where in the text they stand."""
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, dict) and isinstance(item.get("start"), int) and {"end", "text"} <= item.keys()]


def spans_in(value: JsonValue) -> dict[Place, Mapping[str, Any]]:
    """Return the same by place and type."""
    return {(item["start"], item["end"], str(item.get("type", ""))): item for item in places_in(value)}


def text_in(value: JsonValue) -> str:
    """Return a text; nothing for what is none."""
    return value if isinstance(value, str) else ""


def says(text: str, substring: str) -> bool:
    """Tell whether a text has a substring, whatever the case and the white space."""
    return " ".join(substring.casefold().split()) in " ".join(text.casefold().split())


def same(wanted: JsonValue, found: JsonValue) -> bool:
    """Tell whether two normal forms say the same: ``4500000`` and ``4500000.00`` do."""
    if wanted == found:
        return True
    try:
        return Decimal(str(wanted)) == Decimal(str(found))
    except InvalidOperation:
        return False
