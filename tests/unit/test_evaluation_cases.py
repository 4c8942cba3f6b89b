"""Lines of JSON into cases, or into a reason why not."""

import json
import re
from pathlib import Path
from typing import Literal

import pytest

from smallmesh.agent import Agent
from smallmesh.evaluation.cases import read_cases
from smallmesh.evaluation.fields import closed_values
from smallmesh_contracts import AgentRequest, AgentResult, EntitiesResult, SentimentLabel, SentimentResult, Verdict


class Reads(AgentRequest):
    """A text, and what is wanted of it."""

    instruction: str | None = None


class Judges(Agent[Reads, SentimentResult]):
    name = answer = "judges"
    description = "Judges"
    request = Reads
    result = SentimentResult

    async def respond(self, request, model):  # pragma: no cover - never asked
        raise NotImplementedError


class Finds(Judges):
    name = answer = "finds"
    result = EntitiesResult


@pytest.fixture
def read(tmp_path):
    """Read lines, given as bytes or as what is to become JSON."""

    def read(*lines, agent=None, limit=None):
        file = tmp_path / "cases.jsonl"
        file.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
        return read_cases(file, agent or Judges(), limit)

    return read


def case(expect, **more):
    return {"request": {"text": "Ann met Ann of Annapolis."}, "expect": expect, **more}


def spans(*wanted):
    return case({"entities": [dict(zip(("text", "type"), span, strict=True)) for span in wanted]})


def test_a_case_is_read_with_its_request_and_what_it_expects(read):
    line = {
        "id": "a-1",
        "request": {"text": "Fine.", "instruction": "how?"},
        "expect": {"label": "positive"},
        "references": {"reasons": ["good"]},
        "tags": ["mail"],
        "note": "easy",
        "costly": {"name": "taken for anger", "when": {"label": "negative"}, "weight": 5},
    }

    (found,) = read(line).cases

    assert (found.id, found.text, json.loads(found.body)) == ("a-1", "Fine.", line["request"])
    assert found.values == {"label": "positive"}
    assert [(one.name, one.weight) for one in found.costly] == [("taken for anger", 5)]


def test_a_plain_line_is_sorted_into_request_and_expectation_by_the_agents_fields(read):
    (found,) = read({"text": "Fine.", "label": "positive", "confidence": 0.3, "customer": 4711}).cases

    assert (json.loads(found.body), found.values, found.id) == ({"text": "Fine."}, {"label": "positive"}, "line-1")


def test_a_plain_line_keeps_what_a_case_may_say_besides(read):
    (found,) = read(
        {"id": 7, "text": "Fine.", "label": "positive", "costly": [{"name": "x", "when": {"label": "neutral"}, "weight": 2}]}
    ).cases

    assert (found.id, len(found.costly)) == ("7", 1)


