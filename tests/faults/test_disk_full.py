"""Experiment 6: JetStream's disk is a small tmpfs, and becomes full: by what the mesh keeps, and by somebody else's file."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import uuid

import pytest
import pytest_asyncio

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus import nats_storing
from smallmesh.bus.keeping import Keeping
from smallmesh.bus.layout import TASKS, lease_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.supervise import Mesh
from smallmesh.supervise.mesh import BROKER
from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, Lane, Status, Task, subjects
from tests.faults.ledger import Ledger
from tests.faults.load import Kind
from tests.support.client import Client
from tests.support.meshes import pids
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.experiment(6), pytest.mark.asyncio(loop_scope="session")]

DISK = 64 * 1024**2
FITTING = 40 * 1024**2
"""What streams may take of that disk: the rest is for blocks with removed messages in them, and for indexes."""
TASK = Task(text="Hello " + "x" * 100_000, wanted=("sentiment",), timeout_s=600.0)
SLOW = Kind(("sentiment",), windows=2, seconds=0.5)
IN_HAND = 6
"""Tasks that are worked on when the disk becomes full: their results find no room."""
PUBLISHERS = 4
ROUNDS = 3
IMPATIENT_S = 1.0
"""How long this test's own publishers wait for the broker's word, and try again: the product's are more patient."""


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own; made and filled by whoever may mount one."""
    folder = tmp_path / "mesh" / BROKER
    folder.mkdir(parents=True)
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root on Linux can mount a disk of 64 MB")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a disk of 64 MB cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    for name in ("PUBLISH_RETRY_S", "REPLY_S"):
        monkeypatch.setattr(nats_storing, name, IMPATIENT_S)


async def fill(store, wanted_refusals):
    """Store from several sides until so many are refused; return what was acknowledged, and the refusals."""
    acknowledged, refusals = [], []

    async def publish():
        while len(refusals) < wanted_refusals:
            try:
                acknowledged.append(await store())
            except ContractError as error:
                refusals.append(error.info)

    await asyncio.gather(*(publish() for _ in range(PUBLISHERS)))
    return acknowledged, refusals


async def test_streams_that_fit_the_disk_refuse_when_full_and_take_more_once_they_are_worked_off(small_disk, outcome):
    bulk = next(c for c in lease_consumers([DataClass.PUBLIC]) if Lane.BULK.value in c.name)
    room = Keeping(store_bytes=FITTING).bytes_of(TASKS)
    body = TASK.to_bytes()
    with EmbeddedBroker.start(small_disk) as broker:
        bus = await NatsBus.connect(broker.url, name="test")
        js = bus.client.jetstream()
        await bus.provision([bulk], keeping=Keeping(store_bytes=FITTING))
        pid = broker.pid

        async def store():
            subject = subjects.submit(Lane.BULK, Address("disk", DataClass.PUBLIC, uuid.uuid4().hex))
            await bus.store(subject, body)
            return subject

        async def work_off(delivery):
            taken.append(delivery.subject)
            await delivery.ack()

        for _ in range(ROUNDS):
            outcome.trials += 1
            acknowledged, refusals = await fill(store, wanted_refusals=20)
            there = [await bus.read(subject) for subject in acknowledged]
            taken = []
            taking = await bus.consume(bulk, work_off, slots=16)
            await until(lambda: _empty(js), "all is worked off")
            await taking.stop()

            outcome.tasks += len(acknowledged)
            outcome.lost += len(set(acknowledged) - set(taken))
            assert all(there)
            assert sorted(taken) == sorted(acknowledged)
            assert len(acknowledged) * len(body) > 0.9 * room
            assert {error.code for error in refusals} == {ErrorCode.OVERLOADED}
            assert all(error.retryable and error.retry_after_s for error in refusals)
        assert (broker.pid, broker.trouble()) == (pid, None)
        await bus.close()


async def _empty(js) -> bool:
    return (await js.stream_info(TASKS.name)).state.messages == 1  # the queue's head


@pytest_asyncio.fixture(loop_scope="session")
async def mesh(small_disk, timed_town):
    async with Mesh.start(agent_path=[timed_town], store=small_disk.parent, agents=["sentiment"]) as running:
        await running.ready(60)
        yield running


async def test_a_disk_that_somebody_else_filled_costs_nothing_acknowledged_and_all_goes_on_when_it_has_room(mesh, small_disk, outcome):
    outcome.trials = 1
    ballast = small_disk / "ballast"

    async with Client.connected(mesh.url) as client, Ledger.opened(client) as ledger:

        async def store():
            address = ledger.address()
            if not await ledger.submit(address, TASK, Lane.BULK, within_s=0.0):
                raise ContractError(ErrorCode.UNAVAILABLE, "refused")
            return address

        announced = []
        await client.bus.watch(subjects.stored("*.>"), announced.append)
        before = pids(mesh)
        in_hand = [ledger.address() for _ in range(IN_HAND)]
        for address in in_hand:
            await ledger.submit(address, SLOW.task(address))
        fill_up(ballast)
        acknowledged, refusals = await fill(store, wanted_refusals=6)
        left = shutil.disk_usage(small_disk).free
        assert mesh.broker.trouble()
        ballast.unlink()
        await until(lambda: mesh.broker.trouble() is None and pids(mesh)[BROKER] not in (None, before[BROKER]), "the broker is back")
        after = ledger.address()
        assert await ledger.submit(after, TASK, Lane.BULK)
        audit = await ledger.settled()
        ledger.close_into(outcome)

    outcome.note(bytes_free_when_full=left, acknowledged_while_full=len(acknowledged), refused=len(refusals))
    twice = len(announced) - len({message.subject for message in announced})
    outcome.duplicates = len(audit.duplicates) + twice  # a torn write leaves a gap in the numbers, which nobody ever saw filled
    assert (audit.lost, audit.foreign, outcome.duplicates) == ((), (), 0), audit
    assert audit.acknowledged == len(acknowledged) + len(in_hand) + 1
    assert audit.statuses == {Status.COMPLETED: audit.acknowledged}
    assert {**pids(mesh), BROKER: 0} == {**before, BROKER: 0}


def fill_up(ballast) -> None:
    """Write a file until the disk has no room for another byte."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1024**2, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
