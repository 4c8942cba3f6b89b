"""Models of other makes than the shipped cards name: what is true of one in a batch, and which are refused."""

import asyncio
import math

import pytest
import pytest_asyncio

from smallmesh.hosting.engine import Prompt, open_engine
from smallmesh.hosting.engine.port import Outcome, Row
from smallmesh.hosting.llama import Decoder, ModelLoadError
from smallmesh_contracts import ContractError, ErrorCode, Lane
from tests.support.architectures import ALL, STATEFUL, write_attentive
from tests.support.meshes import SERVICES
from tests.support.tiny import tiny_card

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module")]

TOLERANCE = 1e-3
"""Of a probability: sums are added in another order where a pass holds other rows too."""
SHARED = "What follows is a text that somebody wrote, and then a word that says how they felt when they wrote it."
TEXTS = (
    "A quiet street.",
    "Nobody answers the phone, and the money that was paid in March is gone for good, as it seems.",
    "What a lovely garden!",
)
LABELS = (("negative", "neutral", "positive"), ("very good", "very bad", "so so"))
"""The first part at once, some of the others late."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ALL)
async def engine(request, tmp_path_factory):
    file = tmp_path_factory.mktemp(request.param) / "model.gguf"
    engine = open_engine(tiny_card(), ALL[request.param](file))
    await engine.start()
    yield engine
    assert await engine.stop()


def prompt(engine, text, shared=SHARED):
    tokenize_on = engine.vocabulary.tokenize_on
    return Prompt(tuple(engine.vocabulary.tokenize(shared)), tuple(tokenize_on(f"\n{text}\n")))


async def chosen(engine, prompt, labels):
    choice = await engine.choose(prompt, [engine.vocabulary.tokenize_on(label) for label in labels], lane=Lane.BULK)
    return [math.exp(one) for one in choice.log_probabilities]


async def written(engine, prompt):
    return (await engine.generate(prompt, most=32, lane=Lane.BULK)).text


@pytest.mark.parametrize("labels", LABELS)
async def test_labels_are_as_likely_in_a_batch_as_alone_and_after_a_shared_beginning_as_after_a_whole_prompt(engine, labels):
    prompts = [prompt(engine, text) for text in TEXTS]

    alone = [await chosen(engine, Prompt((), (*one.shared, *one.own)), labels) for one in prompts]
    together = await asyncio.gather(*(chosen(engine, one, labels) for one in prompts))

    assert together == [pytest.approx(one, abs=TOLERANCE) for one in alone]
    assert alone[0] != pytest.approx(alone[1], abs=TOLERANCE), "the text counts"


async def test_texts_are_the_same_in_a_batch_and_alone(engine):
    prompts = [prompt(engine, text) for text in TEXTS]

    alone = [await written(engine, Prompt((), (*one.shared, *one.own))) for one in prompts]
    together = await asyncio.gather(*(written(engine, one) for one in prompts))

    assert together == alone
    assert len(set(alone)) == len(TEXTS)


async def test_a_request_gets_no_more_tokens_than_a_model_was_trained_on(tmp_path):
    card = tiny_card()
    engine = open_engine(card, write_attentive(tmp_path / "model.gguf", "llama", trained=128))
    await engine.start()
    try:
        assert (engine.room, card.context) == (128, 4096)
        with pytest.raises(ContractError, match="context has 128") as refused:
            await engine.generate(Prompt((), tuple(range(300, 400))), most=29, lane=Lane.BULK)
        assert refused.value.info.code is ErrorCode.TOO_LONG
        assert (await engine.generate(Prompt((), tuple(range(300, 400))), most=28, lane=Lane.BULK)).tokens
    finally:
        await engine.stop()


@pytest.mark.parametrize(("name", "outcome"), [("llama", Outcome.ABORTED), *((name, Outcome.DONE) for name in STATEFUL)])
async def test_a_pass_is_ended_in_the_middle_unless_there_are_states_of_which_nothing_can_be_taken_back(name, outcome, tmp_path):
    decoder = Decoder(ALL[name](tmp_path / "model.gguf"), n_ctx=512, n_sequences=2, n_batch=512)
    try:
        rows = [Row(300 + place, place, (0,), wanted=True) for place in range(512)]
        reading = asyncio.create_task(asyncio.to_thread(decoder.decode, rows))
        while not reading.done():
            decoder.abort()
            await asyncio.sleep(0)

        assert await reading is outcome
    finally:
        decoder.close()


async def test_an_encoder_is_refused_by_name():
    with pytest.raises(ModelLoadError, match=r"model\.gguf is a bert, and cannot be used: it keeps nothing of a prompt"):
        await open_engine(tiny_card(), SERVICES / "sentiment" / "model.gguf").start()
