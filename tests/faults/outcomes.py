"""What came out of each experiment, counted, and written down for the report of ``scripts/faults``."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Outcome:
    """What one experiment counted. A test fills it in as it goes; it is written down whatever the test's end.

    Attributes:
        test: The test's id.
        trials: How often.
        kills: Processes killed, frozen or cut off.
        tasks: Submissions that the broker acknowledged.
        lost: Of those, without a terminal result.
        duplicates: Terminal results beyond one a task, as any client could have seen them.
        dead_letters: Of all tasks.
        extra_inferences: Inferences beyond one a step.
        extra_calls: Paid calls beyond one an answer.
        recovery_s: Seconds from each fault until what it hit was whole again.
        notes: Further counts, by name.
    """

    test: str
    trials: int = 0
    kills: int = 0
    tasks: int = 0
    lost: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    extra_inferences: int = 0
    extra_calls: int = 0
    recovery_s: list[float] = field(default_factory=list)
    notes: dict[str, object] = field(default_factory=dict)

    def note(self, **counts: object) -> None:
        """Add further counts, by name."""
        self.notes.update(counts)


def append(path: Path, kind: str, values: Outcome | Mapping[str, object]) -> None:
    """Add one line of JSON; a run that is broken off keeps what it has."""
    plain = asdict(values) if isinstance(values, Outcome) else dict(values)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **plain}) + "\n")
