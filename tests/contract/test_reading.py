"""What a reader of any age gets from what was written: the same values, whichever way they came."""

import json

import pytest
from pydantic import ValidationError

from smallmesh_contracts import (
    AnalysisResult,
    Answer,
    CancelReply,
    CancelRequest,
    ComplexityRequest,
    ComplexityResult,
    ContractError,
    DataClass,
    Delta,
    EntitiesRequest,
    EntitiesResult,
    Entity,
    EntityType,
    ErrorCode,
    ErrorInfo,
    EscalationStep,
    Evidence,
    LeftOut,
    Provenance,
    SentimentLabel,
    SentimentRequest,
    SentimentResult,
    Span,
    Status,
    Step,
    StepInput,
    StepResult,
    SummaryRequest,
    SummaryResult,
    Task,
    TaskResult,
    Verdict,
    Wire,
    decode,
    schemas,
)

PROVENANCE = Provenance(
    model_id="m", sha256="0" * 64, tier="small", prompt_version="p", answered_by="ner", windows=2, waited_ms=0.5, worked_ms=9.25
)
ENTITY = Entity(start=0, end=4, text="Anna", type=EntityType.PERSON, confidence=0.9, source="rule")
MONEY = Entity(start=0, end=2, text="$5", type=EntityType.MONEY, confidence=0.9, source="rule", value="5", currency="USD")
ENTITIES = EntitiesResult(entities=(ENTITY,), read_by=("model", "rule"))
ANSWER = Answer(value=ENTITIES.model_dump(mode="json"), marked=True, provenance=PROVENANCE)
ERROR = ErrorInfo(code=ErrorCode.EXPIRED, message="too late", retry_after_s=1.0, step="ner")
RESULT = TaskResult(
    task_id="t-1",
    tenant="acme",
    data_class=DataClass.INTERNAL,
    status=Status.PARTIAL,
    answers={"entities": ANSWER, "summary": Answer(error=ERROR)},
    metadata={"queue": 7, "tags": ["a", None]},
    digest="d",
    took_ms=12.5,
)
INPUT = StepInput(text="Anna", instruction="Who?", verdict=Verdict.MEDIUM)
EVIDENCE = Evidence(agent="complexity_router", answer="complexity")
VALUES: tuple[Wire, ...] = (
    Task(text="Anna\x00 \U0001f600", wanted=("entities",), instruction="Who?", timeout_s=3.0, metadata={"a": [1.5]}, replay_of="t-0"),
    RESULT,
    ANSWER,
    PROVENANCE,
    ERROR,
    StepResult(digest="d", answer=ANSWER),
    INPUT,
    Step(digest="d", timeout_s=1.0, request=INPUT),
    EVIDENCE,
    EscalationStep(digest="d", timeout_s=1.0, request=INPUT, evidence=EVIDENCE),
    SentimentRequest(text="a", verdict=Verdict.SIMPLE),
    LeftOut(kind="quote", characters=7),
    Span(start=0, end=1),
    SentimentResult(
        label=SentimentLabel.NEUTRAL, probabilities={"neutral": 1.0}, reasons=("2 windows",), left_out=(LeftOut(kind="log", characters=1),)
    ),
    EntitiesRequest(text="a"),
    ENTITIES,
    ENTITY,
    MONEY,
    SummaryRequest(text="a", max_sentences=2),
    SummaryResult(summary="a", method="extractive", sentences=1, spans=(Span(start=0, end=1),)),
    ComplexityRequest(text="a", instruction="b"),
    ComplexityResult(verdict=Verdict.COMPLEX, probabilities={"complex": 1.0}, reasons=("short",)),
    AnalysisResult(text="a", source="frontier"),
    CancelRequest(task_id="t-1"),
    CancelReply(task_id="t-1", status=Status.CANCELLED, error=ERROR),
    Delta(answer="summary", number=3, text="and so "),
)
BASES = {"AgentRequest", "AgentResult"}
by_name = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)


def test_every_public_model_is_among_the_values_tested():
    assert {type(value).__name__ for value in VALUES} | BASES == {model.__name__ for model in schemas.models()}


@by_name
def test_a_value_is_the_same_after_the_bus(value):
    assert decode(type(value), value.to_bytes()) == value


@by_name
def test_a_value_is_the_same_from_python_and_from_decoded_json(value):
    assert type(value).model_validate(value.model_dump()) == value
    assert type(value).model_validate(json.loads(value.to_bytes())) == value


@by_name
def test_fields_that_a_newer_minor_version_added_are_ignored(value):
    newer = json.loads(value.to_bytes()) | {"added_later": {"deep": [1]}}

    assert decode(type(value), json.dumps(newer).encode()) == value


