"""What a result's fields can hold, as its type declares: expectations are checked against it before anything is answered."""

import enum
import types
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue

from smallmesh.agent import Agent
from smallmesh.evaluation.lines import CaseError, Costly, Line

MISSED, INVENTED = "missed", "invented"


def closed_values(annotation: Any) -> tuple[JsonValue, ...] | None:
    """Return the values a field can have; None where its list is not closed. Only such values are classes, and stored."""
    if annotation is bool:
        return (False, True)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return tuple(member.value for member in annotation)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in {Union, types.UnionType}:
        parts = [closed_values(part) for part in get_args(annotation) if part is not type(None)]
        return None if None in parts else tuple(value for part in parts if part is not None for value in part)
    return None


def classes_of(agent: Agent[Any, Any], name: str) -> tuple[JsonValue, ...] | None:
    """Return the values that a field of an agent's result can have; None where the list is not closed."""
    found = agent.result.model_fields.get(name)
    return closed_values(found.annotation) if found is not None else None


def is_list_of_objects(value: JsonValue) -> TypeGuard[list[dict[str, JsonValue]]]:
    """Tell whether a value is a list of places in the text; an empty list is one."""
    return isinstance(value, list) and all(isinstance(item, dict) and "text" in item for item in value)


def check_expected(agent: Agent[Any, Any], line: Line) -> None:
    """Check that what a line expects can be.

    Raises:
        CaseError: A field that the agent does not have, a value that the field cannot have, or nothing expected at all.
    """
    unknown = sorted(line.request.keys() - agent.request.model_fields.keys())
    if unknown:
        raise CaseError(f"request: {agent.name} does not read {', '.join(unknown)}; it reads {', '.join(agent.request.model_fields)}")
    if not (line.expect or line.references or line.contains or line.lacks):
        raise CaseError("it expects nothing: give `expect`, `references`, `contains` or `lacks`")
    _check_names(agent, "expect", line.expect)
    for what in ("references", "contains", "lacks"):
        _check_names(agent, what, getattr(line, what))
    _check_values(agent, "expect", line.expect)
    for costly in line.costly:
        _check_costly(agent, line, costly)


def _check_names(agent: Agent[Any, Any], where: str, names: Iterable[str]) -> None:
    known = agent.result.model_fields
    for name in names:
        if name not in known:
            raise CaseError(f"{where}: the answer of {agent.name} has no {name!r}; it has {', '.join(known)}")


def _check_values(agent: Agent[Any, Any], where: str, values: Mapping[str, JsonValue]) -> None:
    for name, value in values.items():
        classes = classes_of(agent, name)
        if classes is not None and value not in classes:
            raise CaseError(f"{where}.{name}: it can only be one of {', '.join(map(str, classes))}")
        item = _item_of(agent.result.model_fields[name].annotation)
        if item is not None and is_list_of_objects(value):
            _check_items(item, f"{where}.{name}", value)


def _item_of(annotation: Any) -> type[BaseModel] | None:
    """Return what a list's items are, where they are objects."""
    items = [part for part in get_args(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
    return items[0] if len(items) == 1 else None


def _check_items(kind: type[BaseModel], where: str, items: list[dict[str, JsonValue]]) -> None:
    known = kind.model_fields
    types_ = closed_values(known["type"].annotation) if "type" in known else None
    for index, item in enumerate(items):
        unknown = sorted(item.keys() - known.keys())
        if unknown:
            raise CaseError(f"{where}.{index}: there is no {', '.join(unknown)} in it; there is {', '.join(known)}")
        if types_ is not None and item.get("type") not in types_:
            raise CaseError(f"{where}.{index}.type: it can only be one of {', '.join(map(str, types_))}")


def _check_costly(agent: Agent[Any, Any], line: Line, costly: Costly) -> None:
    where = f"costly {costly.name!r}"
    fields = {name: value for name, value in costly.when.items() if name not in {MISSED, INVENTED}}
    _check_names(agent, where, fields)
    _check_values(agent, where, fields)
    if fields and all(line.expect.get(name) == value for name, value in fields.items()):
        raise CaseError(f"{where}: that is what the case expects")
    lists = [value for value in line.expect.values() if is_list_of_objects(value)]
    missable = [item.get("type") for items in lists for item in items]
    if MISSED in costly.when and costly.when[MISSED] not in [*missable, *chain(*line.contains.values())]:
        raise CaseError(f"{where}: `missed` must be a type of span in `expect`, or a text of `contains`")
    if INVENTED in costly.when and not lists and costly.when[INVENTED] not in [*chain(*line.lacks.values())]:
        raise CaseError(f"{where}: `invented` must be a type of span, or a text of `lacks`")
