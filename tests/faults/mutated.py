"""Copies of an agent with another model file, and how a process ends that is to serve one."""

import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.layout import step_consumers
from smallmesh.hosting.card import CARD_FILE, load_card, sha256_of
from smallmesh_contracts import Lane
from tests.support.client import Client, new_address
from tests.support.processes import Ended, ended, environment, serve

WITHIN_S = 20.0
"""A process that has not ended by then serves."""
Mutation = Callable[[bytes], bytes]


def flipped(position: int, bit: int = 0) -> Mutation:
    """Return what turns one bit of a file over."""

    def flip(model: bytes) -> bytes:
        at = position % len(model)
        return model[:at] + bytes([model[at] ^ 1 << bit]) + model[at + 1 :]

    return flip


@asynccontextmanager
async def steps_waiting_for(agent: str) -> AsyncIterator[Client]:
    """A client of a broker where steps wait for an agent, in each lane."""
    with EmbeddedBroker.start() as broker:
        async with Client.connected(broker.url) as client:
            await client.bus.provision(step_consumers(agent).values())
            for lane in Lane:
                assert await client.step(agent, new_address(), "Wait for me.", lane=lane)
            yield client


def mutated(agent: Path, parent: Path, mutate: Mutation, *, vouched: bool = False) -> Path:
    """Copy an agent's folder, with another model file: one that its card does not know, or one that it vouches for."""
    folder = parent / agent.name
    shutil.copytree(agent, folder, ignore=shutil.ignore_patterns("__pycache__", "*.jsonl"))
    file = folder / load_card(folder).file
    file.write_bytes(mutate(file.read_bytes()))
    if vouched:
        write_sha256(folder, sha256_of(file))
    return folder


def write_sha256(folder: Path, sha256: str) -> None:
    """Write another sha256 into a folder's card."""
    card = folder / CARD_FILE
    card.write_text(re.sub(r'sha256 = "[0-9a-f]+"', f'sha256 = "{sha256}"', card.read_text(encoding="utf-8")), encoding="utf-8")


async def starts(client: Client, folder: Path) -> Ended:
    """Return how the agent ends that is started from a folder.

    Raises:
        TimeoutError: It serves.
    """
    env = environment(folder.parent, nats_url=client.bus.client.connected_url.geturl())
    return await ended(await serve("agent", folder.name, env=env), within_s=WITHIN_S)


async def refused(client: Client, folder: Path) -> str:
    """Return the last line in which a process says why it does not serve: it has ended with a status of its own and taken nothing."""
    end = await starts(client, folder)
    assert end.status > 0, f"ended by signal {-end.status}" if end.status else "it ended well"
    assert "Traceback" not in end.out + end.err
    told = [await client.consumer(consumer) for consumer in step_consumers(folder.name).values()]
    assert [(info.delivered.consumer_seq, info.num_ack_pending, info.num_pending) for info in told] == [(0, 0, 1)] * len(Lane)
    said = end.err.splitlines()[-1]
    assert said.startswith(f"smallmesh: {folder.name}: ")
    return said
