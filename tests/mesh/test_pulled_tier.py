"""A larger model from the hub to an answer, as an operator goes: pull, use, serve, ask; and back again."""

import asyncio
import json
import os
import sys

import pytest
import pytest_asyncio

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.layout import all_consumers
from tests.support.client import Client
from tests.support.fake_hub import FakeHub
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces
from tests.support.processes import Ended, ended, environment
from tests.support.serving import served
from tests.support.tiny import REPOSITORY, TINY, tiny_card, write_ladder

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module")]

AGENT = "sentiment"
TEXT = "The team is happy with the rooms and the light."


@pytest.fixture(scope="module")
def hub():
    with FakeHub() as running:
        running.add(REPOSITORY, tiny_card().file, (TINY / tiny_card().file).read_bytes())
        yield running


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    if missing_pieces(SERVICES / AGENT, RUNNABLE):
        pytest.skip(f"{AGENT} has no model")
    parent = tmp_path_factory.mktemp("ladder") / "agents"
    write_ladder(parent, AGENT, "small")
    return parent


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client():
    with EmbeddedBroker.start() as broker:
        async with Client.connected(broker.url) as client:
            await client.bus.provision(all_consumers([AGENT], []))
            yield client


async def test_a_tier_is_pulled_measured_chosen_served_and_given_up_again(hub, agents, client, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    url = f"nats://{client.bus.client.connected_url.netloc}"
    env = environment(agents, models_dir=str(models), nats_url=url) | {"HF_ENDPOINT": hub.url}

    async def smallmesh(*arguments: str) -> Ended:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-P", "-m", "smallmesh.cli", *arguments)
        end = await ended(await asyncio.create_subprocess_exec(*command, env=env, stdout=pipe, stderr=pipe))
        assert end.status == os.EX_OK, end.err
        return end

    async def answered_by() -> str:
        async with served(client, url, agents, "agent", AGENT, models_dir=str(models)):
            answer = json.loads((await smallmesh("ask", AGENT, TEXT, "--json")).out)
        assert answer["value"]["label"] in {"negative", "neutral", "positive"}
        return answer["provenance"]["model_id"]

    embedded = await answered_by()

    await smallmesh("models", "pull", AGENT)
    assert await answered_by() == embedded

    run = await smallmesh("eval", "run", AGENT, "--tier", "embedded", "--tier", "small", "--limit", "3", "--json")
    assert [one["served"]["model_id"] for one in json.loads(run.out)] == [embedded, tiny_card().id]
    measured = await smallmesh("models", "calibrate", AGENT, "--tier", "small", "--json")
    assert json.loads(measured.out)["model"] == tiny_card().id
    assert await answered_by() == embedded

    await smallmesh("models", "use", AGENT, "small")
    assert await answered_by() == tiny_card().id

    await smallmesh("models", "use", AGENT, "embedded")
    assert await answered_by() == embedded
