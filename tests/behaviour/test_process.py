"""The process of every agent: its health, its logs, its end."""

import asyncio
import os
import signal
import time
import uuid

import pytest

from smallmesh_contracts import ErrorCode, limits
from tests.support.client import new_address
from tests.support.meshes import http_status, log_of, process, records, replaced

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

SENTENCE = "The committee read the report of the harbour office twice and asked for the missing invoices. "
LONG = {"text": SENTENCE * (limits.KIB * 32 // len(SENTENCE))}
HEALTHY_WITHIN_S = 0.1
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


async def slowest_while_busy(client, name, address) -> float:
    """Return the longest time that health took while the agent read a text of full length."""
    reading = asyncio.create_task(client.ask(name, LONG))
    slowest, looks = 0.0, 0
    while not reading.done():
        began = time.perf_counter()
        assert await http_status(address, "/livez") == 200
        slowest, looks = max(slowest, time.perf_counter() - began), looks + 1
        await asyncio.sleep(0.005)
    answer, _ = await reading
    assert answer.error is None
    assert looks > 1, "the text was read before health was asked twice"
    return slowest


async def test_health_answers_at_once_while_the_model_reads_a_long_text(agent, client):
    address = (await client.info(agent.agent.name))["health"]

    measured = []
    while len(measured) < ATTEMPTS and min(measured, default=1.0) > HEALTHY_WITHIN_S:
        measured.append(await slowest_while_busy(client, agent.agent.name, address))

    assert min(measured) <= HEALTHY_WITHIN_S, measured


async def test_short_asks_are_answered_while_a_long_text_is_read_through_the_other_lane(agent, client):
    name, address = agent.agent.name, new_address()
    await client.step(name, address, LONG["text"])

    answer, _ = await client.ask(name, {"text": SENTENCE})

    result, _ = await client.result(address, name, agent.agent.answer)
    assert answer.error is None
    assert result.answer.error is None


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
    assert records(mesh, name, "stopped", replica=str(pid))
    assert (await client.ask(name, {"text": SENTENCE}))[0].error is None
