"""Watching a real broker: what passes by is told, nothing is taken away, and Ctrl-C ends it."""

import asyncio
import contextlib
import json
import signal
import sys

import pytest

from smallmesh.bus.layout import DONE
from smallmesh.dead_letters import bury
from smallmesh_contracts import (
    Address,
    Answer,
    DataClass,
    ErrorCode,
    ErrorInfo,
    Lane,
    Provenance,
    Status,
    StepResult,
    Task,
    TaskResult,
    subjects,
)
from tests.support.patience import PATIENCE_S
from tests.support.processes import ended, environment

pytestmark = pytest.mark.mesh

KNOCK = "knock"
SECRET = "The treasure lies under the oak."
ANSWER = Answer(
    value={"summary": SECRET, "method": "extractive", "sentences": 1},
    provenance=Provenance(model_id="m", prompt_version="p", answered_by="summarizer", waited_ms=0.0, worked_ms=3.0),
)


@contextlib.asynccontextmanager
async def watching(broker, nats_bus, tenant, *options):
    """Start the command for a tenant; go on once it listens, which a message that no stream keeps tells."""
    arguments = ("-P", "-m", "smallmesh.cli", "watch", "--nats", broker.url, "--json", "--tenant", tenant, *options)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment("."), stdout=pipe, stderr=pipe)
    knocking = asyncio.create_task(_knock(nats_bus, tenant))
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert json.loads(await process.stdout.readline())["id"] == KNOCK
        knocking.cancel()
        yield process
    finally:
        knocking.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _knock(nats_bus, tenant):
    subject = subjects.stored(subjects.result(Address(tenant, DataClass.PUBLIC, KNOCK), "nobody", "nothing"))
    while True:
        await nats_bus.client.publish(subject, StepResult(digest="d", answer=Answer()).to_bytes())
        await asyncio.sleep(0.05)


async def events(process, number):
    """Return the next events that are of a task."""
    told = []
    async with asyncio.timeout(PATIENCE_S):
        while len(told) < number:
            event = json.loads(await process.stdout.readline())
            if event["id"] != KNOCK:
                told.append(event)
    return told


async def live_through(nats_bus, address, lane=Lane.BULK):
    """Do to a task what a client, an agent and an orchestrator do."""
    await nats_bus.store(subjects.submit(lane, address), Task(text=SECRET).to_bytes())
    await nats_bus.store(subjects.result(address, "summarizer", "summary"), StepResult(digest="d", answer=ANSWER).to_bytes())
    result = TaskResult(
        task_id=address.task_id,
        tenant=address.tenant,
        data_class=address.data_class,
        status=Status.PARTIAL,
        answers={"summary": ANSWER},
        digest="d",
        took_ms=12.0,
    )
    await nats_bus.store(subjects.done(address), result.to_bytes())


async def test_a_task_is_told_from_its_submission_to_its_end(broker, nats_bus, new_address):
    address = new_address(DataClass.PUBLIC)

    async with watching(broker, nats_bus, address.tenant) as process:
        await live_through(nats_bus, address)
        first, second, third = await events(process, 3)

    assert [one["event"] for one in (first, second, third)] == ["submitted", "answered", "done"]
    assert {one["id"] for one in (first, second, third)} == {address.task_id}
    assert first["lane"] == "bulk"
    assert second["answers"]["summary"]["ms"] == 3.0
    assert (third["status"], third["took_ms"]) == ("partial", 12.0)
    assert SECRET not in json.dumps([first, second, third])


async def test_values_are_shown_where_they_are_asked_for_and_never_of_restricted_tasks(broker, nats_bus, new_address):
    public, restricted = new_address(DataClass.PUBLIC), new_address(DataClass.RESTRICTED)

    async with watching(broker, nats_bus, public.tenant, "--show-values") as process:
        await live_through(nats_bus, restricted)
        await live_through(nats_bus, public)
        told = await events(process, 6)

    shown = {one["class"]: json.dumps(one) for one in told if one["event"] == "done"}
    assert SECRET in shown["public"]
    assert SECRET not in json.dumps([one for one in told if one["class"] == "restricted"])
    assert SECRET not in json.dumps([one for one in told if one["event"] == "submitted"])


async def test_a_dead_letter_is_told_with_its_reason_and_its_task(broker, nats_bus, new_address):
    address = new_address(DataClass.PUBLIC)

    class Delivery:
        subject, body, headers, deliveries = subjects.submit(Lane.BULK, address), SECRET.encode(), {}, 1
        sequence, arrived_at = id(address) % 10**9, 1_790_000_000.0

    async with watching(broker, nats_bus, address.tenant) as process:
        await bury(nats_bus, Delivery(), "orchestrator", ErrorInfo(code=ErrorCode.INVALID_REQUEST, message="not a task"))
        (letter,) = await events(process, 1)

    assert (letter["event"], letter["origin"], letter["id"]) == ("dead", "orchestrator", address.task_id)
    assert letter["error"]["message"] == "not a task"


async def test_watching_takes_nothing_away(broker, nats_bus, new_address):
    address = new_address(DataClass.PUBLIC)
    js = nats_bus.client.jetstream()

    async with watching(broker, nats_bus, address.tenant) as process:
        await live_through(nats_bus, address)
        await events(process, 3)

        assert await nats_bus.read(subjects.submit(Lane.BULK, address)) is not None
        assert (await js.consumers_info(DONE.name)) == []


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly(broker, nats_bus, new_address, signal_number):
    async with watching(broker, nats_bus, new_address().tenant) as process:
        process.send_signal(signal_number)
        end = await ended(process)

    assert end.status == 0
    assert "Traceback" not in end.err


async def test_it_ends_with_whoever_reads_it(broker, nats_bus, new_address):
    """As with ``smallmesh watch --json | head -1``: the reader goes, and the next line ends the command."""
    async with watching(broker, nats_bus, new_address().tenant) as process:
        process._transport.get_pipe_transport(1).close()
        async with asyncio.timeout(PATIENCE_S):
            while process.returncode is None:
                await live_through(nats_bus, new_address(DataClass.PUBLIC))
                await asyncio.sleep(0.02)
        told = (await process.stderr.read()).decode()

    assert "Traceback" not in told
