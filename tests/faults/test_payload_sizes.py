"""Messages as large as the broker takes, a byte more, and 64 MB: a typed error soon, the connection alive, memory bounded."""

import json
import time
from contextlib import asynccontextmanager

import nats.errors
import pytest
import pytest_asyncio
from nats.js.errors import APIError

from smallmesh.bus.provision import DEAD_LETTER_ROOM
from smallmesh_contracts import Answer, ContractError, DataClass, ErrorCode, Lane, Status, Task, TaskResult, decode, subjects
from smallmesh_contracts.client import Client as Backend
from tests.faults.hamlet import ECHO, unharmed, wire_subject
from tests.faults.raw_nats import RawNats
from tests.support.client import Client, new_address

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.experiment(9)]

MB = 1024 * 1024
WITHIN_S = 1.0
A_BUSY_MACHINE = 15.0
"""By the clock things may take so many times longer where others work too."""
GROWTH = 96 * MB
"""What a process may have grown by: some copies of the largest message that there can be."""
FAR_TOO_MUCH = 64 * MB
AROUND = (-1, 0, 1)
TRACE = f"00-{1:032x}-{1:016x}-01"
"""A header: what the broker counts is the body and it."""
TOO_LARGE = 10054
"""The broker's number for a message larger than its stream takes."""


@pytest_asyncio.fixture(loop_scope="session")
async def backend(hardy):
    async with Backend.connect(hardy.url, "sizes", DataClass.INTERNAL) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def connection(hardy):
    """A connection of this test's own, that it may lose."""
    async with Client.connected(hardy.url) as client:
        yield client


@pytest.fixture
def largest(hardy) -> int:
    """What the broker takes in one message, in bytes."""
    return hardy.client.bus.client.max_payload


@asynccontextmanager
async def soon_and_small(hamlet):
    """What is done in here takes a second at most, leaves the mesh as it was, and lets no process grow for good."""
    before = {info.name: info.memory_bytes for info in hamlet.mesh.processes}
    async with unharmed(hamlet):
        yield
    grown = {info.name: info.memory_bytes - before[info.name] for info in hamlet.mesh.processes}
    assert max(grown.values()) < GROWTH, grown


@asynccontextmanager
async def within(seconds: float):
    """What is done in here takes so much processor time of this process at most, and not much more by the clock."""
    began, worked = time.monotonic(), time.process_time()
    yield
    assert time.process_time() - worked < seconds
    assert time.monotonic() - began < seconds * A_BUSY_MACHINE


def padded(size: int, **fields: object) -> bytes:
    """Return a task's body of exactly so many bytes."""
    empty = json.dumps({"wanted": [ECHO], **fields, "text": ""}).encode()
    return json.dumps({"wanted": [ECHO], **fields, "text": "x" * (size - len(empty))}).encode()


def text_for(size: int) -> str:
    """Return the text of an ask of exactly so many bytes."""
    return "x" * (size - len(json.dumps({"text": ""})))


# ---------------------------------------------------------------- a socket of one's own


async def test_the_broker_says_so_to_whoever_sends_a_byte_more_than_it_takes_and_everybody_else_stays_connected(hardy, largest):
    async with soon_and_small(hardy):
        for more in AROUND:
            async with RawNats.connected(hardy.url) as raw, within(WITHIN_S):
                said = await raw.publish(wire_subject(new_address()), padded(largest + more))
            assert said == ([b"-ERR 'Maximum Payload Violation'", b""] if more > 0 else [])


async def test_64_megabytes_are_refused_before_they_are_read(hardy):
    async with soon_and_small(hardy):
        async with RawNats.connected(hardy.url) as raw, within(WITHIN_S):
            said = await raw.announce(wire_subject(new_address()), FAR_TOO_MUCH)
        assert said == [b"-ERR 'Maximum Payload Violation'", b""]


async def test_a_stream_refuses_what_would_not_fit_into_a_dead_letter(hardy, connection, largest):
    async with soon_and_small(hardy), within(WITHIN_S):
        with pytest.raises(APIError) as refused:
            await connection.js.publish(subjects.submit(Lane.BULK, new_address()), padded(largest - DEAD_LETTER_ROOM + 1))

    assert refused.value.err_code == TOO_LARGE
    assert connection.bus.client.is_connected


# ---------------------------------------------------------------- our own clients


@pytest.mark.parametrize("more", AROUND)
async def test_the_bus_says_too_long_and_goes_on(hardy, connection, largest, more):
    for where in (subjects.submit(Lane.BULK, new_address()), subjects.done(new_address())):
        async with soon_and_small(hardy), within(WITHIN_S):
            with pytest.raises(ContractError) as refused:
                await connection.bus.store(where, padded(largest + more), {"Colour": "red"})
        assert refused.value.info.code is ErrorCode.TOO_LONG
        assert connection.bus.client.is_connected


@pytest.mark.parametrize("size", ["-1", "0", "1", "64 MB"])
async def test_a_backend_is_told_too_long_and_goes_on(hardy, backend, largest, size):
    text = text_for(FAR_TOO_MUCH if size == "64 MB" else largest + int(size))
    task = Task(text="Still there?", wanted=(ECHO,))

    async with soon_and_small(hardy):
        for send in (backend.submit, backend.run):
            async with within(WITHIN_S):
                with pytest.raises(ContractError) as refused:
                    await send(text)
            assert refused.value.info.code is ErrorCode.TOO_LONG
        async with within(WITHIN_S):
            assert await code_of_ask(backend, text) is ErrorCode.TOO_LONG

        assert (await backend.run(task)).status is Status.COMPLETED
        submitted = await backend.submit(task)
        assert (await backend.result(submitted.task_id)).status is Status.COMPLETED


async def code_of_ask(backend, text: str) -> ErrorCode:
    """An ask is refused here where the broker would not take it, and by the agent where it does."""
    try:
        return (await backend.ask(ECHO, text, traceparent=TRACE)).error.code
    except ContractError as error:
        return error.info.code


# ---------------------------------------------------------------- what the broker takes all the same


async def test_the_largest_submission_that_a_stream_takes_fails_typed_and_its_dead_letter_holds_all_of_it(hardy, connection, largest):
    address = new_address()
    origin, body = subjects.submit(Lane.BULK, address), padded(largest - DEAD_LETTER_ROOM)

    async with soon_and_small(hardy):
        async with within(5 * WITHIN_S):
            await connection.js.publish(origin, body)
            letter = await hardy.letter(origin)
        done = await hardy.client.done(address)

    assert (done.status, done.error.code) == (Status.FAILED, ErrorCode.TOO_LONG)
    assert (letter.payload, letter.deliveries) == (body, 1)


@pytest.mark.parametrize("more", AROUND)
async def test_the_largest_run_and_ask_that_the_broker_takes_are_answered_typed(hardy, connection, largest, more):
    asking = connection.bus.client

    async with soon_and_small(hardy):
        for subject, answer in ((subjects.run("sizes", DataClass.PUBLIC), TaskResult), (subjects.ask(ECHO), Answer)):
            async with within(WITHIN_S):
                if more > 0:
                    with pytest.raises(nats.errors.MaxPayloadError):
                        await asking.request(subject, padded(largest + more), timeout=WITHIN_S * A_BUSY_MACHINE)
                    continue
                reply = await asking.request(subject, padded(largest + more), timeout=WITHIN_S * A_BUSY_MACHINE)
            assert decode(answer, reply.data).error.code is ErrorCode.TOO_LONG
    assert asking.is_connected
