"""Bars that a run must reach, for CI: ``entities.f1=0.7``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smallmesh.evaluation.runs import Run


class BarError(ValueError):
    """A bar that nothing can be held against; the message says what can."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        name: A figure's name, or one of :func:`measures`.
        value: Where it lies.
        at_most: Whether it is a ceiling.
    """

    name: str
    value: float
    at_most: bool

    def missed_by(self, run: Run) -> str | None:
        """Say how a run misses it; None where it does not, or has no such figure."""
        found = measures(run).get(self.name)
        if found is None or (found <= self.value if self.at_most else found >= self.value):
            return None
        return f"{run.agent}: {self.name} is {found:.4g}, {'over' if self.at_most else 'under'} {self.value:g}"


def read_bar(given: str, *, at_most: bool) -> Bar:
    """Read ``NAME=VALUE``.

    Raises:
        BarError: It is not of that form.
    """
    name, _, value = given.rpartition("=")
    try:
        return Bar(name.strip(), float(value), at_most)
    except ValueError:
        raise BarError(f"{given!r} is not METRIC=VALUE, as in score=0.8") from None


def measures(run: Run) -> Mapping[str, float]:
    """Return everything in a run that a bar can be set for, by name."""
    latency = run.latency
    found = {figure.name: figure.value for figure in run.figures}
    found |= {"p50_ms": latency.p50, "p95_ms": latency.p95, "p99_ms": latency.p99, "longest_ms": latency.longest, "over_4s": latency.over}
    return found if run.memory.peak is None else {**found, "memory_mb": run.memory.peak}


def missed(bars: Sequence[Bar], runs: Sequence[Run]) -> list[str]:
    """Return how runs miss bars. A bar is for every run that has its figure.

    Raises:
        BarError: A bar for what no run has.
    """
    known = {name for run in runs for name in measures(run)}
    for bar in bars:
        if bar.name not in known:
            raise BarError(f"nothing measured is called {bar.name!r}; there is {', '.join(sorted(known))}")
    return [miss for bar in bars for run in runs if (miss := bar.missed_by(run)) is not None]
