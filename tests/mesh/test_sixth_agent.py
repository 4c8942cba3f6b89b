"""An agent in a folder of the user's own is the same thing as ours: no other file knows of it."""

import pytest
import pytest_asyncio

from smallmesh.supervise import Mesh
from smallmesh_contracts import AgentResult, DataClass, ErrorCode, Status, Task, decode, subjects
from tests.support.client import Client, new_address
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, shipped

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

AGENT = '''"""Counts words."""

from smallmesh.agent import Agent, Model
from smallmesh_contracts import AgentRequest, AgentResult


class WordCount(AgentResult):
    """How many words there are."""

    words: int


class Counter(Agent[AgentRequest, WordCount]):
    """Counts words, which takes no model."""

    name = "word_counter"
    answer = "words"
    description = "Counts the words of a text"
    request = AgentRequest
    result = WordCount

    async def respond(self, request: AgentRequest, model: Model) -> WordCount:
        """Count them."""
        return WordCount(words=len(request.text.split()))


AGENT = Counter()
'''


class WordCount(AgentResult):
    """What a client of that agent knows of its result."""

    words: int


def a_shipped_one() -> str:
    return next(name for name, found in shipped().items() if not missing_pieces(found.folder, RUNNABLE))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mesh(tmp_path_factory):
    own = tmp_path_factory.mktemp("own")
    (own / "word_counter").mkdir()
    (own / "word_counter" / "agent.py").write_text(AGENT, encoding="utf-8")
    async with Mesh.start(agent_path=[SERVICES, own], agents=["word_counter", a_shipped_one()]) as mesh:
        await mesh.ready(120)
        yield mesh


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(mesh):
    async with Client.connected(mesh.url) as client:
        yield client


async def test_it_is_discovered(client):
    told = await client.info("word_counter")

    assert (told["answer"], told["model_id"], told["result_schema"]) == ("words", "rules", "slm.v1.WordCount")


async def test_it_answers_an_ask(client):
    answer, _ = await client.ask("word_counter", {"text": "one two three"})

    assert answer.value_as(WordCount).words == 3


@pytest.mark.parametrize("data_class", DataClass)
async def test_it_answers_through_a_whole_task_beside_a_shipped_agent(client, data_class):
    other = shipped()[a_shipped_one()].agent
    task = Task(text="Lisbon is a fine town.", wanted=("words", other.answer))

    done = await client.whole(new_address(data_class), task)

    assert done.status is Status.COMPLETED
    assert done.answers["words"].value_as(WordCount).words == 5
    assert done.answers["words"].provenance.answered_by == "word_counter"
    assert decode(other.result, done.answers[other.answer].value_as(other.result).to_bytes())


async def test_it_answers_a_run(client):
    result = await client.run(Task(text="one two", wanted=("words",)))

    assert result.answers["words"].value_as(WordCount).words == 2


async def test_its_bad_requests_are_dead_letters_like_any_others(client):
    address = new_address()

    await client.step("word_counter", address, b"no step")

    result, _ = await client.result(address, "word_counter", "words")
    ((reason, letter),) = await client.dead_letters(f"slm.v1.work.word_counter.interactive.{address}")
    assert (result.answer.error.code, reason.code) == (ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_REQUEST)
    assert letter.subject == subjects.dead(address.data_class, "word_counter")
