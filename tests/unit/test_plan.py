"""The plan: pure tables of what is wanted, of verdicts, classes and errors."""

import itertools

import pytest

from smallmesh.catalogue import Catalogue
from smallmesh_contracts import Answer, ContractError, DataClass, ErrorCode, Evidence, Provenance, Status
from smallmesh_orchestrator.plan import FrontierStep, LocalStep, Planner, out_of_time, stand_in, status_of, whole
from smallmesh_orchestrator.policy import Policy
from tests.support.town import AGENTS, GIVER, catalogue, failed

LOCAL = tuple(AGENTS.values())
SUMMARIZER = LocalStep("summarizer", "summary")
EVIDENCE = Evidence(agent="complexity_router", answer="complexity")
OK = Answer(value={"x": 1})
BROKEN = failed(ErrorCode.MODEL_FAILED, "complexity_router")
LATE = failed(ErrorCode.EXPIRED)
SUMMARY = Answer(value={"summary": "In short."})


@pytest.fixture
def planner():
    return Planner(catalogue(), Policy())


def every_subset_of(names):
    return [c for n in range(1, len(names) + 1) for c in itertools.combinations(names, n)]


@pytest.mark.parametrize("wanted", every_subset_of((*LOCAL, "analysis")))
def test_the_first_steps_are_the_local_answers_wanted_and_the_verdict_where_an_analysis_needs_it(planner, wanted):
    steps = planner.first(wanted)

    needed = (set(wanted) | ({"complexity"} if "analysis" in wanted else set())) - {"analysis"}
    assert {s.answer for s in steps} == needed
    assert all(s.agent == GIVER[s.answer] for s in steps)
    assert len(steps) == len(needed)


@pytest.mark.parametrize("wanted", [("mood",), ("sentiment", "mood"), ("analysis", "mood")])
def test_one_unknown_answer_refuses_the_whole_task_and_says_what_there_is(planner, wanted):
    with pytest.raises(ContractError) as refused:
        planner.first(wanted)

    assert refused.value.info.code is ErrorCode.UNKNOWN_ANSWER
    assert "mood" in refused.value.info.message
    assert all(answer in refused.value.info.message for answer in (*LOCAL, "analysis"))


def test_a_mesh_without_escalation_does_not_know_an_analysis(planner):
    without = Planner(Catalogue(planner.catalogue.agents.values()), Policy())

    with pytest.raises(ContractError) as refused:
        without.first(("analysis",))

    assert refused.value.info.code is ErrorCode.UNKNOWN_ANSWER


VERDICTS = {
    "simple": Answer(value={"verdict": "simple"}),
    "medium": Answer(value={"verdict": "medium"}),
    "complex": Answer(value={"verdict": "complex"}, marked=True),
    "error": BROKEN,
}
SUMMARIES = {"not wanted": None, "there": SUMMARY, "error": failed(ErrorCode.EXPIRED, "summarizer")}


@pytest.mark.parametrize("data_class", list(DataClass))
@pytest.mark.parametrize("summary", SUMMARIES)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_an_analysis_is_had_as_verdict_class_and_summary_say(planner, verdict, summary, data_class):
    answers = {"complexity": VERDICTS[verdict]} | ({"summary": SUMMARIES[summary]} if SUMMARIES[summary] else {})

    step = planner.analysis(data_class, answers)

    match verdict, summary:
        case "error", _:
            assert step == Answer(error=BROKEN.error)
        case "complex", _ if data_class is DataClass.RESTRICTED:
            assert step.error.code is ErrorCode.CLASS_FORBIDDEN
        case "complex", _:
            assert step == FrontierStep("escalation", "analysis", EVIDENCE)
        case _, "not wanted":
            assert step == SUMMARIZER
        case _, "there":
            assert step.value == {"confidence": None, "source": "local_summary", "text": "In short."}
        case _, "error":
            assert step == Answer(error=SUMMARIES["error"].error)


@pytest.mark.parametrize(
    ("verdict", "marked"),
    [("simple", True), ("medium", True), ("complex", False)],
)
def test_the_mark_decides_and_not_the_word(planner, verdict, marked):
    step = planner.analysis(DataClass.PUBLIC, {"complexity": Answer(value={"verdict": verdict}, marked=marked)})

    assert isinstance(step, FrontierStep) is marked


def test_another_answers_mark_does_not_escalate_the_analysis(planner):
    answers = {"complexity": VERDICTS["simple"], "sentiment": Answer(value={}, marked=True)}

    assert planner.analysis(DataClass.PUBLIC, answers) == SUMMARIZER


@pytest.mark.parametrize("data_class", list(DataClass))
def test_a_policy_may_keep_more_in_the_house_and_never_let_restricted_out(data_class):
    strict = Planner(catalogue(), Policy(escalated=frozenset({DataClass.PUBLIC, DataClass.RESTRICTED})))

    step = strict.analysis(data_class, {"complexity": VERDICTS["complex"]})

    assert isinstance(step, FrontierStep) is (data_class is DataClass.PUBLIC)


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([OK], Status.COMPLETED),
        ([OK, OK], Status.COMPLETED),
        ([OK, BROKEN], Status.PARTIAL),
        ([OK, LATE], Status.PARTIAL),
        ([BROKEN], Status.FAILED),
        ([BROKEN, BROKEN], Status.FAILED),
        ([BROKEN, LATE], Status.FAILED),  # not all for want of time
        ([LATE], Status.EXPIRED),
        ([LATE, LATE], Status.EXPIRED),
    ],
)
def test_how_a_task_ended_follows_from_its_answers(answers, status):
    assert status_of({str(i): answer for i, answer in enumerate(answers)}) is status


def test_a_stand_in_says_that_it_is_one_and_who_made_it():
    source = Provenance(model_id="m", prompt_version="p", answered_by="summarizer", waited_ms=1.0, worked_ms=2.0)

    answer = stand_in(Answer(value={"summary": "In short."}, provenance=source, marked=True))

    assert (answer.value["text"], answer.value["source"], answer.provenance) == ("In short.", "local_summary", source)
    assert not answer.marked


def test_a_step_out_of_time_names_itself():
    error = out_of_time("ner").error

    assert (error.code, error.step, error.retryable) == (ErrorCode.EXPIRED, "ner", False)


def test_an_answer_with_neither_value_nor_error_is_the_agents_fault():
    assert whole(Answer(), "ner").error.code is ErrorCode.INVALID_OUTPUT
    assert whole(Answer(value={}), "ner") == Answer(value={})


def test_a_summary_without_text_cannot_stand_in():
    assert stand_in(Answer(value={"other": 1})).error.code is ErrorCode.INVALID_OUTPUT
