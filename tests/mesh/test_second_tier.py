"""An agent with two models in a whole mesh: the router's verdict decides which of them answers."""

import shutil

import pytest
import pytest_asyncio

from smallmesh.hosting.card import load_card, load_tiers
from smallmesh.hosting.ladder.folder import Locked, ModelsFolder
from smallmesh.supervise import Mesh
from smallmesh_contracts import Lane, SentimentResult, Status, StepInput, Task, Verdict
from tests.support.client import Client, new_address
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, records
from tests.support.patience import until
from tests.support.rules import write_agent
from tests.support.tiny import TINY, tiny_card, write_ladder

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

WANTED = ("sentiment", "complexity")
EASY, HARDER = "The room was clean.", "MEDIUM: The room was clean, and yet nobody came back."
_JUDGE = """
verdict = "medium" if "MEDIUM" in request.text else "simple"
return ComplexityResult(verdict=verdict, probabilities={verdict: 1.0}, reasons=["a rule"], confidence=1.0)
"""


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    """The shipped sentiment with the tiny model as its ladder, and a router of rules."""
    if missing_pieces(SERVICES / "sentiment", RUNNABLE):
        pytest.skip("a model is missing")
    parent = tmp_path_factory.mktemp("tiers") / "agents"
    write_ladder(parent, "sentiment", "medium")
    write_agent(parent, "complexity_router", "complexity", _JUDGE, request="ComplexityRequest", result="ComplexityResult")
    return parent


@pytest.fixture(scope="module")
def models(agents, tmp_path_factory):
    """A folder of models in which that tier was pulled, and chosen as the next one."""
    folder, card = ModelsFolder(tmp_path_factory.mktemp("pulled")), tiny_card()
    (tier,) = load_tiers(agents / "sentiment")
    file = folder.file_of(tier)
    file.parent.mkdir(parents=True)
    shutil.copy(TINY / card.file, file)
    folder.bind(tier, Locked(commit="c" * 40, sha256=card.sha256, size=file.stat().st_size))
    folder.choose("sentiment", "embedded", "medium")
    return folder.path


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mesh(agents, models):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SMALLMESH_MODELS_DIR", str(models))
        async with Mesh.start(agent_path=[agents]) as mesh:
            await mesh.ready(120)
            await until(lambda: records(mesh, "orchestrator", "second_tiers", agents=["sentiment"]), "the orchestrator has seen it")
            yield mesh


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(mesh):
    async with Client.connected(mesh.url) as client:
        yield client


async def test_a_replica_says_that_it_has_a_second_model(client):
    told = await client.info("sentiment")

    assert (told["tier"], told["next_tier"], told["next_model_id"]) == ("embedded", "medium", tiny_card().id)


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize(("text", "tier"), [(EASY, "embedded"), (HARDER, "medium")])
async def test_a_submitted_task_is_answered_by_the_tier_of_its_verdict_and_says_so(client, lane, text, tier):
    result = await client.whole(new_address(), Task(text=text, wanted=WANTED), lane)

    sentiment = result.answers["sentiment"]
    assert result.status is Status.COMPLETED
    assert sentiment.provenance.tier == tier
    assert (sentiment.provenance.model_id == tiny_card().id) is (tier == "medium")
    assert sum(sentiment.value_as(SentimentResult).probabilities.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(("text", "tier"), [(EASY, "embedded"), (HARDER, "medium")])
async def test_a_run_is_too(client, text, tier):
    result = await client.run(Task(text=text, wanted=WANTED))

    assert (result.status, result.answers["sentiment"].provenance.tier) == (Status.COMPLETED, tier)


async def test_nobody_who_wants_no_verdict_waits_for_one(client):
    result = await client.run(Task(text=HARDER, wanted=("sentiment",)))

    assert result.answers["sentiment"].provenance.tier == "embedded"


async def test_whoever_asks_may_say_the_verdict(client):
    answer, _ = await client.ask("sentiment", StepInput(text=EASY, verdict=Verdict.MEDIUM).to_bytes())

    assert answer.provenance.tier == "medium"


async def test_the_records_of_both_models_say_which_it_was(mesh, client):
    for verdict in (None, Verdict.MEDIUM):
        await client.ask("sentiment", StepInput(text=EASY, verdict=verdict).to_bytes())

    calls = {(call["tier"], call["model_id"]) for call in records(mesh, "sentiment", "model_call")}
    assert calls == {("embedded", load_card(SERVICES / "sentiment").id), ("medium", tiny_card().id)}
