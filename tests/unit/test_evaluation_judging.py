"""One answer held against its case: what is right, what is costly, what it adds to the figures."""

import json

import pytest

from smallmesh.agent import Agent
from smallmesh.evaluation.answers import Outcome
from smallmesh.evaluation.cases import read_cases
from smallmesh.evaluation.judging import judge
from smallmesh_contracts import AgentRequest, EntitiesResult, ErrorCode, ErrorInfo, SentimentResult, SummaryRequest, SummaryResult

TEXT = "Call +49 30 23125 044 or pay 5 € to Ann."
PHONE = {"text": "+49 30 23125 044", "type": "PHONE", "value": "+493023125044"}
MONEY = {"text": "5 €", "type": "MONEY", "value": "5", "currency": "EUR"}


class Judges(Agent[AgentRequest, SentimentResult]):
    name = answer = "judges"
    description = "Judges"
    request = AgentRequest
    result = SentimentResult

    async def respond(self, request, model):  # pragma: no cover - never asked
        raise NotImplementedError


class Finds(Judges):
    result = EntitiesResult


class Shortens(Judges):
    request = SummaryRequest
    result = SummaryResult


@pytest.fixture
def judged(tmp_path):
    """Judge one answer of one agent, which is wrong as such where it is an error code."""

    def judged(agent, line, answer):
        file = tmp_path / "cases.jsonl"
        file.write_text(json.dumps(line), encoding="utf-8")
        data = read_cases(file, agent)
        assert not data.broken
        told = {"error": ErrorInfo(code=answer, message="no")} if isinstance(answer, ErrorCode) else {"value": answer}
        return judge(agent, data.cases[0], Outcome(**told, ms=1.0))

    return judged


def label(name, confidence=0.9):
    return {"label": name, "probabilities": {name: confidence}, "confidence": confidence}


def summary(text):
    return {"summary": text, "method": "extractive", "sentences": 1}


def found(*spans):
    items = []
    for text, kind, *value in spans:
        start = TEXT.index(text)
        items.append({"start": start, "end": start + len(text), "text": text, "type": kind, "confidence": 0.9, "source": "rule"})
        items[-1].update(zip(("value", "currency"), value, strict=False))
    return {"entities": items}


ANGRY = {"text": "Never again.", "label": "negative", "costly": {"name": "taken for praise", "when": {"label": "positive"}, "weight": 5}}


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("answer", "costly", "got"),
    [
        (label("negative"), (), 5.0),
        (label("neutral"), (), 4.0),
        (label("positive"), ("taken for praise",), 0.0),
        (ErrorCode.MODEL_FAILED, (), 4.0),
    ],
    ids=["right", "an ordinary mistake", "the costly one", "no answer"],
)
def test_a_case_weighs_what_its_costly_mistake_would_cost_and_an_ordinary_one_costs_one(judged, answer, costly, got):
    one = judged(Judges(), ANGRY, answer)

    assert (one.passed, one.score, one.costly) == (got == 5.0, float(got == 5.0), costly)
    assert (one.sums.get("share:score:got", 0.0), one.sums["share:score:of"]) == (got, 5.0)


def test_classes_are_counted_for_f1(judged):
    sums = judged(Judges(), ANGRY, label("neutral")).sums

    assert {name: value for name, value in sums.items() if name.startswith("class:")} == {
        "class:label:wanted:negative": 1.0,
        "class:label:found:neutral": 1.0,
    }


def test_confidence_is_sorted_into_its_bin_with_what_came_of_it(judged):
    sure = judged(Judges(), ANGRY, label("negative", 0.5)).sums
    wrong = judged(Judges(), ANGRY, label("neutral", 1.0)).sums

    assert (sure["bin:ece:sure:07"], sure["bin:ece:right:07"]) == (0.5, 1.0)
    assert wrong["bin:ece:sure:14"] == 1.0
    assert "bin:ece:right:14" not in wrong


def test_an_error_is_wrong_in_every_respect_and_no_class_was_found(judged):
    one = judged(Judges(), ANGRY, ErrorCode.UNSUPPORTED_LANGUAGE)

    assert one.error == "unsupported_language"
    assert "share:valid:got" not in one.sums
    assert not [name for name in one.sums if ":found:" in name or name.startswith("bin:")]


@pytest.mark.parametrize("answer", [{"label": "furious"}, None, {"label": "negative", "probabilities": {"negative": 7}}])
def test_an_answer_that_is_no_result_of_the_agent_is_invalid_output(judged, answer):
    assert judged(Judges(), ANGRY, answer).error == "invalid_output"


def test_an_answer_whose_offsets_are_not_those_of_the_text_is_invalid_output(judged):
    answer = found(("Ann", "PERSON"))
    answer["entities"][0]["start"] -= 1

    assert judged(Finds(), {"text": TEXT, "entities": []}, answer).error == "invalid_output"


# ---------------------------------------------------------------- spans


