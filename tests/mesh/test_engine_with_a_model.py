"""The engine over llama.cpp and a model that answers: batched as alone, shared as whole, stopped in mid pass."""

import asyncio
import json
import math
import time

import pytest
import pytest_asyncio
from pydantic import BaseModel, Field

from smallmesh.hosting.engine import Prompt, open_engine
from smallmesh.hosting.llama import ModelLoadError
from smallmesh.hosting.schema import Schema
from smallmesh_contracts import ContractError, ErrorCode, Lane
from tests.support.patience import until
from tests.support.tiny import TINY, tiny_card

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module")]

TOLERANCE = 0.02
"""Of a probability: sums are added in another order where a pass holds other rows too."""
TEXTS = (
    "The parcel came early and all was well packed, thank you!",
    "Nobody answers the phone and the money is gone.",
    "The meeting begins at nine in the small room.",
    "I would not call it bad, I would call it a disaster.",
    "Great value, and the staff were kind to us.",
    "The train leaves from platform four.",
    "It broke on the second day and smells of glue.",
    "What a lovely garden, we shall come again.",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    engine = open_engine(tiny_card(), TINY / tiny_card().file)
    await engine.start()
    yield engine
    assert await engine.stop()


def prompt(engine, text, shared="Judge the attitude of the text.\n"):
    return Prompt(tuple(engine.vocabulary.tokenize(shared)), tuple(engine.vocabulary.tokenize_on(f"{text}\nIt is")))


def labels(engine):
    return [engine.vocabulary.tokenize_on(f" {word}") for word in ("negative", "neutral", "positive")]


async def test_labels_are_as_likely_in_a_batch_as_alone(engine):
    prompts = [prompt(engine, text) for text in TEXTS]
    alone = [await engine.choose(one, labels(engine), lane=Lane.BULK) for one in prompts]

    together = await asyncio.gather(*(engine.choose(one, labels(engine), lane=Lane.BULK) for one in prompts))

    for one, other in zip(alone, together, strict=True):
        likely, likely_too = (list(map(math.exp, choice.log_probabilities)) for choice in (one, other))
        assert likely_too == pytest.approx(likely, abs=TOLERANCE)
        assert max(range(3), key=likely.__getitem__) == max(range(3), key=likely_too.__getitem__)


async def test_texts_are_the_same_in_a_batch_and_alone(engine):
    prompts = [prompt(engine, text) for text in TEXTS]
    alone = [await engine.generate(one, most=24, lane=Lane.BULK) for one in prompts]

    together = await asyncio.gather(*(engine.generate(one, most=24, lane=Lane.BULK) for one in prompts))

    assert [one.text for one in together] == [one.text for one in alone]


async def test_a_shared_beginning_says_what_the_whole_prompt_says(engine):
    split = prompt(engine, TEXTS[0])

    shared = await engine.choose(split, labels(engine), lane=Lane.INTERACTIVE)
    whole = await engine.choose(Prompt((), (*split.shared, *split.own)), labels(engine), lane=Lane.INTERACTIVE)

    assert list(map(math.exp, shared.log_probabilities)) == pytest.approx(list(map(math.exp, whole.log_probabilities)), abs=TOLERANCE)
    assert (shared.tokens, whole.tokens) == (len(split.own), len(split.shared) + len(split.own))


class Ticket(BaseModel):
    """What is wanted of a text."""

    urgent: bool
    product: str = Field(max_length=20)
    count: int = Field(ge=0, le=99)


async def test_what_is_written_under_a_schema_fits_it_whatever_the_model_would_like_to_say(engine):
    schema = Schema.of(Ticket, engine.vocabulary)

    written = await asyncio.gather(
        *(engine.generate(prompt(engine, text), most=120, lane=Lane.BULK, constraint=schema.begin()) for text in TEXTS)
    )

    assert {one.ended for one in written} == {"end"}
    for one in written:
        assert schema.validate(one.text).model_dump() == json.loads(one.text)
        assert 0 < len(one.confidence) < one.tokens, "forced tokens were not asked for"


async def test_a_pass_is_stopped_in_the_middle_where_nobody_waits_for_it(engine):
    words = engine.vocabulary.tokenize_on(" and the other one" * 200)[:500]
    long = Prompt((), tuple(words))
    began = time.thread_time()
    whole = await engine.generate(long, most=1, lane=Lane.BULK)
    passes = engine.passes

    cancelled = asyncio.create_task(engine.generate(long, most=200, lane=Lane.BULK))
    await until(lambda: engine.turn is not None, "it is being read")
    cancelled.cancel()
    again = await engine.choose(prompt(engine, TEXTS[0]), labels(engine), lane=Lane.INTERACTIVE)

    assert whole.tokens == 1
    assert engine.passes - passes < 200
    assert sum(map(math.exp, again.log_probabilities)) == pytest.approx(1)
    assert time.thread_time() - began < 5, "the loop did nothing but wait"


async def test_what_no_context_can_hold_is_too_long(engine):
    with pytest.raises(ContractError) as refused:
        await engine.generate(Prompt((), tuple(engine.vocabulary.tokenize("and so on " * 9000))), most=9, lane=Lane.BULK)

    assert refused.value.info.code is ErrorCode.TOO_LONG


@pytest.mark.parametrize("damage", [b"", b"GGUF", b"not a model at all"])
async def test_a_file_that_is_no_model_is_refused_at_the_start(tmp_path, damage):
    file = tmp_path / "model.gguf"
    file.write_bytes(damage)

    with pytest.raises(ModelLoadError, match=r"could not load .*is there enough memory, and is the file whole\?"):
        await open_engine(tiny_card(), file).start()
