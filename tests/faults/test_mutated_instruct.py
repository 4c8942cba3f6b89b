"""Instruct models whose file, template or vocabulary is not fit to be used: refused at start. Nothing is generated without its schema."""

import random
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.mutated import Mutation, flipped, mutated, refused, steps_waiting_for
from tests.faults.share import share
from tests.support.tiny import write_tiny_agents

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.experiment(19)]

AGENT = "ner"
"""It writes under a schema."""
NAME_OF_THE_TEMPLATE = b"tokenizer.chat_template"


def replaced(found: bytes, by: bytes, count: int = -1) -> Mutation:
    """Return what writes other bytes of the same number over those that stand in a file."""
    assert len(found) == len(by)

    def replace(model: bytes) -> bytes:
        assert found in model
        return model.replace(found, by, count)

    return replace


def token(character: str) -> bytes:
    """Return a token of one letter as a GGUF has it."""
    return (1).to_bytes(8, "little") + character.encode()


UNFIT: dict[str, tuple[Mutation, str]] = {
    "no chat template": (replaced(NAME_OF_THE_TEMPLATE, b"tokenizer.chat_lost_now"), "has no chat template"),
    "a vocabulary that cannot write JSON": (replaced(token('"'), token(" ")), "no grammar can be made of Names"),
    "a chat template that is none": (replaced(b"{% for", b"{{ for"), "the chat template of model tiny-instruct-q8 cannot be read"),
    "a chat template that leaves texts out": (replaced(b"content", b"contend"), "leaves part of the conversation out"),
    "half a file": (lambda model: model[: len(model) // 2], "is the file whole?"),
}
"""What a card may vouch for, and what is said of it; the first are tried first."""


@pytest.fixture(scope="module")
def agent(tmp_path_factory) -> Path:
    return write_tiny_agents(tmp_path_factory.mktemp("tiny"), [AGENT]) / AGENT


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def waiting():
    async with steps_waiting_for(AGENT) as client:
        yield client


async def test_bits_turned_over_anywhere_are_refused(waiting, agent, tmp_path_factory, outcome, trials):
    seed = random.randrange(1 << 30)
    places = random.Random(seed)
    outcome.note(seed=seed)
    for _ in range(share(trials, 0.1)):
        mutate = flipped(places.randrange(20_000_000), places.randrange(8))
        folder = mutated(agent, tmp_path_factory.mktemp("mutated"), mutate)
        assert "not the one of its card" in await refused(waiting, folder), seed

        outcome.trials += 1


async def test_what_cannot_be_used_as_it_should_is_refused_even_if_its_card_vouches_for_it(
    waiting, agent, tmp_path_factory, outcome, trials
):
    for name, (mutate, why) in list(UNFIT.items())[: max(2, trials)]:
        folder = mutated(agent, tmp_path_factory.mktemp("unfit"), mutate, vouched=True)
        assert why in await refused(waiting, folder), name

        outcome.trials += 1
