"""One agent on one set of cases: answered, judged, summed up."""

import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import smallmesh
from smallmesh.agent import Agent
from smallmesh.evaluation.answers import Answerer, Memory, Outcome, Served
from smallmesh.evaluation.cases import Case, DataSet
from smallmesh.evaluation.figures import figures
from smallmesh.evaluation.judging import Judged, judge
from smallmesh.evaluation.runs import CaseResult, Data, Latency, Mistake, Run

THRESHOLD_MS = 4000.0
"""What nobody who waits should wait longer than."""
_LIBRARIES = ("llama-cpp-python", "numpy")
_CPU = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Measured:
    """What an agent's process did.

    Attributes:
        served: What answered.
        outcomes: One a case.
        memory: What it took.
        started: When it was begun.
        took_s: How long all of it took.
    """

    served: Served
    outcomes: Sequence[Outcome]
    memory: Memory
    started: datetime
    took_s: float


def answer_all(answerer: Answerer, cases: Sequence[Case], done: Callable[[], None]) -> list[Outcome]:
    """Have every case answered, one after another; ``done`` is called after each."""
    outcomes = []
    for case in cases:
        outcomes.append(answerer.answer(case.body))
        done()
    return outcomes


def sum_up(agent: Agent[Any, Any], data: DataSet, measured: Measured) -> Run:
    """Make a run of what came."""
    judged = [judge(agent, case, outcome) for case, outcome in zip(data.cases, measured.outcomes, strict=True)]
    return Run(
        agent=agent.name,
        started=measured.started,
        took_s=round(measured.took_s, 3),
        served=measured.served,
        data=Data(name=data.name, sha256=data.sha256, limit=data.limit, broken=len(data.broken)),
        host=host_facts(),
        versions=_versions(),
        figures=tuple(figures([one.sums for one in judged])),
        latency=latency_of([outcome.ms for outcome in measured.outcomes]),
        memory=measured.memory,
        tokens=sum(outcome.tokens for outcome in measured.outcomes),
        windows=sum(outcome.windows for outcome in measured.outcomes),
        errors=dict(Counter(one.error for one in judged if one.error)),
        mistakes=_mistakes(data.cases, judged),
        cases=tuple(map(_result, data.cases, judged, measured.outcomes)),
    )


def latency_of(ms: Sequence[float]) -> Latency:
    """Return the percentiles of some times."""
    p50, p95, p99 = np.percentile(ms, (50, 95, 99)).tolist()
    return Latency(p50=p50, p95=p95, p99=p99, longest=max(ms), over=sum(one > THRESHOLD_MS for one in ms) / len(ms))


def _mistakes(cases: Sequence[Case], judged: Sequence[Judged]) -> tuple[Mistake, ...]:
    """Return the costly mistakes by name, those that were made most expensive first."""
    weights: dict[str, float] = {}
    possible: Counter[str] = Counter()
    made: dict[str, list[str]] = {}
    for case, one in zip(cases, judged, strict=True):
        for costly in case.costly:
            weights[costly.name] = max(costly.weight, weights.get(costly.name, 0.0))
        possible.update({costly.name for costly in case.costly})
        for name in one.costly:
            made.setdefault(name, []).append(case.id)
    found = [Mistake(name=name, weight=weights[name], possible=possible[name], cases=tuple(made.get(name, ()))) for name in weights]
    return tuple(sorted(found, key=lambda one: (-one.weight * len(one.cases), one.name)))


def _result(case: Case, judged: Judged, outcome: Outcome) -> CaseResult:
    return CaseResult(
        id=case.id,
        passed=judged.passed,
        score=round(judged.score, 6),
        error=judged.error,
        costly=judged.costly,
        ms=round(outcome.ms, 3),
        tokens=outcome.tokens,
        windows=outcome.windows,
        sums=dict(judged.sums),
    )


def host_facts() -> dict[str, Any]:
    """Return what of this machine bears on time and memory; not its name."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "load": round(load, 2) if load is not None else None,
    }


def _cpu() -> str | None:
    try:
        lines = _CPU.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _versions() -> dict[str, str]:
    found = {"smallmesh": smallmesh.__version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
