"""How soon a process that died is started again, and when that is given up."""

QUICK_DEATH_S = 5.0
"""A process that lived shorter than this died quickly, and so did one that was never ready."""
AT_ONCE_S = 0.1
FIRST_WAIT_S = 0.5
QUICK_DEATHS_ALLOWED = 5
LONGEST_WAIT_S = 8.0
"""For a process that was ready once: what it dies of came with its work, sooner perhaps than anybody saw that it was ready again,
and ends once that work is given up."""


def backoff_s(quick_deaths: int) -> float | None:
    """Return the seconds to wait after so many quick deaths in a row; None to give up."""
    if quick_deaths >= QUICK_DEATHS_ALLOWED:
        return None
    return FIRST_WAIT_S * 2.0 ** (quick_deaths - 1) if quick_deaths else AT_ONCE_S
