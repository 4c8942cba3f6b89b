"""Costly mistakes: whether an answer makes one."""

from collections.abc import Collection, Iterable, Mapping

from pydantic import JsonValue

from smallmesh.evaluation.cases import Case
from smallmesh.evaluation.fields import INVENTED, MISSED
from smallmesh.evaluation.lines import Costly
from smallmesh.evaluation.values import Place, says, spans_in, text_in


def happened(costly: Costly, case: Case, value: Mapping[str, JsonValue]) -> bool:
    """Tell whether an answer makes a costly mistake: everything that its ``when`` says holds.

    A span counts as missed where no found span of its type overlaps it, and as invented where no expected one of its type does:
    a boundary that is a little off is an ordinary mistake.
    """
    return all(_holds(name, told, case, value) for name, told in costly.when.items())


def _holds(name: str, told: JsonValue, case: Case, value: Mapping[str, JsonValue]) -> bool:
    if name == MISSED:
        lost = any(not says(text_in(value.get(key)), str(told)) for key, facts in case.contains.items() if told in facts)
        return lost or any(_untouched(expected, told, found) for expected, found in _both(case, value))
    if name == INVENTED:
        said = any(says(text_in(value.get(key)), str(told)) for key, texts in case.lacks.items() if told in texts)
        return said or any(_untouched(found, told, expected) for expected, found in _both(case, value))
    return value.get(name) == told


def _both(case: Case, value: Mapping[str, JsonValue]) -> Iterable[tuple[list[Place], list[Place]]]:
    """Yield what is expected and what was found, field by field."""
    for name, spans in case.spans.items():
        yield [(span.start, span.end, span.type) for span in spans], list(spans_in(value.get(name)))


def _untouched(places: Iterable[Place], kind: JsonValue, others: Collection[Place]) -> bool:
    """Tell whether there is a place of a type that no other one of that type overlaps."""
    of_kind = [(start, end) for start, end, k in others if k == kind]
    return any(k == kind and not any(s < end and start < e for s, e in of_kind) for start, end, k in places)
