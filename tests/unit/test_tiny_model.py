"""The tiny instruct model that tests are answered by: its file, and what it says of itself."""

from pathlib import Path

import pytest

from smallmesh.hosting.card import load_card, sha256_of, verified_file
from smallmesh.hosting.gguf_meta import read_metadata
from smallmesh.hosting.prompts.chat import ChatTemplate, Turn

FOLDER = Path(__file__).resolve().parents[1] / "models" / "tiny-instruct"
MOST_BYTES = 8_000_000


@pytest.fixture(scope="module")
def card():
    found = load_card(FOLDER)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def metadata(card):
    return read_metadata(FOLDER / card.file)


def test_the_file_is_the_one_of_its_card(card):
    assert sha256_of(verified_file(card, FOLDER)) == card.sha256


def test_the_card_tells_readers_the_same_hash_and_size(card):
    text = (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")

    assert card.sha256 in text
    assert f"{(FOLDER / card.file).stat().st_size:,} bytes" in text


def test_the_file_is_small_enough_for_a_repository(card):
    assert (FOLDER / card.file).stat().st_size <= MOST_BYTES


def test_it_is_an_instruct_model_of_the_architecture_that_its_card_names(card, metadata):
    assert card.engine == "instruct"
    assert metadata["general.architecture"] == card.architecture


def test_its_context_has_room_for_a_prefix_and_a_text(metadata):
    assert metadata["qwen2.context_length"] >= 1024


def test_its_chat_template_shows_every_turn_and_opens_the_answer(metadata):
    template = ChatTemplate(metadata["tokenizer.chat_template"], "tiny")

    text = template.render([Turn("system", "Be brief."), Turn("user", "Yes?"), Turn("assistant", "No."), Turn("user", "Why?")])

    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nYes?<|im_end|>\n<|im_start|>assistant\nNo.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    )
