"""A model that stands still: its steps go elsewhere, its late answers change nothing, and its process is replaced."""

import pytest
import pytest_asyncio

from smallmesh.supervise import Mesh, ProcessState
from smallmesh_contracts import ErrorCode, Lane, subjects
from tests.support.client import Client, new_address
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, pids, records, replaced
from tests.support.patience import until
from tests.support.rules import Gate
from tests.support.windows import HANG, at, write_reader

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

ACK_WAIT_S = 2.0
REPLICAS = ("reader", "reader-2")


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    if missing_pieces(SERVICES / "sentiment", RUNNABLE):
        pytest.skip("a model is missing")
    return write_reader(tmp_path_factory.mktemp("hung") / "agents", SERVICES)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mesh(agents):
    async with Mesh.start(agent_path=[agents], agents=["reader"], scale={"reader": 2}, step_ack_wait_s=str(ACK_WAIT_S)) as mesh:
        await mesh.ready(120)
        yield mesh


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(mesh):
    async with Client.connected(mesh.url) as connected:
        yield connected


@pytest.fixture
def gate(agents, request):
    made = Gate(agents, request.node.name)
    yield made
    made.open()


async def test_a_step_whose_model_hangs_is_answered_by_another_replica_and_the_late_answer_is_refused(mesh, client, gate):
    address, before = new_address(), pids(mesh)
    result = subjects.result(address, "reader", "read")
    await client.step("reader", address, at(HANG, gate))
    await client.stored(result)
    first = await client.sequence(result)

    gate.open()  # the model moves again, before it counts as lost
    await until(lambda: len(records(mesh, "reader", "model_call", task_id=address.task_id)) == 2, "both replicas have answered")

    assert await client.sequence(result) == first
    assert pids(mesh) == before
    assert await client.dead_letters(subjects.work("reader", Lane.INTERACTIVE, address)) == []


async def test_a_process_whose_model_hangs_for_good_says_so_ends_and_is_replaced(mesh, client, gate):
    address, before = new_address(), pids(mesh)
    await client.step("reader", address, at(HANG, gate))

    await client.stored(subjects.result(address, "reader", "read"))
    await until(lambda: pids(mesh) != before, "one of the processes has ended")
    (name,) = (replica for replica in REPLICAS if pids(mesh)[replica] != before[replica])
    info = await replaced(mesh, name, before[name])

    assert (info.exit_status, info.state) == (1, ProcessState.READY)
    (stuck,) = records(mesh, name, "model_stuck")
    (ended,) = records(mesh, name, "stopped", level="error")
    assert stuck["replica"] == ended["replica"]
    assert "does not move" in ended["reason"]


async def test_an_ask_that_a_hung_model_cannot_answer_ends_with_a_typed_error(client, gate):
    answer, _ = await client.ask("reader", {"text": at(HANG, gate)})

    assert (answer.error.code, answer.error.retryable) == (ErrorCode.UNAVAILABLE, True)