def test_spans_count_where_place_and_type_are_exactly_right(judged):
    line = {"text": TEXT, "entities": [PHONE, MONEY]}

    one = judged(Finds(), line, found(("+49 30 23125 044", "PHONE"), ("5", "MONEY"), ("Ann", "PERSON")))

    assert {name: value for name, value in one.sums.items() if name.startswith("span:")} == {
        "span:entities:wanted:PHONE": 1.0,
        "span:entities:wanted:MONEY": 1.0,
        "span:entities:found:PHONE": 1.0,
        "span:entities:found:MONEY": 1.0,
        "span:entities:found:PERSON": 1.0,
        "span:entities:hit:PHONE": 1.0,
    }
    assert (one.passed, one.score) == (False, pytest.approx(2 / 5))


@pytest.mark.parametrize(
    ("value", "right"),
    [(("5", "EUR"), True), (("5.00", "EUR"), True), (("5", "USD"), False), (("50", "EUR"), False), ((None, None), False)],
)
def test_the_normal_form_is_judged_apart_where_the_place_is_right(judged, value, right):
    one = judged(Finds(), {"text": TEXT, "entities": [MONEY]}, found(("5 €", "MONEY", *value)))

    assert one.passed
    assert one.sums.get("share:entities.normal_form:got", 0.0) == right
    assert one.sums["share:entities.normal_form:of"] == 1.0


def test_nothing_to_find_and_nothing_found_is_right(judged):
    one = judged(Finds(), {"text": TEXT, "entities": []}, {"entities": []})

    assert (one.passed, one.score) == (True, 1.0)


@pytest.mark.parametrize(
    ("answer", "costly"),
    [
        (found(("+49 30 23125 044", "PHONE")), ()),
        (found(("30 23125 044", "PHONE")), ()),
        (found(("30 23125 044", "DATE")), ("number missed",)),
        (found(), ("number missed",)),
        (found(("5 €", "PHONE")), ("number missed", "number made up")),
    ],
    ids=["right", "a boundary that is off", "another type", "nothing", "somewhere else"],
)
def test_a_span_is_missed_where_nothing_of_its_type_overlaps_it_and_invented_the_other_way_round(judged, answer, costly):
    mistakes = [
        {"name": "number missed", "when": {"missed": "PHONE"}, "weight": 5},
        {"name": "number made up", "when": {"invented": "PHONE"}, "weight": 3},
    ]

    assert judged(Finds(), {"text": TEXT, "entities": [PHONE], "costly": mistakes}, answer).costly == costly


# ---------------------------------------------------------------- texts


LINE = {
    "request": {"text": "The pump leaks. It rained. Replace it by Friday."},
    "references": {"summary": ["The pump leaks and must be replaced by Friday.", "Other words."]},
}


def test_a_text_is_as_good_as_the_reference_it_is_most_like_and_stands_beside_the_first_words(judged):
    one = judged(Shortens(), LINE, summary("Replace it by Friday."))

    assert one.sums["share:summary.rouge_l:got"] == pytest.approx(2 * 2 / (4 + 9), abs=1e-6)
    assert one.sums["share:summary.rouge_l:plain"] == pytest.approx(2 * 3 / (4 + 9), abs=1e-6)
    assert one.passed is None


def test_facts_are_kept_whatever_their_case_and_white_space_and_what_does_not_belong_is_not(judged):
    line = {**LINE, "contains": {"summary": ["the PUMP leaks", "by\nFriday"]}, "lacks": {"summary": ["it rained"]}}

    one = judged(Shortens(), line, summary("The pump  leaks. It rained."))

    assert (one.sums["share:summary.contains:got"], one.sums["share:summary.contains:of"]) == (1.0, 2.0)
    assert "share:summary.lacks:got" not in one.sums
    assert (one.passed, one.score) == (False, 0.25)


@pytest.mark.parametrize(
    ("said", "costly"),
    [("Replace it by Friday.", ()), ("It rained.", ("deadline lost", "small talk")), ("The pump leaks.", ("deadline lost",))],
)
def test_a_lost_fact_and_a_text_that_does_not_belong_can_be_costly(judged, said, costly):
    mistakes = [
        {"name": "deadline lost", "when": {"missed": "by Friday"}, "weight": 3},
        {"name": "small talk", "when": {"invented": "It rained"}, "weight": 2},
    ]
    line = {**LINE, "contains": {"summary": ["by Friday"]}, "lacks": {"summary": ["It rained"]}, "costly": mistakes}

    assert judged(Shortens(), line, summary(said)).costly == costly


def test_an_error_has_kept_no_fact_and_left_out_nothing(judged):
    line = {**LINE, "contains": {"summary": ["Friday"]}, "lacks": {"summary": ["rained"]}}

    one = judged(Shortens(), line, ErrorCode.EXPIRED)

    assert (one.passed, one.score) == (False, 0.0)
    assert not [name for name in one.sums if name.endswith(":got") and not name.startswith("share:score")]


def test_no_text_stands_in_what_is_kept(judged):
    line = {**LINE, "contains": {"summary": ["by Friday"]}, "lacks": {"summary": ["It rained"]}}

    kept = json.dumps(judged(Shortens(), line, summary("It rained.")).sums)

    assert "rained" not in kept
    assert "Friday" not in kept
