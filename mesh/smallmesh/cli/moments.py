"""Times as people say them: so long ago, or when."""

import re
from datetime import datetime

import typer

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d{1,9})([smhdw])")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")


def moment(told: str | None, now: float, option: str) -> float | None:
    """Return a time in seconds since the epoch: ``2h`` or ``1d12h`` ago, or ISO 8601, which is local where it names no zone.

    Raises:
        typer.BadParameter: It is neither.
    """
    if told is None:
        return None
    if _DURATION.fullmatch(told):
        return now - sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(told))
    try:
        return datetime.fromisoformat(told).timestamp()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter("give a time that has passed since, as 90s, 30m, 2h or 7d, or ISO 8601", param_hint=option) from None
