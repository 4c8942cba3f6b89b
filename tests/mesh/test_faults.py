"""Processes that die, stop or are doubled in the middle of a task: one terminal result each, and no second one."""

import asyncio
import contextlib
import os
import signal

import pytest

from smallmesh.bus.layout import lease_consumers
from smallmesh_contracts import DataClass, Lane, Status, Task, subjects
from tests.mesh.conftest import LATE_AGENT, LATE_CLASS
from tests.support.client import new_address
from tests.support.meshes import pids, process, records, replaced
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

ORCHESTRATORS = ("orchestrator", "orchestrator-2")
LATE_AGENT_ANSWER = "patience"
DEFAULT = 4
"""Answers of a task that names none."""


class Witness:
    """Sees every result of one task that the broker stores."""

    def __init__(self):
        self.results = []

    async def watch(self, client, address):
        return await client.bus.watch(subjects.stored(subjects.result(address, "*", "*")), self.results.append)


@contextlib.contextmanager
def stopped(pid):
    """Stop a process, neither dead nor renewing what it holds, and let it go on at the end."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


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


async def test_an_agent_killed_in_mid_task_costs_one_more_inference_and_no_task(town, backend, gate):
    address = new_address()
    witness = await begun(backend, gate, address)

    pid = town.kill("sentiment")
    await until(lambda: gate.entered == 2, "the step is in another agent's hands")
    gate.open()

    await assert_done_once(backend, town, address, witness)
    assert gate.entered == 2
    await replaced(town, "sentiment", pid)


async def test_orchestrators_killed_in_mid_task_cost_neither_a_task_nor_an_inference(town, backend, gate):
    address = new_address()
    witness = await begun(backend, gate, address)

    killed = {name: town.kill(name) for name in ORCHESTRATORS}
    for name, pid in killed.items():
        await replaced(town, name, pid)
    gate.open()

    await assert_done_once(backend, town, address, witness)
    assert gate.entered == 1


async def test_one_of_two_orchestrators_killed_with_many_tasks_in_hand_loses_none(town, backend, gate):
    addresses = [new_address(DataClass.INTERNAL) for _ in range(10)]
    witnesses = [Witness() for _ in addresses]
    for address, witness in zip(addresses, witnesses, strict=True):
        await witness.watch(backend, address)
        await backend.submit(address, held_up(gate))
    await until(lambda: gate.entered == 1, "the agent is in mid-task")

    pid = town.kill(ORCHESTRATORS[0])
    gate.open()

    for address, witness in zip(addresses, witnesses, strict=True):
        await assert_done_once(backend, town, address, witness)
    assert gate.entered == len(addresses)
    await replaced(town, ORCHESTRATORS[0], pid)


async def test_two_orchestrators_that_both_hold_a_task_store_one_result(town, backend, gate):
    address = new_address()
    lease = lease_consumers([DataClass.PUBLIC])[0]
    assert lease.subject == subjects.any_submit(Lane.INTERACTIVE, DataClass.PUBLIC)
    published = []  # also what the broker refuses
    await backend.bus.watch(subjects.work("sentiment", Lane.INTERACTIVE, address), published.append)

    async def given_away() -> bool:
        return (await backend.consumer(lease)).num_redelivered > 0

    one, other = (pids(town)[name] for name in ORCHESTRATORS)
    with stopped(other):
        witness = await begun(backend, gate, address)
    if not await given_away():  # so the one has it, and not the other that did not move
        with stopped(one):
            await until(given_away, "the broker gives the lease to the other")
    await until(lambda: len(published) == 2, "both have begun it")
    gate.open()

    await assert_done_once(backend, town, address, witness)
    await until(lambda: len(dones(town, address)) == 2, "both came to its end")
    assert gate.entered == 1


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


async def test_a_broker_killed_in_mid_task_loses_nothing_and_no_process_has_to_be_restarted(town, backend, gate):
    address = new_address()
    assert await backend.submit(address, held_up(gate))
    await until(lambda: gate.entered == 1, "the agent is in mid-task")
    before = pids(town)

    town.kill("broker")
    gate.open()
    await until(lambda: town.broker.pid not in (None, before["broker"]), "the broker is back")

    assert (await backend.done(address)).status is Status.COMPLETED
    assert (await backend.whole(new_address(), Task(text="Hello"), Lane.BULK)).status is Status.COMPLETED
    assert (await backend.run(Task(text="Hello"))).status is Status.COMPLETED
    await backend.idle()
    assert len(dones(town, address, first=True)) == 1
    assert {**pids(town), "broker": 0} == {**before, "broker": 0}
