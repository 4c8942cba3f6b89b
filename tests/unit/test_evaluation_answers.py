"""An agent that answers cases in this process, with a model that says what it is told."""

import json
from dataclasses import dataclass

import pytest

from smallmesh.agent import Agent, Language, Usage, WindowScores
from smallmesh.evaluation.answers import Counted
from smallmesh.evaluation.child import peak_mb, resident_mb
from smallmesh.serving.answering import Answering
from smallmesh.serving.hosts import RulesHost
from smallmesh.testing.stub_model import StubModel
from smallmesh_contracts import AgentRequest, ErrorCode, Lane, SentimentResult


class Judges(Agent[AgentRequest, SentimentResult]):
    name = answer = "judges"
    description = "Judges"
    request = AgentRequest
    result = SentimentResult

    async def respond(self, request, model):
        if request.text == "break":
            raise ZeroDivisionError
        if request.text == "invent":
            return SentimentResult.model_construct(label="furious", probabilities={})
        (scores,) = await model.classify(request.text)
        return SentimentResult(label=max(scores.probabilities, key=scores.probabilities.get), probabilities=scores.probabilities)


@dataclass
class CountingStub(RulesHost):
    """A host whose model takes as many tokens as a text has words."""

    lane: Lane | None = None

    def reader(self, lane: Lane, usage: Usage, language: Language, on_text=None):  # noqa: ARG002 - the form is the seam's
        self.lane = lane
        stub = StubModel(windows=[WindowScores(0, 1, 3, {"neutral": 0.9, "positive": 0.1})], language=language)
        usage.windows, usage.tokens = 1, 3
        return stub


@pytest.fixture
def host():
    return CountingStub()


@pytest.fixture
def counted(host, tmp_path):
    return Counted(Answering(Judges(), host, tmp_path))


def body(text):
    return json.dumps({"text": text}).encode()


async def test_an_outcome_has_the_answer_and_what_it_took(counted):
    outcome = await counted.answer(body("Fine, I suppose."))

    assert outcome.value["label"] == "neutral"
    assert (outcome.tokens, outcome.windows) == (3, 1)
    assert outcome.ms > 0


@pytest.mark.parametrize(
    ("request_body", "code"),
    [
        (body("break"), ErrorCode.MODEL_FAILED),
        (body("invent"), ErrorCode.INVALID_OUTPUT),
        (body(""), ErrorCode.INVALID_REQUEST),
        (b"{", ErrorCode.INVALID_REQUEST),
    ],
)
async def test_every_failure_is_an_outcome_with_its_code(counted, request_body, code):
    outcome = await counted.answer(request_body)

    assert outcome.error.code is code
    assert outcome.value is None


async def test_what_a_failed_case_took_is_not_what_the_one_before_took(counted):
    await counted.answer(body("Fine."))

    assert (await counted.answer(b"{")).tokens == 0


@pytest.mark.parametrize(("length", "lane"), [(10, Lane.INTERACTIVE), (40_000, Lane.BULK)])
async def test_a_text_that_is_too_long_to_wait_for_goes_by_the_bulk_lane(counted, host, length, lane):
    await counted.answer(body("x" * length))

    assert host.lane is lane


def test_what_answers_is_told_as_every_answer_tells_it(counted):
    assert (counted.served.model_id, counted.served.sha256) == ("rules", None)
    assert counted.served.prompt_version


def test_memory_is_in_megabytes_and_its_peak_is_no_less_than_what_there_is():
    assert peak_mb() >= (resident_mb("VmRSS") or 1.0) > 0.5