@by_name
def test_a_value_cannot_be_changed(value):
    field = next(iter(type(value).model_fields))

    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, field, getattr(value, field))


@pytest.mark.parametrize(
    ("model", "body", "field"),
    [
        (SentimentRequest, '{"text":3}', "text"),
        (SummaryRequest, '{"text":"a","max_sentences":"2"}', "max_sentences"),
        (SummaryRequest, '{"text":"a","max_sentences":2.5}', "max_sentences"),
        (SummaryRequest, '{"text":"a","max_sentences":0}', "max_sentences"),
        (SentimentRequest, '{"text":" \\n\\t"}', "text"),
        (SentimentRequest, '{"text":null}', "text"),
        (SentimentRequest, "{}", "text"),
        (ComplexityRequest, '{"text":"a","instruction":["b"]}', "instruction"),
        (Step, '{"digest":"d","timeout_s":NaN,"request":{"text":"a"}}', "timeout_s"),
        (Step, '{"digest":"d","timeout_s":1,"request":"a"}', "request"),
        (SentimentResult, '{"label":"positive","probabilities":{"positive":1.5}}', "probabilities"),
        (EscalationStep, '{"digest":"d","timeout_s":1,"request":{"text":"a"}}', "evidence"),
    ],
)
def test_wrong_types_and_bounds_are_refused_by_name_of_the_field(model, body, field):
    with pytest.raises(ContractError, match=rf"{model.__name__}: {field}") as refused:
        decode(model, body.encode())

    assert refused.value.info.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    ("value", "field", "read"),
    [
        (RESULT, "status", Status.OTHER),
        (ENTITY, "type", EntityType.OTHER),
        (ENTITY, "source", "other"),
        (SummaryResult(summary="a", method="extractive", sentences=1, spans=(Span(start=0, end=1),)), "method", "other"),
        (AnalysisResult(text="a", source="frontier"), "source", "other"),
        (ERROR, "code", ErrorCode.INTERNAL),
    ],
)
def test_a_name_that_a_newer_minor_version_added_is_other_to_its_reader_and_refused_to_its_maker(value, field, read):
    newer = json.loads(value.to_bytes()) | {field: "added_later"}

    assert decode(type(value), json.dumps(newer).encode()) == value.model_copy(update={field: read})
    with pytest.raises(ValidationError, match=field):
        type(value).model_validate(newer)


def test_a_data_class_that_a_reader_does_not_know_is_refused_and_never_guessed_at():
    newer = json.loads(RESULT.to_bytes()) | {"data_class": "added_later"}

    with pytest.raises(ContractError, match="data_class"):
        decode(TaskResult, json.dumps(newer).encode())


def test_an_answers_value_is_read_as_the_agents_result():
    assert ANSWER.value_as(EntitiesResult) == ENTITIES


def test_an_unknown_name_inside_an_answer_is_other_too():
    value = {"entities": [ENTITY.model_dump(mode="json") | {"type": "PLANET"}]}

    assert Answer(value=value).value_as(EntitiesResult).entities[0].type is EntityType.OTHER


@pytest.mark.parametrize("answer", [Answer(error=ERROR), Answer(value={"entities": 3})], ids=["an error", "another value"])
def test_an_answer_without_such_a_value_is_a_typed_error(answer):
    with pytest.raises(ContractError, match="EntitiesResult") as refused:
        answer.value_as(EntitiesResult)

    assert refused.value.info.code is ErrorCode.INVALID_REQUEST


def test_without_a_verdict_a_step_is_what_it_was_before_there_were_any():
    assert json.loads(StepInput(text="a").to_bytes()) == {"text": "a", "instruction": None}
    assert "verdict" not in json.loads(SentimentRequest(text="a").to_bytes())


@pytest.mark.parametrize("model", [StepInput, SentimentRequest, SummaryRequest])
def test_a_verdict_of_a_later_version_is_none_to_a_reader_and_no_mistake_of_the_sender(model):
    assert decode(model, b'{"text":"a","verdict":"hopeless"}').verdict is None
    assert decode(model, b'{"text":"a","verdict":null}').verdict is None


def test_whoever_makes_a_request_is_held_to_the_verdicts_there_are():
    with pytest.raises(ValidationError, match="verdict"):
        SentimentRequest.model_validate({"text": "a", "verdict": "hopeless"})


def test_a_reader_from_before_verdicts_reads_a_step_that_has_one():
    class Earlier(Wire):
        text: str
        instruction: str | None = None

    assert decode(Earlier, INPUT.to_bytes()) == Earlier(text="Anna", instruction="Who?")
