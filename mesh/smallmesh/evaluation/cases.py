"""Cases: requests with known answers, one JSON object a line."""

import hashlib
import json
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from smallmesh.agent import Agent
from smallmesh.evaluation.fields import check_expected, is_list_of_objects
from smallmesh.evaluation.lines import CaseError, Costly, Line
from smallmesh_contracts import AgentResult, ContractError, decode
from smallmesh_contracts.decode import explain

GOLDEN_FILE = "golden.jsonl"
"""An agent's own cases, in its folder."""
_NO_FORM = frozenset({"text", "type", "start", "end", "confidence", "source"})
"""What of an expected span is not its normal form: where and what it is, and how it was found."""


@dataclass(frozen=True, slots=True)
class WantedSpan:
    """A span that should be found.

    Attributes:
        start: Offset of its first character in the request's text, in Unicode code points.
        end: Offset after its last.
        type: What it is.
        normal: Further fields that a found one should have, such as ``value``.
    """

    start: int
    end: int
    type: str
    normal: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One case, checked against its agent.

    Attributes:
        id: Unique in its file.
        body: The request, as the agent is sent it.
        text: The request's text.
        values: Fields that should be equal.
        spans: Fields that are lists of places in the text.
        references: Texts that a field should be like.
        contains: What a field should say.
        lacks: What it should not.
        costly: Mistakes that cost more.
    """

    id: str
    body: bytes
    text: str
    values: Mapping[str, JsonValue]
    spans: Mapping[str, tuple[WantedSpan, ...]]
    references: Mapping[str, list[str]]
    contains: Mapping[str, list[str]]
    lacks: Mapping[str, list[str]]
    costly: tuple[Costly, ...] = ()


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A line that is no case, and why; the reason does not quote it."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """The cases of one file.

    Attributes:
        name: The file's name, without its folder.
        sha256: Of the whole file.
        cases: Those that could be read, in order.
        broken: The other lines.
        limit: How many were asked for, where not all.
    """

    name: str
    sha256: str
    cases: tuple[Case, ...]
    broken: tuple[BrokenLine, ...]
    limit: int | None = None


def read_cases(file: Path, agent: Agent[Any, Any], limit: int | None = None) -> DataSet:
    """Read the first ``limit`` cases of a file. A broken line is told of, and the rest goes on.

    Raises:
        OSError: The file cannot be read.
    """
    raw = file.read_bytes()
    reader = _Reader(agent)
    for number, line in enumerate(raw.removeprefix(BOM_UTF8).split(b"\n"), 1):
        if limit is not None and len(reader.cases) >= limit:
            break
        if line.strip():
            reader.read(number, line)
    return DataSet(file.name, hashlib.sha256(raw).hexdigest(), tuple(reader.cases.values()), tuple(reader.broken), limit)


class _Reader:
    """Reads lines one after another."""

    def __init__(self, agent: Agent[Any, Any]) -> None:
        self._agent = agent
        self.cases: dict[str, Case] = {}
        self.broken: list[BrokenLine] = []

    def read(self, number: int, raw: bytes) -> None:
        try:
            case = self._case(number, raw)
        except CaseError as error:
            self.broken.append(BrokenLine(number, str(error)))
        else:
            self.cases[case.id] = case

    def _case(self, number: int, raw: bytes) -> Case:
        line = self._line(raw)
        name = line.id or f"line-{number}"
        if name in self.cases:
            raise CaseError("another line has this id")
        body = json.dumps(line.request, ensure_ascii=False).encode()
        try:
            request = decode(self._agent.request, body)
        except ContractError as error:
            raise CaseError(f"request: {error}") from None
        check_expected(self._agent, line)
        spans = {key: _located(request.text, key, wanted) for key, wanted in line.expect.items() if is_list_of_objects(wanted)}
        values = {key: value for key, value in line.expect.items() if key not in spans}
        return Case(name, body, request.text, values, spans, line.references, line.contains, line.lacks, line.costly)

    def _line(self, raw: bytes) -> Line:
        try:
            given = json.loads(raw)
            json.dumps(given, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        except (ValueError, RecursionError):
            raise CaseError("it is not JSON in UTF-8") from None
        if not isinstance(given, dict):
            raise CaseError("it is not a JSON object")
        try:
            return Line.model_validate(given if "request" in given else self._spread(given))
        except ValidationError as error:
            raise CaseError(explain(error)) from None

    def _spread(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        """Sort a plain line, such as ``{"text": …, "label": …}``, into request and expectation by the agent's fields."""
        asked, told = self._agent.request.model_fields, self._agent.result.model_fields.keys() - AgentResult.model_fields.keys()
        request = {key: value for key, value in flat.items() if key in asked}
        expect = {key: value for key, value in flat.items() if key in told and key not in asked}
        own = {key: value for key, value in flat.items() if key in Line.model_fields and key not in {*request, *expect}}
        return {**own, "request": request, "expect": expect}


def _located(text: str, key: str, wanted: list[dict[str, JsonValue]]) -> tuple[WantedSpan, ...]:
    """Find expected spans in the text, each after the one before it."""
    spans: list[WantedSpan] = []
    after = 0
    for index, item in enumerate(wanted):
        surface, kind, start = item["text"], item.get("type", ""), item.get("start")
        if not isinstance(surface, str) or not surface or not isinstance(kind, str):
            raise CaseError(f"expect.{key}.{index}: `text` and `type` must be texts")
        at = start if isinstance(start, int) else _place(text, surface, after)
        if at is None or text[at : at + len(surface)] != surface:
            raise CaseError(f"expect.{key}.{index}: it does not stand in the text after the one before it")
        after = at + len(surface)
        spans.append(WantedSpan(at, after, kind, {k: v for k, v in item.items() if k not in _NO_FORM}))
    return tuple(spans)


def _place(text: str, surface: str, after: int) -> int | None:
    """Return where a surface stands, as a word of its own where it does somewhere."""
    whole = re.compile(rf"(?<!\w){re.escape(surface)}(?!\w)").search(text, after)
    if whole:
        return whole.start()
    found = text.find(surface, after)
    return found if found >= 0 else None
