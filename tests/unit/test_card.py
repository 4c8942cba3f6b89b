import hashlib

import pytest

from smallmesh.hosting.card import ModelError, load_card, load_tiers, verified_file
from tests.support.meshes import SERVICES

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


# ---------------------------------------------------------------- tiers

TIER = """
[[tiers]]
tier = "{tier}"
id = "m-large"
engine = "instruct"
repository = "{repository}"
revision = "{revision}"
file = "{file}"
architecture = "llama"
quantisation = "Q4_0"
"""
GIVEN = {"tier": "small", "repository": "acme/m-GGUF", "revision": "main", "file": "m.gguf"}


def write_tiers(folder, *tiers):
    with (folder / "model.toml").open("a") as card:
        card.writelines(TIER.format(**{**GIVEN, **tier}) for tier in tiers)


def test_tiers_stand_in_the_order_of_the_card_and_change_nothing_about_the_embedded_model(folder):
    before = load_card(folder)
    write_tiers(folder, {}, {"tier": "medium"})

    assert [tier.tier for tier in load_tiers(folder)] == ["small", "medium"]
    assert load_card(folder) == before


def test_a_folder_without_tiers_or_card_has_none(folder, tmp_path):
    assert load_tiers(folder) == load_tiers(tmp_path / "nothing") == ()


def test_a_tier_becomes_a_card_with_the_sha256_that_its_file_was_pulled_with(folder):
    write_tiers(folder, {})

    card = load_tiers(folder)[0].card("a" * 64)

    assert (card.id, card.engine, card.pooling, card.sha256, card.file) == ("m-large", "instruct", None, "a" * 64, "m.gguf")


@pytest.mark.parametrize(
    "tier",
    [
        {"tier": "embedded"},
        {"tier": "Small"},
        {"repository": "m-GGUF"},
        {"repository": "../m-GGUF"},
        {"repository": "acme/.."},
        {"revision": ".."},
        {"revision": "a/b"},
        {"file": "../m.gguf"},
        {"file": "m.bin"},
        {"file": "a/m.gguf"},
    ],
)
def test_a_tier_that_could_lie_elsewhere_or_be_mistaken_is_not_valid(folder, tier):
    write_tiers(folder, tier)

    with pytest.raises(ModelError, match=r"model\.toml is not a valid model card"):
        load_tiers(folder)


def test_two_tiers_of_one_name_are_not_valid(folder):
    write_tiers(folder, {}, {})

    with pytest.raises(ModelError, match="more than one tier is called small"):
        load_tiers(folder)


@pytest.mark.parametrize(("engine", "pooling"), [("encoder", ""), ("instruct", 'pooling = "rank"\n')])
def test_an_encoder_pools_and_an_instruct_model_does_not(tmp_path, engine, pooling):
    card = CARD.format(sha256="0" * 64, pooling="rank").replace('pooling = "rank"\n', pooling)
    (tmp_path / "model.toml").write_text(card.replace('"encoder"', f'"{engine}"'))

    with pytest.raises(ModelError, match="pooling"):
        load_card(tmp_path)


@pytest.mark.parametrize("agent", ["complexity_router", "ner", "sentiment", "summarizer"])
def test_every_shipped_tier_is_pinned_and_free_to_use(agent):
    tiers = load_tiers(SERVICES / agent)

    assert [tier.tier for tier in tiers] == ["small", "medium"]
    for tier in tiers:
        assert len(tier.revision) == 40, tier.id
        assert tier.sha256, tier.id
        assert (tier.size_bytes or 0) < (tier.ram_mb or 0) * 1e6, tier.id
        assert tier.licence == "Apache-2.0", tier.id
