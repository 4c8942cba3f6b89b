import asyncio

import pytest

from smallmesh.agent import Agent, Language
from smallmesh.hosting.card import ModelCard
from smallmesh.serving.answering import Answering
from smallmesh.serving.hosts import RulesHost
from smallmesh.serving.source import prompt_version
from smallmesh_contracts import AgentRequest, AgentResult, ContractError, ErrorCode, Lane


class Endless(Agent[AgentRequest, AgentResult]):
    name = answer = "endless"
    description = "Never answers"
    request = AgentRequest
    result = AgentResult
    time_budget_s = 0.01

    async def respond(self, request, model):  # noqa: ARG002 - the form is the seam's
        await asyncio.Event().wait()


async def test_an_agent_slower_than_its_own_budget_has_failed_and_may_be_tried_again(tmp_path):
    answering = Answering(Endless(), RulesHost(), tmp_path)

    with pytest.raises(ContractError) as raised:
        await answering.answer(b'{"text": "x"}', Lane.BULK, budget_s=60, waited_ms=0)

    assert raised.value.info.code is ErrorCode.MODEL_FAILED


async def test_a_tasks_budget_that_ends_first_is_a_timeout(tmp_path):
    class Patient(Endless):
        time_budget_s = 60.0

    answering = Answering(Patient(), RulesHost(), tmp_path)

    with pytest.raises(TimeoutError):
        await answering.answer(b'{"text": "x"}', Lane.BULK, budget_s=0.01, waited_ms=0)


@pytest.fixture
async def clock(monkeypatch):
    """Seconds that the event loop believes to have passed; it goes on only where a test says so."""
    loop = asyncio.get_running_loop()
    now = [loop.time()]
    monkeypatch.setattr(loop, "time", lambda: now[0])
    return now


class LongHost(RulesHost):
    """A host whose model takes 50 seconds for a window."""

    def __init__(self, clock):
        self._clock = clock

    def reader(self, lane, usage, language, on_text=None):  # noqa: ARG002 - the form is the seam's
        async def window(*, done):
            self._clock[0] += 50
            if done:
                usage.count(7)
            await asyncio.sleep(0)

        return window


class Windows(Endless):
    time_budget_s = 60.0

    async def respond(self, request, model):
        for word in request.text.split():
            await model(done=word == "done")
        return AgentResult()


async def test_a_long_text_has_the_agents_budget_for_each_window(tmp_path, clock):
    answering = Answering(Windows(), LongHost(clock), tmp_path)

    answer = await answering.answer(b'{"text": "done done done done"}', Lane.BULK, budget_s=600, waited_ms=0)

    assert answer.provenance.windows == 4


async def test_what_goes_on_without_a_window_being_done_has_failed(tmp_path, clock):
    answering = Answering(Windows(), LongHost(clock), tmp_path)

    with pytest.raises(ContractError, match="nothing came of it"):
        await answering.answer(b'{"text": "done stuck stuck stuck"}', Lane.BULK, budget_s=600, waited_ms=0)


class Polyglot(Endless):
    any_language = True

    async def respond(self, request, model):  # noqa: ARG002 - the form is the seam's
        return AgentResult()


class ForeignHost(RulesHost):
    """A host whose model supports none of the languages it is shown."""

    def __init__(self, language):
        self.language = language

    def language_of(self, text):  # noqa: ARG002 - the form is the seam's
        return self.language


FINNISH = Language("fi", supported=False)


async def test_a_text_in_a_language_that_the_model_does_not_support_is_refused_before_it_is_read(tmp_path):
    answering = Answering(Endless(), ForeignHost(FINNISH), tmp_path)

    with pytest.raises(ContractError) as raised:
        await answering.answer(b'{"text": "x"}', Lane.BULK, budget_s=60, waited_ms=0)

    assert raised.value.info.code is ErrorCode.UNSUPPORTED_LANGUAGE
    assert "'fi'" in raised.value.info.message


@pytest.mark.parametrize("language", [FINNISH, Language("en"), Language()])
async def test_an_agent_for_any_language_answers_and_the_answer_names_it(tmp_path, language):
    answering = Answering(Polyglot(), ForeignHost(language), tmp_path)

    answer = await answering.answer(b'{"text": "x"}', Lane.BULK, budget_s=60, waited_ms=0)

    assert answer.provenance.language == language.code


def card(**said):
    return ModelCard(id="m", file="m.gguf", sha256="0" * 64, architecture="a", quantisation="q", **said)


ENCODER, INSTRUCT = {"engine": "encoder", "pooling": "rank"}, {"engine": "instruct"}


def version(folder, said, prompt, **more):
    (folder / "prompt.toml").write_text(prompt, encoding="utf-8")
    return prompt_version(Endless(), card(**said), folder, **more)


def test_a_prompt_pack_is_part_of_the_prompt_version_of_an_instruct_model_alone(tmp_path):
    without = prompt_version(Endless(), card(**ENCODER), tmp_path)

    assert version(tmp_path, ENCODER, "a") == version(tmp_path, ENCODER, "b") == without
    assert version(tmp_path, INSTRUCT, "a") != version(tmp_path, INSTRUCT, "b")


def test_the_chat_template_is_part_of_it_too(tmp_path):
    versions = {version(tmp_path, INSTRUCT, "a", template=template) for template in ("x", "y", "x")}

    assert len(versions) == 2
