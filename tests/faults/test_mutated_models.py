"""Model files that are not what their card says, and files that are no model at all: refused by name at start, no message taken.

A chat template and a schema that cannot be built belong to models that generate, which none of this mesh does yet.
"""

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.layout import step_consumers
from smallmesh.hosting.card import CARD_FILE, load_card, sha256_of
from smallmesh_contracts import Lane
from tests.faults.share import share
from tests.support.client import Client, new_address
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, shipped
from tests.support.processes import Ended, ended, environment, serve

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.experiment(19)]

AGENT = "sentiment"
WITHIN_S = 20.0
"""A process that has not ended by then serves."""
HEADER = 600_000
"""Bytes: in the shipped models names, vocabulary and the list of tensors take more."""
Mutation = Callable[[bytes], bytes]


def flipped(position: int, bit: int = 0) -> Mutation:
    """Return what turns one bit of a file over."""

    def flip(model: bytes) -> bytes:
        at = position % len(model)
        return model[:at] + bytes([model[at] ^ 1 << bit]) + model[at + 1 :]

    return flip


BROKEN: dict[str, Mutation] = {
    "its first half": lambda model: model[: len(model) // 2],
    "another number of tensors": flipped(8, bit=1),
    "nothing": lambda _: b"",
    "a text": lambda _: b"Weights will follow by mail.\n" * 1000,
    "all but its last thousand bytes": lambda model: model[:-1000],
    "another magic number": flipped(0),
    "another version": flipped(4, bit=6),
    "another number of names": flipped(16, bit=2),
}
"""What is no model any more, whoever vouches for it; the first are tried first."""
WHOLE: dict[str, Mutation] = {
    "a bit of the weights": flipped(-5_000_000),
    "a bit of the vocabulary": flipped(100_000),
    "a byte less": lambda model: model[:-1],
    "a byte more": lambda model: model + b"\0",
}
"""What llama.cpp would load: only the card can tell."""


@pytest.fixture(scope="module", autouse=True)
def _there():
    if missing_pieces(shipped()[AGENT].folder, RUNNABLE):
        pytest.skip(f"{AGENT} has no model")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def waiting():
    """A client of a broker where steps wait for the agent, in each lane."""
    with EmbeddedBroker.start() as broker:
        async with Client.connected(broker.url) as client:
            await client.bus.provision(step_consumers(AGENT).values())
            for lane in Lane:
                assert await client.step(AGENT, new_address(), "Wait for me.", lane=lane)
            yield client


@pytest.fixture
def copy(tmp_path_factory):
    """Make a copy of the agent, with another model file: one that its card does not know, or one that it vouches for."""

    def make(mutate: Mutation, *, vouched: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("mutated") / AGENT
        shutil.copytree(SERVICES / AGENT, folder, ignore=shutil.ignore_patterns("__pycache__", "*.jsonl"))
        card = load_card(folder)
        file = folder / card.file
        file.write_bytes(mutate(file.read_bytes()))
        if vouched:
            write_sha256(folder, sha256_of(file))
        return folder

    return make


def write_sha256(folder: Path, sha256: str) -> None:
    card = folder / CARD_FILE
    card.write_text(re.sub(r'sha256 = "[0-9a-f]+"', f'sha256 = "{sha256}"', card.read_text(encoding="utf-8")), encoding="utf-8")


async def starts(client: Client, folder: Path) -> Ended:
    """Return how the agent ends that is started from a folder."""
    env = environment(folder.parent, nats_url=client.bus.client.connected_url.geturl())
    return await ended(await serve("agent", AGENT, env=env), within_s=WITHIN_S)


async def nothing_was_taken(client: Client) -> bool:
    told = [await client.consumer(consumer) for consumer in step_consumers(AGENT).values()]
    return all((info.delivered.consumer_seq, info.num_ack_pending, info.num_pending) == (0, 0, 1) for info in told)


async def refused(client: Client, folder: Path) -> str:
    """Return the last line in which a process says why it does not serve; it has ended with a status of its own."""
    end = await starts(client, folder)
    assert end.status > 0, f"ended by signal {-end.status}" if end.status else "it ended well"
    assert "Traceback" not in end.out + end.err
    assert await nothing_was_taken(client)
    said = end.err.splitlines()[-1]
    assert said.startswith(f"smallmesh: {AGENT}: ")
    assert str(folder / load_card(folder).file) in said
    return said


async def test_a_file_that_its_card_does_not_know_is_never_loaded(waiting, copy, outcome, trials):
    for name, mutate in first({**WHOLE, **BROKEN}, trials // 3):
        assert "not the one of its card" in await refused(waiting, copy(mutate)), name

        outcome.trials += 1


async def test_bits_turned_over_anywhere_are_refused(waiting, copy, outcome, trials):
    seed = random.randrange(1 << 30)
    places = random.Random(seed)
    outcome.note(seed=seed)
    for _ in range(share(trials, 0.1)):
        mutate = flipped(places.randrange(20_000_000), places.randrange(8))
        assert "not the one of its card" in await refused(waiting, copy(mutate)), seed

        outcome.trials += 1


async def test_a_card_that_names_another_sha256_is_believed(waiting, copy):
    folder = copy(lambda model: model)
    write_sha256(folder, "0" * 64)

    assert "not the one of its card: sha256" in await refused(waiting, folder)


async def test_what_is_no_model_is_refused_by_name_even_if_its_card_vouches_for_it(waiting, copy, outcome, trials):
    for name, mutate in first(BROKEN, trials // 2):
        assert "not the one of its card" not in await refused(waiting, copy(mutate, vouched=True)), name

        outcome.trials += 1


def first(mutations: dict[str, Mutation], count: int) -> list[tuple[str, Mutation]]:
    return list(mutations.items())[: max(1, count)]


@pytest.mark.long
async def test_bits_turned_over_in_a_header_that_its_card_vouches_for_end_no_process_without_a_word(waiting, copy, outcome, trials):
    seed = random.randrange(1 << 30)
    places, ends = random.Random(seed), {"refused": 0, "by signal": 0, "served": 0}
    outcome.note(seed=seed)
    for _ in range(share(trials, 0.1)):
        folder = copy(flipped(places.randrange(HEADER), places.randrange(8)), vouched=True)
        outcome.trials += 1
        ends[await how_it_goes(waiting, folder)] += 1
    outcome.note(**ends)
    assert ends["by signal"] == 0


async def how_it_goes(client: Client, folder: Path) -> str:
    try:
        end = await starts(client, folder)
    except TimeoutError:
        return "served"
    return "by signal" if end.status < 0 else "refused"
