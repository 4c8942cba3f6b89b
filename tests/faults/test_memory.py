"""Experiment 20: too little memory for the model. The limit is the kernel's, on the process's address space."""

import asyncio
import resource
import sys
from pathlib import Path

import pytest

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.layout import all_consumers, step_consumers
from smallmesh_contracts import Lane
from tests.faults.share import share
from tests.support.client import Client, new_address
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, shipped
from tests.support.processes import ended, environment
from tests.support.serving import served

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.experiment(20),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux refuses memory by RLIMIT_AS"),
]

AGENT = "sentiment"
KIB = 1024
LARGEST, SMALLEST = 0.97, 0.6
"""Of what it needs. Under the smallest not even the interpreter has loaded what it wants to say."""
MOST = 6


async def test_with_too_little_memory_it_is_never_ready_takes_nothing_and_says_why(outcome, trials):
    if missing_pieces(shipped()[AGENT].folder, RUNNABLE):
        pytest.skip(f"{AGENT} has no model")
    with EmbeddedBroker.start() as broker:
        async with Client.connected(broker.url) as client:
            await client.bus.provision(all_consumers([AGENT], []))
            needs = await needed(client)
            await client.step(AGENT, new_address(), "Who reads this has taken it.")
            for limit in limits(needs, min(MOST, share(trials, 0.1) + 1)):
                await cannot_serve(client, limit)
                outcome.trials += 1
    outcome.note(needs_mb=needs // KIB**2)


async def needed(client) -> int:
    """Return the bytes of address space that the agent has asked for when it is ready."""
    async with served(client, url_of(client), SERVICES, "agent", AGENT) as process:
        return address_space(process.pid)


def address_space(pid) -> int:
    """Return the most bytes of address space that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * KIB for line in status.splitlines() if line.startswith("VmPeak:"))


def url_of(client) -> str:
    """Return the address of a client's broker."""
    return f"nats://{client.bus.client.connected_url.netloc}"


def limits(needs, count) -> list[int]:
    """Return so many limits, from nearly enough to far too little."""
    return [int(needs * (LARGEST - (LARGEST - SMALLEST) * number / count)) for number in range(count)]


async def cannot_serve(client, limit) -> None:
    """See that an agent with so much address space ends by itself, having said why and taken nothing."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "smallmesh.serving", "agent", AGENT),
        env=environment(SERVICES, nats_url=url_of(client)),
        stdout=pipe,
        stderr=pipe,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    end = await ended(process)

    words = f"{limit // KIB**2} MiB: status {end.status}: {end.err}"
    assert end.status != 0, words
    assert '"ready"' not in end.out, words
    assert "memory" in end.err.strip().splitlines()[-1].lower(), words
    told = [await client.consumer(consumer) for consumer in step_consumers(AGENT).values()]
    assert [(one.delivered.consumer_seq, one.num_ack_pending) for one in told] == [(0, 0)] * len(Lane), words
    assert sum(one.num_pending for one in told) == 1, words
