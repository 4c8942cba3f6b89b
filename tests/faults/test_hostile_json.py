"""JSON that is meant to cost much: refused for less than a tenth of a second of work, and nobody else waits for it."""

import asyncio
import json
import time
from pathlib import Path

import pytest
import pytest_asyncio

from smallmesh_contracts import (
    Address,
    Answer,
    ContractError,
    DataClass,
    ErrorCode,
    Lane,
    Status,
    Task,
    decode,
    digest_of,
    subjects,
)
from tests.faults.hamlet import ECHO, unharmed
from tests.support.client import new_address
from tests.support.meshes import pids

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.experiment(11)]

DEEP = 200_000
MOST = 4_100_000
"""Bytes: all that a queue takes of one message, nearly."""
WORTH_MS = 100.0
"""Processor time of the process that refuses it: to receive it, to look at it, to keep it as a dead letter and to say so."""
TIMES_PLAIN = 3.0
"""On a machine so busy that even a plain text of that length takes long, so many times as much as that."""
DELAY_S = 5.0
"""A run beside hostile bodies, also on a busy machine: a mesh that reads each of them for seconds is far over it."""
REFUSED = {ErrorCode.INVALID_REQUEST, ErrorCode.TOO_LONG}


def as_many(piece: bytes) -> int:
    return MOST // (len(piece) + 1)


def keys(count: int) -> bytes:
    return b",".join(b'"%x":0' % n for n in range(count))


def repeated(piece: bytes) -> bytes:
    return b",".join([piece] * as_many(piece))


def in_metadata(value: bytes) -> bytes:
    return b'{"text": "Hello", "wanted": ["echo"], "metadata": {"a": ' + value + b"}}"


