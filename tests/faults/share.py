"""How the trials that were asked for are shared out: so many in all, and none of the experiments without any."""

import math


def share(trials: int, part: float) -> int:
    """Return a part of the trials, at least one."""
    return max(1, math.ceil(trials * part))
