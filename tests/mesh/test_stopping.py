"""Processes told to stop in the middle of a task: one terminal result each, and no second one. What is killed is in tests/faults."""

import asyncio
import os
import signal

import pytest

from smallmesh_contracts import DataClass, Status, Task, subjects
from tests.mesh.conftest import LATE_AGENT, LATE_CLASS
from tests.support.client import new_address
from tests.support.meshes import process, records, replaced
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

LATE_AGENT_ANSWER = "patience"
DEFAULT = 4
"""Answers of a task that names none."""


class Witness:
    """Sees every result of one task that the broker stores."""

    def __init__(self):
        self.results = []

    async def watch(self, client, address):
        return await client.bus.watch(subjects.stored(subjects.result(address, "*", "*")), self.results.append)


def held_up(gate, **wanted) -> Task:
    return Task(text=f"Hello {gate.word} and good-bye", **wanted)


def dones(mesh, address, **values):
    name = "orchestrator_restricted" if address.data_class is DataClass.RESTRICTED else "orchestrator"
    return records(mesh, name, "task_done", task_id=address.task_id, **values)


async def begun(client, gate, address, **wanted) -> Witness:
    """Submit a task and return when its agent is in the middle of it."""
    witness = Witness()
    await witness.watch(client, address)
    assert await client.submit(address, held_up(gate, **wanted))
    await until(lambda: gate.entered == 1, "the agent is in mid-task")
    return witness


async def assert_done_once(client, mesh, address, witness, answers=DEFAULT):
    done = await client.done(address)
    assert (done.status, len(done.answers)) == (Status.COMPLETED, answers)
    first = await client.sequence(subjects.done(address))
    await client.idle()
    await until(lambda: dones(mesh, address, first=True), "the log says so too")
    assert len(dones(mesh, address, first=True)) == 1
    assert await client.sequence(subjects.done(address)) == first
    assert len({message.subject for message in witness.results}) == len(witness.results) == answers


async def test_many_tasks_at_once_over_two_orchestrators_are_done_once_each(town, backend):
    addresses = [new_address() for _ in range(40)]

    await asyncio.gather(*(backend.submit(address, Task(text="Hello and good-bye")) for address in addresses))

    results = await asyncio.gather(*(backend.done(address) for address in addresses))
    await backend.idle()
    assert {result.status for result in results} == {Status.COMPLETED}
    assert [len(dones(town, address, first=True)) for address in addresses] == [1] * len(addresses)


async def test_an_agent_told_to_stop_finishes_a_step_that_ends_soon(town, backend, gate):
    address = new_address()
    witness = await begun(backend, gate, address, wanted=(LATE_AGENT_ANSWER,))
    pid = process(town, LATE_AGENT).pid

    os.kill(pid, signal.SIGTERM)
    await backend.bus.services(0.2)  # a round trip: it has had the time to hear of it
    gate.open()

    await assert_done_once(backend, town, address, witness, answers=1)
    await replaced(town, LATE_AGENT, pid)
    assert (gate.entered, process(town, LATE_AGENT).exit_status) == (1, 0)


async def test_an_agent_told_to_stop_hands_back_a_step_that_does_not_end(town, backend, gate):
    address = new_address()
    witness = await begun(backend, gate, address, wanted=(LATE_AGENT_ANSWER,))
    pid = process(town, LATE_AGENT).pid

    os.kill(pid, signal.SIGTERM)
    await until(lambda: gate.entered == 2, "another process has the step long before its ack wait is over")
    gate.open()

    await assert_done_once(backend, town, address, witness, answers=1)
    await replaced(town, LATE_AGENT, pid)
    assert process(town, LATE_AGENT).exit_status == 0


async def test_an_orchestrator_told_to_stop_hands_its_tasks_back(town, backend, gate):
    address = new_address(LATE_CLASS)
    witness = await begun(backend, gate, address)
    pid = process(town, "orchestrator_restricted").pid

    os.kill(pid, signal.SIGTERM)
    await replaced(town, "orchestrator_restricted", pid)
    gate.open()

    await assert_done_once(backend, town, address, witness)
    assert (gate.entered, process(town, "orchestrator_restricted").exit_status) == (1, 0)
