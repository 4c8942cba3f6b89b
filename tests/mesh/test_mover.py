"""The mover against a real broker: a message that is never acknowledged hangs nobody."""

import asyncio
from dataclasses import replace

import pytest

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.layout import ADVISORIES, TASKS, all_consumers, lease_consumers, mover_consumer, step_consumers
from smallmesh.catalogue import Catalogue
from smallmesh.supervise import Mesh
from smallmesh_contracts import DataClass, ErrorCode, Lane, Status, Task, subjects
from smallmesh_orchestrator.mover import Mover
from tests.support.client import Client, new_address
from tests.support.meshes import SERVICES
from tests.support.patience import until
from tests.support.rules import write_town

pytestmark = [pytest.mark.mesh]

WAIT_S = 0.3
LIMIT = 2


@pytest.fixture
def folder(tmp_path):
    return write_town(tmp_path / "agents", SERVICES)


def given_up_soon(consumer):
    return replace(consumer, ack_wait_s=WAIT_S, max_deliver=LIMIT)


async def never_acknowledges(client, consumer) -> asyncio.Queue:
    """Take whatever comes and do nothing with it, as a process does that dies of it each time."""
    came = asyncio.Queue()
    await client.bus.consume(consumer, came.put, slots=8)
    return came


async def assert_moved(client, subject, came):
    ((reason, letter),) = await until(lambda: client.dead_letters(subject), "a dead letter")
    assert (reason.code, came.qsize()) == (ErrorCode.INTERNAL, LIMIT)
    assert letter.headers["Smallmesh-Deliveries"] == str(LIMIT)

    async def nothing_left():
        return await client.bus.read(subject) is None and (await client.js.stream_info(ADVISORIES.name)).state.messages == 0

    await until(nothing_left, "message and advisory are gone")
    return letter


async def test_a_task_whose_step_is_never_acknowledged_ends_long_before_its_time_is_up(folder):
    consumer = given_up_soon(step_consumers("sentiment")[Lane.BULK])
    async with Mesh.start(agent_path=[folder], agents=()) as mesh, Client.connected(mesh.url) as client:
        await mesh.ready()
        await client.bus.provision([consumer])
        came = await never_acknowledges(client, consumer)
        address = new_address()

        await client.submit(address, Task(text="Hello", wanted=("sentiment",), timeout_s=24 * 3600.0), Lane.BULK)
        done = await client.done(address)

        error = done.answers["sentiment"].error
        assert (done.status, error.code, error.step) == (Status.FAILED, ErrorCode.INTERNAL, "sentiment")
        letter = await assert_moved(client, subjects.work("sentiment", Lane.BULK, address), came)
        assert b"Hello" in letter.data


async def test_a_submission_that_is_never_acknowledged_has_a_failed_result(folder):
    catalogue = Catalogue.load([folder])
    consumer = given_up_soon(lease_consumers([DataClass.INTERNAL])[0])
    with EmbeddedBroker.start() as broker:
        async with Client.connected(broker.url) as client:
            await client.bus.provision([*all_consumers(catalogue.agents, catalogue.services), consumer])
            came = await never_acknowledges(client, consumer)
            for _ in range(2):  # replicas share it
                await client.bus.consume(mover_consumer(), Mover(client.bus, catalogue).handle, slots=4)
            addresses = [new_address(DataClass.INTERNAL) for _ in range(3)]

            for address in addresses:  # one consumer, so one subject of advisories for them all
                await client.submit(address, Task(text="Hello"))

            for address in addresses:
                done = await client.done(address)
                assert (done.status, done.error.code, done.task_id) == (Status.FAILED, ErrorCode.INTERNAL, address.task_id)
                assert len(await client.dead_letters(subjects.submit(Lane.INTERACTIVE, address))) == 1
            await until(lambda: came.qsize() == LIMIT * len(addresses), "every delivery")
            assert (await client.js.stream_info(TASKS.name)).state.messages == 1, "the queue's head alone"


async def test_a_subject_that_was_given_up_is_free_for_another_message(folder):
    catalogue = Catalogue.load([folder])
    consumer = given_up_soon(step_consumers("ner")[Lane.INTERACTIVE])
    with EmbeddedBroker.start() as broker:
        async with Client.connected(broker.url) as client:
            await client.bus.provision([consumer, mover_consumer()])
            came = await never_acknowledges(client, consumer)
            await client.bus.consume(mover_consumer(), Mover(client.bus, catalogue).handle, slots=4)
            address = new_address()
            assert await client.step("ner", address, "Hello")

            await assert_moved(client, subjects.work("ner", Lane.INTERACTIVE, address), came)

            assert await client.step("ner", address, "Hello again")
