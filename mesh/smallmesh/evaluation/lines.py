"""A line of a file of cases, as it is written."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue


class CaseError(ValueError):
    """A line that is no case; the message says why, without quoting its texts."""


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


Id = Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=128)]
Substrings = dict[str, Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]]


class Costly(BaseModel):
    """A mistake that costs more than others.

    Attributes:
        name: What it is called in reports.
        when: What makes it this mistake: fields of the result with the values they then have; or ``missed``: a type of
            span, or a fact of ``contains``, that the result lacks; or ``invented``: a type of span, or a text of
            ``lacks``, that it has and should not.
        weight: How many ordinary mistakes it counts as.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    when: Annotated[dict[str, JsonValue], Field(min_length=1)]
    weight: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)]


class Line(BaseModel):
    """One line.

    Attributes:
        id: Unique in its file; the line's number stands in where there is none.
        request: What the agent is asked.
        expect: Fields of the result with the values that they should have; a list of objects with ``text`` is a list of
            places in the request's text.
        references: Texts that a field should be like.
        contains: What a field should say.
        lacks: What it should not.
        tags: For whoever writes cases.
        costly: Mistakes that cost more than others; one, or a list.
        note: For whoever reads them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Id | None = None
    request: dict[str, JsonValue]
    expect: dict[str, JsonValue] = {}
    references: Substrings = {}
    contains: Substrings = {}
    lacks: Substrings = {}
    tags: tuple[str, ...] = ()
    costly: Annotated[tuple[Costly, ...], BeforeValidator(_as_list)] = ()
    note: str = ""
