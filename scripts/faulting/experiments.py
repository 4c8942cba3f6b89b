"""What the fault suite wrote down, one experiment at a time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONFIDENCE = "95 %"
RULE_OF_THREE = 3.0
"""Nothing in n independent trials bounds the rate of failure below 3/n, with 95 % confidence."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One test and what it counted; see the outcomes of the suite.

    Attributes:
        number: In the list of faults.
        title: What was tried, in words.
        result: ``passed``, ``failed`` or ``skipped``.
        seconds: How long it took.
        reason: Why it failed or was skipped.
        counts: What it counted; empty where it counts nothing.
    """

    number: int | None
    title: str
    result: str
    seconds: float
    reason: str
    counts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        """How often it was tried; what counts nothing was tried once."""
        return int(self.counts.get("trials") or 0) or 1

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, and nothing seen twice."""
        return self.result == "passed" and not self.counts.get("lost") and not self.counts.get("duplicates")

    @property
    def bound(self) -> float | None:
        """The rate of failures a trial that these trials bound from above; None where they do not."""
        return RULE_OF_THREE / self.trials if self.clean and self.trials > RULE_OF_THREE else None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        said = {"number": self.number, "title": self.title, "result": self.result, "seconds": self.seconds, "reason": self.reason}
        return {**said, "bound": self.bound, **self.counts}


def read(path: Path, *, in_order: bool = True) -> list[Experiment]:
    """Return the experiments of a run that have ended: in the order of the list of faults, or in the order in which they ended."""
    written = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    counted = {one["test"]: one for one in written if one["kind"] == "outcome"}
    ended = {one["test"]: one for one in written if one["kind"] == "ended"}
    found = [_experiment(one, counted.get(test, {})) for test, one in ended.items()]
    return sorted(found, key=lambda one: (one.number is None, one.number or 0)) if in_order else found


def _experiment(ended: Mapping[str, Any], counted: Mapping[str, Any]) -> Experiment:
    counts = {name: value for name, value in counted.items() if name not in ("kind", "test")}
    return Experiment(ended["experiment"], ended["title"], ended["result"], ended["seconds"], ended["reason"], counts)


def under_way(path: Path) -> str | None:
    """Return the title of the experiment that runs just now."""
    if not path.exists():
        return None
    written = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    ended = {one["test"] for one in written if one["kind"] == "ended"}
    return next((one["title"] for one in reversed(written) if one["kind"] == "begun" and one["test"] not in ended), None)
