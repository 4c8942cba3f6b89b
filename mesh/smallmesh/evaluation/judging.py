"""One answer held against its case.

What a case adds to the figures is a few sums by name, and no text, so that runs can be kept, put together and compared:

- ``share:NAME:got`` of ``share:NAME:of``: any mean; ``share:NAME:plain`` is what the plainest way would have got;
- ``class:FIELD:hit|found|wanted:CLASS``: one of a closed list of values;
- ``span:FIELD:hit|found|wanted:TYPE``: places in the text;
- ``bin:ece:of``, ``bin:ece:sure:NN``, ``bin:ece:right:NN``: confidence and what came of it.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from smallmesh.agent import Agent
from smallmesh.evaluation.answers import Outcome
from smallmesh.evaluation.cases import Case, WantedSpan
from smallmesh.evaluation.costly import happened
from smallmesh.evaluation.fields import classes_of
from smallmesh.evaluation.lines import Costly
from smallmesh.evaluation.metrics import bin_of, rouge_l
from smallmesh.evaluation.values import Place, places_in, same, says, spans_in, text_in
from smallmesh_contracts import ContractError, ErrorCode, decode


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one case.

    Attributes:
        passed: Whether everything it expects came; None where it only has texts to be like.
        score: From 0 to 1: the mean of how far each expectation was met.
        costly: Names of the costly mistakes that were made.
        error: Code of the error that came instead of an answer.
        sums: What it adds to the figures.
    """

    passed: bool | None
    score: float
    costly: tuple[str, ...]
    error: str | None
    sums: Mapping[str, float]


@dataclass(slots=True)
class _Marks:
    """What has been seen so far of one case.

    Attributes:
        parts: How far each expectation was met, 0 to 1.
        likeness: The same for texts to be like, which are never met in full.
        right: Whether each of the expected values came.
        sums: What it adds to the figures.
    """

    parts: list[float] = field(default_factory=list)
    likeness: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def share(self, name: str, got: float, of: float) -> None:
        self.sums[f"share:{name}:got"] += got
        self.sums[f"share:{name}:of"] += of


def judge(agent: Agent[Any, Any], case: Case, outcome: Outcome) -> Judged:
    """Hold one outcome against its case."""
    error = _invalid(agent, case, outcome)
    value = {} if error else outcome.value or {}
    marks = _Marks()
    for name, wanted in case.values.items():
        _judge_value(marks, agent, name, wanted, value.get(name))
    for name, spans in case.spans.items():
        _judge_spans(marks, name, spans, spans_in(value.get(name)))
    for name, references in case.references.items():
        _judge_likeness(marks, name, references, case.text, text_in(value.get(name)))
    _judge_substrings(marks, "contains", case.contains, value, wanted=True, answered=error is None)
    _judge_substrings(marks, "lacks", case.lacks, value, wanted=False, answered=error is None)
    _judge_confidence(marks, value)
    made = [] if error else [one for one in case.costly if happened(one, case, value)]
    return _sum_up(marks, case, made, error)


def _invalid(agent: Agent[Any, Any], case: Case, outcome: Outcome) -> str | None:
    """Return the code of what is wrong with an outcome as such, whatever it says: None for a valid answer."""
    if outcome.error is not None:
        return outcome.error.code.value
    try:
        decode(agent.result, json.dumps(outcome.value).encode())
    except ContractError:
        return ErrorCode.INVALID_OUTPUT.value
    places = [place for value in (outcome.value or {}).values() for place in places_in(value)]
    return None if all(case.text[p["start"] : p["end"]] == p["text"] for p in places) else ErrorCode.INVALID_OUTPUT.value


def _judge_value(marks: _Marks, agent: Agent[Any, Any], name: str, wanted: JsonValue, found: JsonValue) -> None:
    right = found == wanted
    marks.right.append(right)
    marks.parts.append(float(right))
    marks.share(f"{name}.accuracy", float(right), 1)
    if classes_of(agent, name) is not None:
        marks.sums[f"class:{name}:wanted:{wanted}"] += 1
        marks.sums[f"class:{name}:hit:{wanted}"] += right
        if found is not None:
            marks.sums[f"class:{name}:found:{found}"] += 1


def _judge_spans(marks: _Marks, name: str, wanted: Sequence[WantedSpan], found: Mapping[Place, Mapping[str, Any]]) -> None:
    expected = {(span.start, span.end, span.type): span for span in wanted}
    for part, places in (("wanted", expected.keys()), ("found", found.keys()), ("hit", expected.keys() & found.keys())):
        for _, _, kind in places:
            marks.sums[f"span:{name}:{part}:{kind}"] += 1
    hits = expected.keys() & found.keys()
    total = len(expected) + len(found)
    marks.parts.append(2 * len(hits) / total if total else 1.0)
    marks.right.append(expected.keys() == found.keys())
    for place in hits:
        normal = expected[place].normal
        if normal:
            marks.share(f"{name}.normal_form", float(all(same(want, found[place].get(key)) for key, want in normal.items())), 1)


def _judge_likeness(marks: _Marks, name: str, references: Iterable[str], text: str, found: str) -> None:
    lead = " ".join(text.split()[: len(found.split())])
    got, plain = (max(rouge_l(words, reference) for reference in references) for words in (found, lead))
    marks.likeness.append(got)
    marks.share(f"{name}.rouge_l", got, 1)
    marks.sums[f"share:{name}.rouge_l:plain"] += plain


def _judge_substrings(  # noqa: PLR0913 - the last two by name
    marks: _Marks, what: str, wanted_of: Mapping[str, Collection[str]], value: Mapping[str, JsonValue], *, wanted: bool, answered: bool
) -> None:
    for name, substrings in wanted_of.items():
        said = text_in(value.get(name))
        kept = sum(answered and says(said, substring) is wanted for substring in substrings)
        marks.parts.append(kept / len(substrings))
        marks.right.append(kept == len(substrings))
        marks.share(f"{name}.{what}", kept, len(substrings))


def _judge_confidence(marks: _Marks, value: Mapping[str, JsonValue]) -> None:
    confidence = value.get("confidence")
    accuracies = [name for name in marks.sums if name.endswith(".accuracy:got")]
    if not isinstance(confidence, (int, float)) or not accuracies:
        return
    place = f"{bin_of(confidence):02}"
    marks.sums["bin:ece:of"] += 1
    marks.sums[f"bin:ece:sure:{place}"] += confidence
    marks.sums[f"bin:ece:right:{place}"] += all(marks.sums[name] for name in accuracies)


def _sum_up(marks: _Marks, case: Case, made: Sequence[Costly], error: str | None) -> Judged:
    """Sum up. A case weighs as much as the worst mistake that can be made in it, and what was made of it the worst that was."""
    parts = marks.parts or marks.likeness
    failed = bool(error or made)
    score = 0.0 if failed else sum(parts) / len(parts)
    passed = all(marks.right) and not failed if marks.right or failed else None
    most, worst = (max((one.weight for one in costly), default=1.0) for costly in (case.costly, made))
    marks.share("score", most - worst * (1 - score), most)
    marks.share("valid", float(error is None), 1)
    if passed is not None:
        marks.share("passed", float(passed), 1)
    sums = {name: round(float(value), 6) for name, value in marks.sums.items() if value}
    return Judged(passed, score, tuple(one.name for one in made), error, sums)
