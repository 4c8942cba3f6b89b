"""What is compiled into llama.cpp: many tokens at once give what one at a time gives, and attention what llama.cpp gives without it."""

from dataclasses import replace

import llama_cpp
import numpy as np
import pytest

from scripts.benches.inference.shapes import SHAPES, synthetic
from smallmesh.hosting.engine.port import Outcome, Row
from smallmesh.hosting.llama import Decoder
from tests.support.architectures import ATTENTIVE, write_attentive
from tests.support.tiny import TINY, tiny_card

pytestmark = pytest.mark.mesh

LENGTHS = (4, 5, 8, 23, 64, 97)
"""One group of four tokens; with one left over; several; as many as keys are taken together; more."""
NOISE = 1e-6
"""Of logits between -1 and 1: where one token has code of its own, sums are added in another order."""
ROUNDED = 0.02
"""Likewise, where attention is reckoned otherwise: what follows is rounded to 8 bits, which makes much of little."""
IN_HALVES = 0.01
"""Root mean square of a difference, as a part of the logits' own spread: keys, values and what is summed of them are halves."""


@pytest.fixture(scope="module")
def random_q4_0(tmp_path_factory):
    """A model of random weights in Q4_0, which shares one matrix in Q8_0 between input and output."""
    vocabulary = TINY / tiny_card().file
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return synthetic(replace(SHAPES["tiny"], tokens=4096), vocabulary, lambda _: None)


@pytest.fixture
def without_flash_attention(monkeypatch):
    """What makes llama.cpp reckon attention by general products and a softmax, which is other code."""
    usual = llama_cpp.llama_context_default_params

    def plain():
        parameters = usual()
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return parameters

    return lambda: monkeypatch.setattr(llama_cpp, "llama_context_default_params", plain)


def logits(path, tokens, *, at_once, threads=1):
    """Return the logits after each token, evaluated in one pass or one by one."""
    decoder = Decoder(path, n_ctx=256, n_sequences=1, n_batch=128, n_threads=threads)
    try:
        found = []
        step = len(tokens) if at_once else 1
        for start in range(0, len(tokens), step):
            rows = [Row(token, start + place, (0,), wanted=True) for place, token in enumerate(tokens[start : start + step])]
            assert decoder.decode(rows) is Outcome.DONE
            found.append(decoder.logits().copy())
        return np.concatenate(found)
    finally:
        decoder.close()


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("threads", [1, 2])
def test_many_tokens_at_once_give_what_one_at_a_time_gives(random_q4_0, length, threads):
    tokens = np.random.default_rng(length).integers(300, 4000, length).tolist()

    together = logits(random_q4_0, tokens, at_once=True, threads=threads)
    alone = logits(random_q4_0, tokens, at_once=False)

    assert np.ptp(alone) > 1
    assert together == pytest.approx(alone, abs=NOISE)


def test_neither_the_number_of_threads_nor_of_tokens_changes_what_a_token_gives(random_q4_0):
    tokens = np.random.default_rng(0).integers(300, 4000, 97).tolist()

    whole = logits(random_q4_0, tokens, at_once=True)

    assert whole == pytest.approx(logits(random_q4_0, tokens, at_once=True, threads=2), abs=NOISE)
    assert whole[:24] == pytest.approx(logits(random_q4_0, tokens[:24], at_once=True), abs=NOISE)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("threads", [1, 2])
def test_attention_gives_what_general_products_and_a_softmax_give(random_q4_0, without_flash_attention, length, threads):
    tokens = np.random.default_rng(length).integers(300, 4000, length).tolist()
    ours = logits(random_q4_0, tokens, at_once=True, threads=threads)

    without_flash_attention()

    assert np.ptp(ours) > 1
    assert ours == pytest.approx(logits(random_q4_0, tokens, at_once=True, threads=threads), abs=ROUNDED)


@pytest.mark.parametrize("name", ATTENTIVE)
@pytest.mark.parametrize("length", [1, 23, 97])
def test_it_does_for_heads_of_every_width_for_windows_and_where_llama_cpp_reckons_itself(name, length, tmp_path, without_flash_attention):
    file = write_attentive(tmp_path / "model.gguf", name)
    tokens = np.random.default_rng(length).integers(300, 4000, length).tolist()
    ours = logits(file, tokens, at_once=True)
    ours_alone = logits(file, tokens, at_once=False)

    without_flash_attention()

    plain = logits(file, tokens, at_once=True)
    for found in (ours, ours_alone):
        assert np.sqrt(np.mean((found - plain) ** 2)) < IN_HALVES * plain.std()
