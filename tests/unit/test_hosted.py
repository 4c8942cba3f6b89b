"""An agent's folder made ready in this process: its settings, its rules."""

import threading

import pytest

from smallmesh.agent import Agent, AgentSettings
from smallmesh.catalogue import AgentFolder, CatalogueError
from smallmesh.hosting.card import ModelError
from smallmesh.hosting.instruct.model import InstructModel
from smallmesh.hosting.model import HostedModel
from smallmesh.serving.hosted import hosted
from smallmesh_contracts import AgentRequest, AgentResult, Lane


class CountSettings(AgentSettings):
    limit: int = 3


class Counting(Agent[AgentRequest, AgentResult]):
    name = answer = "counting"
    description = "Counts to a limit"
    request = AgentRequest
    result = AgentResult
    settings = CountSettings()

    def __init__(self):
        self.prepared_on = None

    def prepare(self):
        self.prepared_on = (threading.current_thread(), self.settings.limit)

    async def respond(self, request, model):  # noqa: ARG002 - the form is the seam's
        return AgentResult(confidence=1 / self.settings.limit)


async def test_what_an_operator_set_is_there_when_the_rules_are_loaded_off_the_event_loop(tmp_path, monkeypatch):
    monkeypatch.setenv("SMALLMESH_COUNTING_LIMIT", "4")
    agent = Counting()

    async with hosted(AgentFolder(agent, tmp_path)) as answering:
        answer = await answering.answer(b'{"text": "x"}', Lane.BULK, budget_s=60, waited_ms=0)

    thread, limit = agent.prepared_on
    assert (limit, answer.value["confidence"]) == (4, 0.25)
    assert thread is not threading.main_thread()


async def test_a_setting_changes_the_prompt_version(tmp_path, monkeypatch):
    async with hosted(AgentFolder(Counting(), tmp_path)) as before:
        pass
    monkeypatch.setenv("SMALLMESH_COUNTING_LIMIT", "5")

    async with hosted(AgentFolder(Counting(), tmp_path)) as after:
        assert after.first.prompt_version != before.first.prompt_version


async def test_a_wrong_setting_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SMALLMESH_COUNTING_LIMIT", "many")

    with pytest.raises(CatalogueError, match=r"SMALLMESH_COUNTING_… setting is wrong: limit"):
        async with hosted(AgentFolder(Counting(), tmp_path)):
            pass


@pytest.mark.parametrize(
    ("card", "model"),
    [('engine = "encoder"\npooling = "rank"', HostedModel), ('engine = "instruct"', InstructModel)],
)
async def test_the_card_alone_decides_which_engine_answers(tmp_path, monkeypatch, card, model):
    started = []

    async def start(self):
        started.append(type(self))
        raise ModelError("enough seen")

    monkeypatch.setattr(model, "start", start)
    text = f'[model]\nid = "m"\nfile = "m.gguf"\nsha256 = "{"0" * 64}"\narchitecture = "a"\nquantisation = "q"\n{card}\n'
    (tmp_path / "model.toml").write_text(text, encoding="utf-8")

    with pytest.raises(ModelError, match="enough seen"):
        async with hosted(AgentFolder(Counting(), tmp_path)):
            pass

    assert started == [model]
