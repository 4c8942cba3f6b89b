"""Runs: what was measured, when, on what; kept as JSON without any text, and compared with the time before."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smallmesh.evaluation.answers import Memory, Served
from smallmesh.evaluation.figures import Change, Figure, changes

FOLDER = "evaluations"
"""Where runs are kept, in the state folder; a folder an agent."""
VERSION = 1
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Data(_Value):
    """Which cases.

    Attributes:
        name: The file's name, without its folder.
        sha256: Of the whole file.
        limit: How many of its cases were asked for, where not all.
        broken: Lines that were no cases.
    """

    name: str
    sha256: str
    limit: int | None = None
    broken: int = 0


class CaseResult(_Value):
    """What became of one case, without its texts.

    Attributes:
        id: The case's.
        passed: Whether everything it expects came; None where it only has texts to be like.
        score: From 0 to 1.
        error: Code of the error that came instead of an answer.
        costly: Names of the costly mistakes that were made.
        ms: Milliseconds it took.
        tokens: How many tokens the model read.
        windows: In how many windows.
        sums: What it adds to the figures.
    """

    id: str
    passed: bool | None
    score: float
    error: str | None = None
    costly: tuple[str, ...] = ()
    ms: float
    tokens: int
    windows: int
    sums: dict[str, float]


class Mistake(_Value):
    """A costly mistake: how many cases could have made it, and which did."""

    name: str
    weight: float
    possible: int
    cases: tuple[str, ...] = ()


class Latency(_Value):
    """Milliseconds from request to answer, one request at a time.

    Attributes:
        p50: Half of the cases took no longer.
        p95: 95 % did not.
        p99: 99 % did not.
        longest: The longest.
        over: Share of cases over the threshold.
    """

    p50: float
    p95: float
    p99: float
    longest: float
    over: float


class Run(_Value):
    """One agent on one set of cases.

    Attributes:
        agent: Its name.
        started: When, in UTC.
        took_s: How long, with loading.
        served: What answered.
        data: Which cases.
        host: Facts of the machine.
        versions: Of what answered and measured.
        figures: What was measured of the answers.
        latency: What was measured of the time.
        memory: What was measured of the process.
        tokens: That the model read, over all cases.
        windows: Forward passes, over all cases.
        errors: How many cases ended with which error.
        mistakes: Costly ones.
        cases: What became of each.
    """

    version: int = VERSION
    agent: str
    started: datetime
    took_s: float
    served: Served
    data: Data
    host: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    figures: tuple[Figure, ...]
    latency: Latency
    memory: Memory
    tokens: int
    windows: int
    errors: dict[str, int] = Field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()
    cases: tuple[CaseResult, ...]

    @property
    def name(self) -> str:
        """What it is called: its agent and when it started."""
        return f"{self.agent}/{self.started.strftime(_STAMP)}"

    def figure(self, name: str) -> Figure | None:
        """Return one figure, where there is one of that name."""
        return next((figure for figure in self.figures if figure.name == name), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs over the same cases.

    Attributes:
        before: The earlier one.
        changes: Of each figure that both have.
        mended: Cases that passed now and did not before.
        lost: Cases that passed before and do not now.
    """

    before: Run
    changes: tuple[Change, ...]
    mended: tuple[str, ...]
    lost: tuple[str, ...]

    def of(self, figure: str) -> Change | None:
        """Return the change of one figure, where both runs have it."""
        return next((change for change in self.changes if change.name == figure), None)


class Runs:
    """The runs kept in one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep runs in a state folder."""
        self._folder = folder / FOLDER

    def keep(self, run: Run) -> Path:
        """Write a run down, whole or not at all; only this user may read it. Return where."""
        path = self._folder / f"{run.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(run.model_dump_json(), encoding="utf-8")
        return draft.replace(path)

    def find(self, name: str) -> Run | None:
        """Return a run by its name, or the last one of an agent by the agent's."""
        agent, _, stamp = name.partition("/")
        if _NO_NAME.search(agent) or _NO_NAME.search(stamp) or agent.startswith("."):
            return None
        return _read(self._folder / agent / f"{stamp}.json") if stamp else next(self.of(agent), None)

    def of(self, agent: str) -> Iterator[Run]:
        """Yield the runs of an agent, the latest first; a file that is none is passed over."""
        for path in sorted((self._folder / agent).glob("*.json"), reverse=True):
            run = _read(path)
            if run is not None:
                yield run

    def before(self, run: Run) -> Run | None:
        """Return the last run before this one of the same agent over the same cases."""
        same = (other for other in self.of(run.agent) if (other.data.sha256, other.data.limit) == (run.data.sha256, run.data.limit))
        return next((other for other in same if other.started < run.started), None)


def _read(path: Path) -> Run | None:
    try:
        run = Run.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return run if run.version == VERSION else None


def compare(before: Run, now: Run) -> Comparison:
    """Compare two runs, case by case."""
    old = {case.id: case for case in before.cases}
    pairs = [(old[case.id], case) for case in now.cases if case.id in old]
    changed = changes([a.sums for a, _ in pairs], [b.sums for _, b in pairs]) if pairs else []
    return Comparison(before, tuple(changed), _flipped(pairs, now=True), _flipped(pairs, now=False))


def _flipped(pairs: Sequence[tuple[CaseResult, CaseResult]], *, now: bool) -> tuple[str, ...]:
    return tuple(b.id for a, b in pairs if b.passed is now and a.passed is (not now))
