"""The process of every agent: its health, its logs, its end."""

import os
import signal
import socket
import time
import uuid

import pytest

from smallmesh_contracts import ErrorCode, Lane, limits, subjects
from tests.support.client import new_address
from tests.support.meshes import http_status, log_of, process, records, replaced

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

SENTENCE = "The committee read the report of the harbour office twice and asked for the missing invoices. "
LONG = SENTENCE * (limits.KIB * 12 // len(SENTENCE))
HEALTHY_WITHIN_S = 0.1
ASKS = 3
ATTEMPTS = 3
"""A busy machine may hold up any process for a while; an event loop that inference blocks is held up each time."""
ENDS_WITHIN_S = 10.0


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_healthy_agent_says_so(agent, client, path):
    told = await client.info(agent.agent.name)

    assert await http_status(told["health"], path) == 200


async def test_another_path_is_not_found(agent, client):
    told = await client.info(agent.agent.name)

    assert await http_status(told["health"], "/metrics-of-somebody") == 404


async def while_busy(client, found, health) -> tuple[float, int, int]:
    """Return the longest time that health took while the agent read a long text in the bulk lane, the asks answered, the windows read."""
    name, address = found.agent.name, new_address()
    result = subjects.result(address, name, found.agent.answer)
    await client.step(name, address, LONG, lane=Lane.BULK)
    slowest, asked = 0.0, 0
    while await client.bus.read(result) is None:
        began = time.perf_counter()
        assert await http_status(health, "/livez") == 200
        slowest = max(slowest, time.perf_counter() - began)
        if asked < ASKS:
            answer, _ = await client.ask(name, {"text": SENTENCE})
            assert answer.error is None
            asked += 1
    answer = (await client.result(address, name, found.agent.answer))[0].answer
    assert answer.error is None
    return slowest, asked, answer.provenance.windows


async def test_a_long_text_in_the_bulk_lane_holds_up_neither_health_nor_asks(agent, client):
    health = (await client.info(agent.agent.name))["health"]

    slowest = []
    while len(slowest) < ATTEMPTS and min(slowest, default=1.0) > HEALTHY_WITHIN_S:
        longest, asked, windows = await while_busy(client, agent, health)
        slowest.append(longest)
        assert asked == ASKS or windows == 1, "asks went through while the long text was read, unless one window was all of it"

    assert min(slowest) <= HEALTHY_WITHIN_S, slowest


async def test_no_word_of_a_text_stands_in_the_log(agent, client, mesh):
    name, address = agent.agent.name, new_address()
    secret = f"quagga{uuid.uuid4().hex}"
    text = f"{secret} wrote to the office in Lisbon. {SENTENCE}"

    await client.ask(name, {"text": text, "instruction": secret})
    await client.ask(name, {"text": secret, "max_sentences": secret, "instruction": 5})
    await client.ask(name, f'{{"text": "{secret}'.encode())
    await client.step(name, address, text)
    await client.result(address, name, agent.agent.answer)
    await client.step(name, broken := new_address(), f'{{"digest": "{secret}", "request": {{"{secret}'.encode())
    failed, _ = await client.result(broken, name, agent.agent.answer)

    assert failed.answer.error.code is ErrorCode.INVALID_REQUEST
    assert records(mesh, name, "model_call", task_id=address.task_id), "the log is that of this agent"
    assert secret not in log_of(mesh, name)


async def test_sigterm_ends_an_agent_cleanly_and_soon(agent, client, mesh):
    name = agent.agent.name
    pid = (await replaced(mesh, name, None)).pid
    began = time.monotonic()

    os.kill(pid, signal.SIGTERM)
    await replaced(mesh, name, pid)

    assert process(mesh, name).exit_status == 0
    assert time.monotonic() - began < ENDS_WITHIN_S
    assert records(mesh, name, "stopped", replica=f"{socket.gethostname()}-{pid}")
    assert (await client.ask(name, {"text": SENTENCE}))[0].error is None
