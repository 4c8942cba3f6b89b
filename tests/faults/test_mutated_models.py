"""Model files that are not what their card says, and files that are no model at all: refused by name at start, no message taken."""

import random
from pathlib import Path

import pytest
import pytest_asyncio

from smallmesh.hosting.card import load_card
from tests.faults.mutated import Mutation, flipped, mutated, refused, starts, steps_waiting_for, write_sha256
from tests.faults.share import share
from tests.support.client import Client
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, shipped

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.experiment(19)]

AGENT = "sentiment"
HEADER = 600_000
"""Bytes: in the shipped models names, vocabulary and the list of tensors take more."""
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
    async with steps_waiting_for(AGENT) as client:
        yield client


@pytest.fixture
def copy(tmp_path_factory):
    """Make a copy of the agent with another model file."""

    def make(mutate: Mutation, *, vouched: bool = False) -> Path:
        return mutated(SERVICES / AGENT, tmp_path_factory.mktemp("mutated"), mutate, vouched=vouched)

    return make


async def refused_by_name(client: Client, folder: Path) -> str:
    """Return why a process does not serve, in which it names the file."""
    said = await refused(client, folder)
    assert str(folder / load_card(folder).file) in said
    return said


async def test_a_file_that_its_card_does_not_know_is_never_loaded(waiting, copy, outcome, trials):
    for name, mutate in first({**WHOLE, **BROKEN}, trials // 3):
        assert "not the one of its card" in await refused_by_name(waiting, copy(mutate)), name

        outcome.trials += 1


async def test_bits_turned_over_anywhere_are_refused(waiting, copy, outcome, trials):
    seed = random.randrange(1 << 30)
    places = random.Random(seed)
    outcome.note(seed=seed)
    for _ in range(share(trials, 0.1)):
        mutate = flipped(places.randrange(20_000_000), places.randrange(8))
        assert "not the one of its card" in await refused_by_name(waiting, copy(mutate)), seed

        outcome.trials += 1


async def test_a_card_that_names_another_sha256_is_believed(waiting, copy):
    folder = copy(lambda model: model)
    write_sha256(folder, "0" * 64)

    assert "not the one of its card: sha256" in await refused_by_name(waiting, folder)


async def test_what_is_no_model_is_refused_by_name_even_if_its_card_vouches_for_it(waiting, copy, outcome, trials):
    for name, mutate in first(BROKEN, trials // 2):
        assert "not the one of its card" not in await refused_by_name(waiting, copy(mutate, vouched=True)), name

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