def test_a_broken_line_is_told_by_its_number_and_the_rest_goes_on(read):
    good = {"text": "Fine.", "label": "positive"}

    data = read(good, b"{", b"", {**good, "id": "b"})

    assert [one.id for one in data.cases] == ["line-1", "b"]
    assert [one.line for one in data.broken] == [2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "not JSON"),
        (b'{"text": "\xff"}', "not JSON"),
        (b'{"text": "\\ud800", "label": "positive"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'"a text"', "not a JSON object"),
        ({"text": "", "label": "positive"}, "empty"),
        ({"label": "positive"}, "text: Field required"),
        ({"text": "x"}, "expects nothing"),
        ({"text": "x", "label": "good"}, "negative, neutral, positive"),
        ({"request": {"text": "x"}, "expect": {"lable": "positive"}}, "no 'lable'; it has confidence, label"),
        ({"request": {"text": "x", "txt": "y"}, "expect": {"label": "positive"}}, "does not read txt"),
        ({"request": {"text": "x"}, "expects": {}}, "expects"),
        ({"request": {"text": "x"}, "contains": {"label": []}}, "contains.label"),
        ({"text": "x", "label": "positive", "costly": {"name": "c", "when": {"label": "positive"}, "weight": 2}}, "what the case expects"),
        ({"text": "x", "label": "positive", "costly": {"name": "c", "when": {"label": "negative"}, "weight": 0}}, "weight"),
        ({"text": "x", "label": "positive", "costly": {"name": "c", "when": {"missed": "PHONE"}, "weight": 2}}, "`missed` must be"),
        ({"text": "x", "label": "positive", "costly": {"name": "c", "when": {"invented": "PHONE"}, "weight": 2}}, "`invented` must be"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_without_its_texts(read, line, reason):
    data = read(line)

    assert not data.cases
    (broken,) = data.broken
    assert reason in broken.reason


def test_a_second_case_of_the_same_id_is_a_broken_line(read):
    same = {"id": "a", "text": "Fine.", "label": "positive"}

    assert [(one.line, one.reason) for one in read(same, same).broken] == [(2, "another line has this id")]


def test_the_first_cases_of_a_file_are_those_that_can_be_read(read):
    lines = [b"{", *({"text": f"{n}", "label": "neutral"} for n in range(5))]

    data = read(*lines, limit=2)

    assert [one.id for one in data.cases] == ["line-2", "line-3"]
    assert (data.limit, len(data.broken)) == (2, 1)


def test_the_data_set_is_named_by_its_file_and_told_by_its_bytes(read):
    one, other = read({"text": "x", "label": "neutral"}), read({"text": "y", "label": "neutral"})

    assert one.name == "cases.jsonl"
    assert one.sha256 != other.sha256


# ---------------------------------------------------------------- places in the text


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([("Ann", "PERSON"), ("Ann", "PERSON")], [(0, 3), (8, 11)]),
        ([("Annapolis", "LOCATION")], [(15, 24)]),
        ([("nap", "LOCATION")], [(17, 20)]),
        ([], []),
    ],
    ids=["each after the one before", "a word of its own", "part of a word where it is nowhere else", "none"],
)
def test_expected_spans_are_found_from_left_to_right(read, wanted, places):
    (found,) = read(spans(*wanted), agent=Finds()).cases

    assert [(span.start, span.end) for span in found.spans["entities"]] == places


def test_a_word_of_its_own_goes_before_a_part_of_one(read):
    (found,) = read({"text": "Annapolis, then Ann", "entities": [{"text": "Ann", "type": "PERSON"}]}, agent=Finds()).cases

    assert [(span.start, span.end) for span in found.spans["entities"]] == [(16, 19)]


def test_a_span_may_say_where_it_begins(read):
    (found,) = read({"text": "Ann, Ann", "entities": [{"text": "Ann", "type": "PERSON", "start": 5}]}, agent=Finds()).cases

    assert found.spans["entities"][0].start == 5


def test_what_else_a_span_says_is_its_normal_form(read):
    span = {"text": "5 €", "type": "MONEY", "start": 0, "end": 3, "source": "rule", "confidence": 0.9, "value": "5", "currency": "EUR"}

    (found,) = read({"text": "5 €", "entities": [span]}, agent=Finds()).cases

    assert found.spans["entities"][0].normal == {"value": "5", "currency": "EUR"}


@pytest.mark.parametrize(
    ("span", "reason"),
    [
        ({"text": "Bob", "type": "PERSON"}, "does not stand in the text"),
        ({"text": "Ann", "type": "PERSON", "start": 1}, "does not stand in the text"),
        ({"text": "Ann", "type": "PER"}, "PERSON, ORGANIZATION"),
        ({"text": "Ann", "type": "PERSON", "valu": "1"}, "there is no valu"),
        ({"text": "", "type": "PERSON"}, "must be texts"),
    ],
)
def test_a_span_that_cannot_be_is_a_broken_line(read, span, reason):
    (broken,) = read(case({"entities": [span]}), agent=Finds()).broken

    assert reason in broken.reason


# ---------------------------------------------------------------- fields


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (Verdict, ("simple", "medium", "complex")),
        (SentimentLabel | None, ("negative", "neutral", "positive")),
        (Literal["a", 1], ("a", 1)),
        (bool, (False, True)),
        (str, None),
        (SentimentLabel | str, None),
        (tuple[str, ...], None),
    ],
)
def test_classes_are_the_values_of_a_closed_list_only(annotation, values):
    assert closed_values(annotation) == values


class Nothing(Judges):
    name = answer = "nothing"
    result = AgentResult


def test_an_agent_may_have_a_result_without_fields_of_its_own(read):
    (broken,) = read({"text": "x", "label": "positive"}, agent=Nothing()).broken

    assert "expects nothing" in broken.reason


# ---------------------------------------------------------------- the page

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_of_the_page_is_a_case(read, example):
    data = read(example, agent=Finds() if "entities" in example.get("expect", {}) else Judges())

    assert not data.broken
    assert len(data.cases) == 1