HOSTILE = {
    "a list 200,000 deep": in_metadata(b"[" * DEEP + b"]" * DEEP),
    "an object 200,000 deep": in_metadata(b'{"a":' * DEEP + b"0" + b"}" * DEEP),
    "a list 200,000 deep and no end": in_metadata(b"[" * DEEP),
    "a body 200,000 deep": b"[" * DEEP + b"]" * DEEP,
    "as many keys as fit into the metadata": in_metadata(b"{" + keys(MOST // 11) + b"}"),
    "as many keys as fit beside the text": b'{"text": "Hello", "wanted": ["echo"], ' + keys(MOST // 11) + b"}",
    "one key as often as it fits": in_metadata(b"{" + repeated(b'"a":0') + b"}"),
    "as many numbers as fit": in_metadata(b"[" + repeated(b"0") + b"]"),
    "as many floats as fit": in_metadata(b"[" + repeated(b"1e9") + b"]"),
    "as many empty lists as fit": in_metadata(b"[" + repeated(b"[]") + b"]"),
    "as many numbers wanted as fit": b'{"text": "Hello", "wanted": [' + repeated(b"1") + b"]}",
    "as many answers wanted as fit": b'{"text": "Hello", "wanted": [' + repeated(b'"aa"') + b"]}",
    "an integer of four million digits": in_metadata(b"9" * MOST),
    "a NaN in the metadata": in_metadata(b"NaN"),
    "a NaN for a budget": b'{"text": "Hello", "wanted": ["echo"], "timeout_s": NaN}',
    "an infinity": in_metadata(b"-Infinity"),
    "a number beyond all floats": in_metadata(b"1e999"),
}


def processor_ms(pid: int) -> float:
    """Return the processor time that a process has had, all its threads, in milliseconds."""
    return sum(int(one.read_text().split()[0]) for one in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e6


async def at_rest(pid: int) -> float:
    """Return a process's processor time once it has nothing to do."""
    before = -1.0
    while (now := processor_ms(pid)) - before > 1.0:
        before = now
        await asyncio.sleep(0.05)
    return now


class Neighbour:
    """Runs a word again and again, one after another, and notes what the slowest took."""

    def __init__(self, client):
        self.client = client
        self.slowest_s = 0.0
        self.served = 0

    async def __aenter__(self):
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._running.cancel()
        await asyncio.wait([self._running])
        if not self._running.cancelled():
            self._running.result()

    async def _run(self):
        while True:
            began = time.monotonic()
            assert (await self.client.run(Task(text="Still there?", wanted=(ECHO,)))).status is Status.COMPLETED
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.served += 1
            await asyncio.sleep(0.01)


async def refusal_ms(hamlet, body: bytes) -> float:
    """Return the processor time that the orchestrator takes to refuse a submission, from its arrival to the end of all that follows."""
    pid, address = pids(hamlet.mesh)["orchestrator"], new_address()
    before = await at_rest(pid)
    assert await hamlet.client.submit(address, body, Lane.BULK)
    done = await hamlet.client.done(address)
    await hamlet.client.idle()

    assert (done.status, done.answers) == (Status.FAILED, {})
    assert done.error.code in REFUSED
    return await at_rest(pid) - before


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def worth_ms(hamlet) -> float:
    """What a refusal may cost on this machine."""
    plain = b'{"text": "' + b"x" * MOST + b'"}'
    return max(WORTH_MS, TIMES_PLAIN * min([await refusal_ms(hamlet, plain) for _ in range(2)]))


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
async def test_it_is_refused_for_a_tenth_of_a_second_of_work(hardy, worth_ms, outcome, trials, body):
    took = []
    async with unharmed(hardy):
        while not took or (min(took) > worth_ms and len(took) < trials):
            took.append(await refusal_ms(hardy, body))

    outcome.note(processor_ms=round(min(took), 1), bytes=len(body), worth_ms=round(worth_ms))
    assert min(took) <= worth_ms, took


async def test_a_million_keys_are_more_than_the_broker_takes(hardy):
    async with unharmed(hardy):
        with pytest.raises(ContractError) as refused:
            await hardy.client.submit(new_address(), in_metadata(b"{" + keys(10**6) + b"}"), Lane.BULK)

    assert refused.value.info.code is ErrorCode.TOO_LONG


async def test_nobody_else_waits_for_it(hardy, outcome, trials):
    bodies = [HOSTILE[name] for name in ("as many keys as fit into the metadata", "as many numbers wanted as fit")] * min(trials, 3)
    addresses = [new_address() for _ in bodies]

    async with unharmed(hardy), Neighbour(hardy.client) as neighbour:
        for address, body in zip(addresses, bodies, strict=True):
            await hardy.client.submit(address, body)
        codes = {(await hardy.client.done(address)).error.code for address in addresses}

    outcome.note(slowest_run_beside_it_s=round(neighbour.slowest_s, 3), runs=neighbour.served)
    assert codes <= REFUSED
    assert neighbour.slowest_s < DELAY_S


@pytest.mark.parametrize("name", ["a list 200,000 deep", "as many keys as fit beside the text", "as many numbers as fit"])
async def test_an_agent_that_is_asked_so_answers_for_a_tenth_of_a_second_of_work(hardy, worth_ms, trials, name):
    pid, took = pids(hardy.mesh)[ECHO], []

    async with unharmed(hardy):
        while not took or (min(took) > worth_ms and len(took) < trials):
            before = await at_rest(pid)
            reply = await hardy.client.bus.request(subjects.ask(ECHO), HOSTILE[name], timeout_s=10.0)
            decode(Answer, reply.body)
            took.append(await at_rest(pid) - before)

    assert min(took) <= worth_ms, took


async def test_of_a_key_that_stands_twice_everybody_reads_the_last(hardy):
    """JSON leaves it open; the contract says nothing. What must not be is two readers that differ, one of them a fence."""
    last = {"text": "Second words", "wanted": [ECHO], "tenant": "mine", "metadata": {"colour": "blue"}}
    twice = b'{"text": "First words", "tenant": "another", "metadata": {"colour": "red"}, ' + json.dumps(last).encode()[1:]
    address = Address("mine", DataClass.PUBLIC, new_address().task_id)

    async with unharmed(hardy):
        done = await hardy.client.whole(address, twice)

    assert (done.status, done.metadata) == (Status.COMPLETED, {"colour": "blue"})
    assert done.answers[ECHO].value["said"] == "SECOND"
    assert done.digest == digest_of(json.dumps(last).encode())
