import hashlib

import pytest

from smallmesh.hosting.card import ModelError, load_card, verified_file

GGUF = b"GGUF and so on"
CARD = """
[model]
id = "m"
file = "model.gguf"
sha256 = "{sha256}"
architecture = "bert"
quantisation = "Q8_0"
engine = "encoder"
pooling = "{pooling}"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.gguf").write_bytes(GGUF)
    (tmp_path / "model.toml").write_text(CARD.format(sha256=hashlib.sha256(GGUF).hexdigest(), pooling="rank"))
    return tmp_path


def test_a_file_that_is_the_cards_is_verified(folder):
    card = load_card(folder)

    assert verified_file(card, folder) == folder / "model.gguf"


def test_a_folder_without_a_card_has_no_model(tmp_path):
    assert load_card(tmp_path) is None


def test_a_missing_file_is_named_with_what_to_do(folder):
    (folder / "model.gguf").unlink()

    with pytest.raises(ModelError, match=r"model\.gguf is missing: restore it .* or train it again"):
        verified_file(load_card(folder), folder)


def test_one_changed_byte_is_another_file(folder):
    (folder / "model.gguf").write_bytes(GGUF[:-1] + b"x")

    with pytest.raises(ModelError, match="not the one of its card"):
        verified_file(load_card(folder), folder)


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        "[other]\nid = 'x'",
        CARD.format(sha256="abc", pooling="rank"),
        CARD.format(sha256="0" * 64, pooling="sum"),
        CARD.format(sha256="0" * 64, pooling="rank") + "window = 3\n",
    ],
)
def test_a_card_that_is_not_valid_names_its_file(tmp_path, text):
    (tmp_path / "model.toml").write_text(text)

    with pytest.raises(ModelError, match=r"model\.toml is not a valid model card"):
        load_card(tmp_path)
