"""Lanes at the model: a bulk text never holds up an interactive one for longer than the window in hand."""

import uuid

import pytest
import pytest_asyncio

from smallmesh.supervise import Mesh
from smallmesh_contracts import Lane, StepResult, decode, subjects
from tests.support.client import Client, new_address
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces
from tests.support.patience import until
from tests.support.rules import Gate
from tests.support.windows import SAYS, at, write_reader

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    if missing_pieces(SERVICES / "sentiment", RUNNABLE):
        pytest.skip("a model is missing")
    return write_reader(tmp_path_factory.mktemp("lanes") / "agents", SERVICES)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(agents):
    async with Mesh.start(agent_path=[agents], agents=["reader"]) as mesh:
        await mesh.ready(120)
        async with Client.connected(mesh.url) as connected:
            yield connected


@pytest.fixture
def gates(agents):
    """Make gates; all are opened at the end."""
    made = []

    def make():
        made.append(Gate(agents, uuid.uuid4().hex))
        return made[-1]

    yield make
    for gate in made:
        gate.open()


@pytest.mark.parametrize("own_windows", [1, 20])
async def test_an_interactive_step_is_answered_before_the_next_but_one_window_of_a_bulk_text(client, gates, own_windows):
    windows = [gates() for _ in range(4)]
    queued = gates()
    bulk, urgent = new_address(), new_address()
    await client.step("reader", bulk, " ".join(gate.word for gate in windows), lane=Lane.BULK)
    await until(lambda: windows[0].entered == 1, "the bulk text is being read")
    await client.step("reader", urgent, f"{at(SAYS, queued)} {'ms:1 ' * own_windows}")
    await until(lambda: queued.entered == 1, "the interactive step waits for the model")

    windows[0].open()
    await client.result(urgent, "reader", "read")

    assert windows[2].entered == 0
    for gate in windows:
        gate.open()
    assert (await client.result(bulk, "reader", "read"))[0].answer.value["windows"] == len(windows)


async def test_an_interactive_step_gets_in_however_many_bulk_steps_are_in_hand_and_waiting(client, gates):
    gate, queued = gates(), gates()
    bulk, urgent, order = [new_address() for _ in range(20)], new_address(), []
    watch = await client.bus.watch(subjects.stored(subjects.ALL_RESULTS), lambda message: order.append(decode(StepResult, message.body)))
    await client.step("reader", bulk[0], f"{gate.word} ms:1 ms:1", lane=Lane.BULK)
    await until(lambda: gate.entered == 1, "the first bulk text is being read")
    for address in bulk[1:]:
        await client.step("reader", address, "ms:1 ms:1 ms:1", lane=Lane.BULK)
    await client.step("reader", urgent, at(SAYS, queued))
    await until(lambda: queued.entered == 1, "the interactive step waits for the model")

    gate.open()
    await client.idle()
    await watch.stop()

    assert [result.answer.value["windows"] for result in order] == [1, *[3] * len(bulk)]
