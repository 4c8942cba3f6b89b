"""An agent with a second model: ``medium`` requests go to it, and every answer says which of the two it comes from."""

import asyncio
import json

import pytest

from smallmesh.agent import Agent, Language
from smallmesh.bus.layout import step_consumers
from smallmesh.bus.memory import MemoryBus
from smallmesh.catalogue import AgentFolder
from smallmesh.hosting.card import ModelCard, ModelError
from smallmesh.retry import RetryPolicy
from smallmesh.serving import hosted as hosting
from smallmesh.serving.answering import Answering
from smallmesh.serving.asking import ask_service
from smallmesh.serving.hosted import hosted
from smallmesh.serving.hosts import RulesHost
from smallmesh.serving.in_hand import InHand
from smallmesh.serving.movement import HEARTBEATS_A_WAIT, STUCK_WAITS
from smallmesh.serving.process import Life
from smallmesh.serving.serve import _stuck, _told
from smallmesh.serving.workers import agent_worker
from smallmesh.tasks import end
from smallmesh_contracts import (
    AgentRequest,
    AgentResult,
    Answer,
    ContractError,
    ErrorCode,
    Lane,
    Step,
    StepInput,
    StepResult,
    Verdict,
    decode,
    subjects,
)
from tests.support.patience import until

PACK = "no pack that is read"


class Says(AgentResult):
    """What a model said."""

    said: str


class Asking(Agent[AgentRequest, Says]):
    name = answer = "asking"
    description = "Says what its model says"
    request = AgentRequest
    result = Says

    async def respond(self, request, model):
        return Says(said=await model(request))


class Model(RulesHost):
    """A host of a model that says its own id, and notes when it is started and stopped."""

    def __init__(self, tier, engine="instruct", *, writes=False, speaks=("en", "fi")):
        pooling = "rank" if engine == "encoder" else None
        about = {"file": "m.gguf", "sha256": tier[0] * 64 if tier[0] in "abcdef" else "0" * 64, "architecture": "a", "quantisation": "q"}
        self.card = ModelCard(id=f"{tier}-model", tier=tier, engine=engine, pooling=pooling, **about)
        self.template_sha256 = f"template of {tier}"
        self.writes, self.speaks = writes, speaks
        self.heard = []
        self.abandoned = None
        self.go = asyncio.Event()
        self.go.set()

    def language_of(self, text):
        return Language(text[:2], supported=text[:2] in self.speaks)

    def abandon(self, why):
        self.abandoned = why

    def reader(self, _lane, _usage, _language, on_text=None):
        self.heard.append(on_text)

        async def say(_request):
            await self.go.wait()
            return self.card.id

        return say


@pytest.fixture
def small():
    return Model("embedded", "encoder", speaks=("en",))


@pytest.fixture
def medium():
    return Model("medium", writes=True)


@pytest.fixture
def both(small, medium, tmp_path):
    (tmp_path / "prompt.toml").write_text(PACK, encoding="utf-8")
    return Answering(Asking(), small, tmp_path, medium)


@pytest.fixture
def alone(small, tmp_path):
    return Answering(Asking(), small, tmp_path)


async def answered(answering, **request):
    body = json.dumps({"text": "en: hello", **request}).encode()
    return await answering.answer(body, Lane.INTERACTIVE, budget_s=10, waited_ms=0)


# ---------------------------------------------------------------- which one answers


@pytest.mark.parametrize("verdict", [None, *Verdict, "of a later version"])
async def test_medium_requests_go_to_the_second_model_and_all_others_to_the_first(both, verdict):
    answer = await answered(both, **({"verdict": verdict} if verdict else {}))

    tier = "medium" if verdict == "medium" else "embedded"
    assert answer.value["said"] == f"{tier}-model"
    assert (answer.provenance.model_id, answer.provenance.tier) == (f"{tier}-model", tier)


async def test_the_provenance_is_wholly_that_of_the_model_that_answered(both, medium):
    plain, harder = await answered(both), await answered(both, verdict="medium")

    assert harder.provenance.sha256 == medium.card.sha256
    assert harder.provenance.prompt_version != plain.provenance.prompt_version
    assert harder.provenance.prompt_version == both.next.prompt_version


@pytest.mark.parametrize("verdict", [None, *Verdict])
async def test_with_one_model_it_answers_everything_and_says_so(alone, verdict):
    answer = await answered(alone, **({"verdict": verdict} if verdict else {}))

    assert (answer.provenance.model_id, answer.provenance.tier) == ("embedded-model", "embedded")


async def test_rules_are_no_tier(tmp_path):
    class Ruled(Asking):
        async def respond(self, request, model):  # noqa: ARG002 - the form is the seam's
            return Says(said="a rule")

    answer = await answered(Answering(Ruled(), RulesHost(), tmp_path), verdict="medium")

    assert (answer.provenance.model_id, answer.provenance.tier) == ("rules", None)


async def test_the_languages_are_those_of_the_model_that_answers(both):
    with pytest.raises(ContractError) as refused:
        await answered(both, text="fi: terve")

    assert refused.value.info.code is ErrorCode.UNSUPPORTED_LANGUAGE
    assert (await answered(both, text="fi: terve", verdict="medium")).provenance.language == "fi"


async def test_an_ask_may_say_the_verdict_itself(both):
    endpoint = ask_service(both, "1.0.0", {}).endpoints[0]

    class Call:
        body, headers = StepInput(text="en: hello", verdict=Verdict.MEDIUM).to_bytes(), {}

    answer = decode(Answer, (await endpoint.handler(Call())).body)

    assert answer.provenance.tier == "medium"


