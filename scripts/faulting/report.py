"""The report as Markdown."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from scripts.faulting.experiments import CONFIDENCE, RULE_OF_THREE, Experiment

COLUMNS = (
    *("#", "experiment", "result", "trials", "kills", "tasks", "lost", "seen twice", "dead letters"),
    *("extra inferences", "extra paid calls", "recovery p50 / max, s", f"failures a trial ({CONFIDENCE})", "took, s"),
)
_COUNTED = ("kills", "tasks", "lost", "duplicates", "dead_letters", "extra_inferences", "extra_calls")
_LONGEST_REASON = 2000


def markdown(experiments: Sequence[Experiment], *, trials: int, seconds: float, used: Mapping[str, str]) -> str:
    """Return a report of one run."""
    parts = [
        f"# Faults: {trials} trials asked for\n",
        _summary(experiments, seconds),
        _table(experiments),
        *(f"{name}: {value}  " for name, value in used.items()),
        "",
        *_section("What else was counted", [_notes(one) for one in experiments if one.counts.get("notes")]),
        *_section("What failed", [_failure(one) for one in experiments if one.result == "failed"]),
        *_section("What was not tried", [f"- {one.title}: {one.reason}" for one in experiments if one.result == "skipped"]),
    ]
    return "\n".join(parts)


def total(experiments: Sequence[Experiment], name: str) -> int:
    """Return the sum of one count."""
    return sum(int(one.counts.get(name) or 0) for one in experiments)


def _summary(experiments: Sequence[Experiment], seconds: float) -> str:
    kills, tasks, lost, twice = (total(experiments, name) for name in ("kills", "tasks", "lost", "duplicates"))
    failed = sum(one.result == "failed" for one in experiments)
    said = [
        f"{kills} processes killed or frozen under {tasks} acknowledged tasks in {seconds:.0f} s: {lost} lost, {twice} seen twice.",
        f"{failed} of {len(experiments)} experiments failed.",
    ]
    if kills > RULE_OF_THREE and not (lost or twice or failed):
        said.append(f"So, with {CONFIDENCE} confidence, a kill loses or doubles a task in less than {RULE_OF_THREE / kills:.2%} of cases.")
    return " ".join(said) + "\n"


def _table(experiments: Sequence[Experiment]) -> str:
    lines = [_line(COLUMNS), _line("---" for _ in COLUMNS), *(_line(_row(one)) for one in experiments)]
    return "\n".join([*lines, ""])


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _row(one: Experiment) -> list[str]:
    if one.result == "skipped":
        return [str(one.number or ""), one.title, one.result, *([""] * (len(COLUMNS) - 3))]
    counts = [str(one.counts.get(name, "")) for name in _COUNTED] if one.counts else [""] * len(_COUNTED)
    bound = "" if one.bound is None else f"< {one.bound:.2%}"
    return [str(one.number or ""), one.title, one.result, str(one.trials), *counts, _recovery(one), bound, f"{one.seconds:.1f}"]


def _recovery(one: Experiment) -> str:
    took: Sequence[float] = one.counts.get("recovery_s") or ()
    return f"{median(took):.2f} / {max(took):.2f}" if took else ""


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}\n", *lines, ""] if lines else []


def _notes(one: Experiment) -> str:
    said = "; ".join(f"{name.replace('_', ' ')}: {_plain(value)}" for name, value in one.counts["notes"].items())
    return f"- {one.title}: {said}"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _failure(one: Experiment) -> str:
    return f"- {one.title}\n\n```text\n{one.reason[-_LONGEST_REASON:]}\n```\n"
