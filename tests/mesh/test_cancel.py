"""Cancelling in a real mesh: queued, running and frozen tasks, and one terminal result each."""

import asyncio
import os
import signal

import pytest

from smallmesh_contracts import CancelReply, CancelRequest, DataClass, ErrorCode, Lane, Status, Task, decode, subjects
from tests.support.client import new_address
from tests.support.meshes import pids, records
from tests.support.patience import PATIENCE_S, until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

ORCHESTRATORS = ("orchestrator", "orchestrator-2")
LONG_S = 3600.0


async def cancel(client, address) -> CancelReply:
    subject = subjects.cancel(address.tenant, address.data_class)
    reply = await client.bus.request(subject, CancelRequest(task_id=address.task_id).to_bytes(), timeout_s=PATIENCE_S)
    return decode(CancelReply, reply.body)


async def begun(client, gate, address, lane=Lane.INTERACTIVE):
    """Submit a task and return when the other three answers are there and its gated agent is in the middle of it."""
    await client.submit(address, Task(text=f"Hello {gate.word}", timeout_s=LONG_S), lane)
    for agent, answer in (("ner", "entities"), ("summarizer", "summary"), ("complexity_router", "complexity")):
        await client.stored(subjects.result(address, agent, answer))
    await until(lambda: gate.entered == 1, "the agent is in mid-task")


async def settled(client, address):
    async def acknowledged():
        return all([await client.bus.read(subjects.submit(lane, address)) is None for lane in Lane])

    await until(acknowledged, "the submission is gone")


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("data_class", [DataClass.PUBLIC, DataClass.RESTRICTED])
async def test_a_running_task_is_cancelled_with_the_answers_that_are_there(backend, gate, data_class, lane):
    address = new_address(data_class)
    await begun(backend, gate, address, lane)

    reply = await cancel(backend, address)
    done = await backend.done(address)
    first = await backend.sequence(subjects.done(address))
    await settled(backend, address)
    gate.open()
    await backend.idle()

    assert (reply.status, done.status) == (Status.CANCELLED, Status.CANCELLED)
    assert (done.answers["sentiment"].error.code, done.answers["sentiment"].error.step) == (ErrorCode.CANCELLED, "sentiment")
    assert [name for name, a in done.answers.items() if a.value is not None] == ["entities", "summary", "complexity"]
    assert await backend.sequence(subjects.done(address)) == first
    assert await backend.dead_letters(subjects.submit(lane, address)) == []


async def test_the_lease_on_a_cancelled_task_ends_at_once(town, backend, gate):
    address = new_address()
    await begun(backend, gate, address)

    await cancel(backend, address)

    await until(lambda: records(town, "orchestrator", "task_over", task_id=address.task_id, conflict=False), "its holder says so")


async def test_a_result_that_came_first_wins(backend):
    address = new_address()
    first = await backend.whole(address, Task(text="Hello"))

    replies = [await cancel(backend, address) for _ in range(2)]

    assert [reply.status for reply in replies] == [Status.COMPLETED] * 2
    assert await backend.done(address) == first


async def test_an_id_that_nobody_submitted_is_no_task(backend):
    reply = await cancel(backend, new_address())

    assert (reply.status, reply.error.code) == (None, ErrorCode.INVALID_REQUEST)


async def test_a_task_whose_holder_is_frozen_is_cancelled_by_the_other_replica(town, backend, gate):
    address = new_address()
    await begun(backend, gate, address)

    frozen = [pids(town)[name] for name in ORCHESTRATORS]
    os.kill(frozen[0], signal.SIGSTOP)
    try:
        reply = await one_that_answers(backend, address)
    finally:
        os.kill(frozen[0], signal.SIGCONT)
    gate.open()
    await backend.idle()

    assert reply.status is Status.CANCELLED
    assert (await backend.done(address)).status is Status.CANCELLED


async def one_that_answers(client, address) -> CancelReply:
    """Ask until a replica that is not frozen is asked."""
    request = CancelRequest(task_id=address.task_id).to_bytes()
    while True:
        asking = [client.bus.request(subjects.cancel(address.tenant, address.data_class), request, timeout_s=2.0) for _ in range(8)]
        for reply in await asyncio.gather(*asking, return_exceptions=True):
            if not isinstance(reply, Exception):
                return decode(CancelReply, reply.body)


async def test_tasks_cancelled_while_they_end_have_one_result_each(town, backend):
    addresses = [new_address() for _ in range(40)]

    async def race(address):
        await backend.submit(address, Task(text="Hello"))
        await asyncio.sleep(0.001 * (hash(address) % 30))
        return await cancel(backend, address)

    replies = await asyncio.gather(*map(race, addresses))

    await backend.idle()
    for address, reply in zip(addresses, replies, strict=True):
        assert (await backend.done(address)).status is reply.status
        assert len(records(town, "orchestrator", "task_done", task_id=address.task_id, first=True)) == (reply.status is Status.COMPLETED)