def test_a_replica_tells_of_its_second_model_and_of_none_where_there_is_none(both, alone):
    told = _told(both)

    assert (told["model_id"], told["tier"]) == ("embedded-model", "embedded")
    assert (told["next_model_id"], told["next_tier"]) == ("medium-model", "medium")
    assert not {"next_model_id", "next_tier"} & _told(alone).keys()


# ---------------------------------------------------------------- steps


class Bench:
    """A worker of an agent with two models over a bus in memory."""

    def __init__(self, answering, address):
        self.bus, self.address = MemoryBus(stop_grace_s=0.0), address
        self.in_hand = InHand(self.bus, *(source.movement for source in answering.sources))
        self.worker = agent_worker(answering, self.bus, RetryPolicy(), self.in_hand)

    async def publish(self, verdict):
        step = Step(digest="d" * 64, timeout_s=30.0, request=StepInput(text="en: hello", verdict=verdict))
        assert await self.bus.store(subjects.work("asking", Lane.INTERACTIVE, self.address), step.to_bytes())
        return await self.bus.consume(step_consumers("asking")[Lane.INTERACTIVE], self.worker.handle, slots=4)

    async def answer(self):
        found = await until(lambda: self.bus.read(subjects.result(self.address, "asking", "asking")), "a result")
        return decode(StepResult, found.body).answer


@pytest.fixture
def bench(both, new_address):
    return Bench(both, new_address())


@pytest.mark.parametrize("verdict", [Verdict.SIMPLE, Verdict.MEDIUM])
async def test_a_step_is_answered_by_the_model_of_its_verdict_and_heard_where_that_one_writes(bench, small, medium, verdict):
    taking = await bench.publish(verdict)

    answer = await bench.answer()

    await taking.stop()
    model = medium if verdict is Verdict.MEDIUM else small
    assert answer.provenance.model_id == model.card.id
    assert [on_text is not None for on_text in model.heard] == [model.writes]


@pytest.mark.parametrize(("verdict", "lives"), [(Verdict.SIMPLE, True), (Verdict.MEDIUM, False)])
async def test_a_step_gives_signs_of_life_while_its_own_model_moves_whatever_the_other_does(bench, small, medium, verdict, lives):
    small.go.clear()
    medium.go.clear()
    medium.turn = 7  # and goes on with it for ever
    taking = await bench.publish(verdict)
    await until(lambda: small.heard or medium.heard, "a model is asked")
    (held,) = bench.in_hand._held.values()

    for movement in bench.in_hand.movements * 2:
        movement.look()

    assert bench.in_hand._lives(held) is lives
    small.go.set()
    medium.go.set()
    await taking.stop()


@pytest.mark.parametrize("which", ["first", "next"])
async def test_a_process_ends_where_either_model_is_stuck_and_the_other_one_may_finish(bench, both, which, soon):
    stuck, other = (source.host for source in (both.sources if which == "first" else reversed(both.sources)))
    stuck.turn = 7
    life = Life()

    beating = asyncio.create_task(bench.in_hand.beat(0.001, lambda: _stuck(both, life)))
    await soon(life.ended())
    await end(beating)

    assert stuck.abandoned.info.code is ErrorCode.UNAVAILABLE
    assert other.abandoned is None
    assert bench.in_hand.stuck
    assert both.sources[which == "next"].movement.still >= STUCK_WAITS * HEARTBEATS_A_WAIT
    assert "does not move" in life.failure


# ---------------------------------------------------------------- loading


@pytest.fixture
def loading(monkeypatch, tmp_path):
    """Have two models in use; note what happens, in order; ``refused`` is raised by what is in it."""
    (tmp_path / "prompt.toml").write_text(PACK, encoding="utf-8")
    events, refused = [], {}

    class Loaded(Model):
        async def start(self):
            events.append(f"start {self.card.tier}")
            if self.card.tier in refused:
                raise refused[self.card.tier]

        async def stop(self):
            events.append(f"stop {self.card.tier}")

    def judged(tier):
        def card(_folder, _chosen, asked_for):
            if asked_for not in (None, tier):
                return None
            events.append(f"memory for {tier}")
            if f"memory for {tier}" in refused:
                raise refused[f"memory for {tier}"]
            return Loaded(tier).card, tmp_path

        return card

    monkeypatch.setattr(hosting, "card_in_use", judged("small"))
    monkeypatch.setattr(hosting, "next_card_in_use", judged("medium"))
    monkeypatch.setattr(hosting, "_host", lambda in_use, _: Loaded(in_use[0].tier))
    return events, refused, AgentFolder(Asking(), tmp_path)


async def test_the_second_model_is_judged_by_what_the_first_left_and_both_are_freed(loading):
    events, _, found = loading

    async with hosted(found) as answering:
        assert [source.tier for source in answering.sources] == ["small", "medium"]
        assert events == ["memory for small", "start small", "memory for medium", "start medium"]

    assert events[4:] == ["stop medium", "stop small"]


async def test_one_tier_that_is_asked_for_answers_alone(loading):
    events, _, found = loading

    async with hosted(found, "small") as answering:
        assert [source.tier for source in answering.sources] == ["small"]

    assert events == ["memory for small", "start small", "stop small"]


@pytest.mark.parametrize("where", ["memory for medium", "medium"])
async def test_a_second_model_that_cannot_be_loaded_stops_the_process_and_frees_the_first(loading, where):
    events, refused, found = loading
    refused[where] = ModelError("altered")

    with pytest.raises(ModelError, match="altered"):
        async with hosted(found):
            pass

    assert events[-1] == "stop small"
