"""A process that cannot serve says in one line what to do, and ends with a status that is not 0."""

import asyncio
import shutil
import socket

import pytest

from smallmesh.broker import EmbeddedBroker
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, shipped
from tests.support.processes import ended, environment, serve
from tests.support.rules import write_agent

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

MODEL = "summarizer"


@pytest.fixture
def nobody():
    """An address that nobody listens at, and nobody else can take."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"nats://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def rules(tmp_path):
    write_agent(tmp_path / "agents", "echo", "echo")
    return tmp_path / "agents"


@pytest.fixture
def hosted(tmp_path):
    """A copy of a shipped agent that hosts a model."""
    if missing_pieces(shipped()[MODEL].folder, RUNNABLE):
        pytest.skip(f"{MODEL} has no model")
    shutil.copytree(SERVICES / MODEL, tmp_path / "agents" / MODEL)
    return tmp_path / "agents"


async def why_it_fails(*arguments: str, **env) -> str:
    """Return the one line in which a process says why it cannot serve."""
    end = await ended(await serve(*arguments, env=environment(**env)))
    assert end.status not in (0, None)
    assert "Traceback" not in end.out + end.err
    (line,) = [line for line in end.err.splitlines() if line.strip()]
    assert line.startswith(f"smallmesh: {arguments[-1]}: ")
    return line


async def test_a_missing_model_file_is_named_with_a_way_to_get_it(hosted, nobody):
    (hosted / MODEL / "model.gguf").unlink()

    said = await why_it_fails("agent", MODEL, agent_path=hosted, nats_url=nobody)

    assert str(hosted / MODEL / "model.gguf") in said
    assert "git checkout" in said


async def test_an_altered_model_file_is_never_loaded(hosted, nobody):
    with (hosted / MODEL / "model.gguf").open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([byte[0] ^ 1]))

    said = await why_it_fails("agent", MODEL, agent_path=hosted, nats_url=nobody)

    assert "not the one of its card" in said
    assert "Restore the file" in said


async def test_a_broken_model_card_is_named(hosted, nobody):
    (hosted / MODEL / "model.toml").write_text("[model]\nid = 5\n", encoding="utf-8")

    end = await ended(await serve("agent", MODEL, env=environment(hosted, nats_url=nobody)))

    assert end.status != 0
    assert f"{hosted / MODEL / 'model.toml'} is not a valid model card" in end.err


async def test_a_broker_that_is_not_there_is_named_with_what_to_do(rules, nobody):
    kinds = [("agent", "echo"), ("orchestrator", "orchestrator")]

    said = await asyncio.gather(*(why_it_fails(*arguments, agent_path=rules, nats_url=nobody) for arguments in kinds))

    assert all(nobody in line and "smallmesh up" in line for line in said), said


@pytest.mark.parametrize("arguments", [("agent", "echo"), ("orchestrator", "orchestrator")], ids=lambda a: a[0])
async def test_a_broker_without_streams_is_told_from_one_that_is_not_there(rules, arguments):
    with EmbeddedBroker.start() as broker:
        said = await why_it_fails(*arguments, agent_path=rules, nats_url=broker.url)

    assert "smallmesh provision" in said


@pytest.mark.parametrize("arguments", [("agent", "ner"), ("service", "escalation"), ("orchestrator", "orchestrator")], ids=lambda a: a[0])
async def test_a_health_port_in_use_is_named_with_the_setting(town, town_folder, arguments):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = await why_it_fails(*arguments, agent_path=town_folder, nats_url=town.url, health_port=str(port))

    assert f"127.0.0.1:{port}" in said
    assert "SMALLMESH_HEALTH_PORT" in said


async def test_an_agent_that_is_not_there_is_named_with_those_that_are(rules, nobody):
    said = await why_it_fails("agent", "horoscope", agent_path=rules, nats_url=nobody)

    assert "no agent called 'horoscope'; there are: echo" in said


async def test_an_agent_folder_that_cannot_be_loaded_is_named(rules, nobody):
    (rules / "echo" / "agent.py").write_text("import nothing_of_that_name\n", encoding="utf-8")

    said = await why_it_fails("agent", "echo", agent_path=rules, nats_url=nobody)

    assert str(rules / "echo" / "agent.py") in said
    assert "nothing_of_that_name" in said
