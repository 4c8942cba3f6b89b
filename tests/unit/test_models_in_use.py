"""Which model a process loads: the embedded one, unless a tier was chosen, pulled, and fits."""

import hashlib

import pytest

from smallmesh.hosting.card import ModelError, load_card, load_tiers, verified_file
from smallmesh.hosting.ladder import memory
from smallmesh.hosting.ladder.folder import CHOSEN_FILE, Locked, ModelsFolder
from smallmesh.hosting.ladder.in_use import card_in_use, next_card_in_use
from smallmesh.settings import Settings
from tests.support.fake_gguf import QWEN_05B, write_gguf
from tests.support.ladders import write_laddered


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch):
    monkeypatch.delenv("SMALLMESH_WORDS_TIER", raising=False)


@pytest.fixture
def folder(tmp_path):
    return write_laddered(tmp_path / "agents" / "words")


@pytest.fixture
def chosen(tmp_path):
    return Settings(models_dir=tmp_path / "models")


@pytest.fixture
def models(chosen):
    return ModelsFolder(chosen.models_dir)


def tier_of(folder, name):
    return next(tier for tier in load_tiers(folder) if tier.tier == name)


def lies_here(folder, models, name, metadata=QWEN_05B):
    tier = tier_of(folder, name)
    body = write_gguf(models.file_of(tier), metadata)
    models.bind(tier, Locked(commit="c" * 40, sha256=hashlib.sha256(body).hexdigest(), size=len(body)))
    return models.file_of(tier)


def has_free(monkeypatch, megabytes):
    monkeypatch.setattr(memory, "available", lambda: int(megabytes * 1e6))


# ---------------------------------------------------------------- which


def test_the_embedded_model_serves_unless_something_else_is_chosen(folder, chosen):
    assert card_in_use(folder, chosen) == (load_card(folder), folder)
    assert next_card_in_use(folder, chosen) is None


def test_an_agent_of_rules_has_none(folder, chosen):
    (folder / "model.toml").unlink()

    assert card_in_use(folder, chosen) is None


def test_a_tier_that_was_chosen_serves_with_the_sha256_that_it_was_pulled_with(folder, chosen, models):
    path = lies_here(folder, models, "small")
    models.choose("words", "small")

    card, lies_in = card_in_use(folder, chosen)

    assert (card.id, card.engine, card.pooling, card.context, card.slots) == ("small-q4", "instruct", None, 4096, 8)
    assert verified_file(card, lies_in) == path


def test_the_environment_overrides_what_was_chosen(folder, chosen, models, monkeypatch):
    lies_here(folder, models, "small")
    models.choose("words", "small")
    monkeypatch.setenv("SMALLMESH_WORDS_TIER", "embedded")

    assert card_in_use(folder, chosen) == (load_card(folder), folder)


def test_a_choice_is_of_one_agent_and_can_be_taken_back(folder, chosen, models):
    lies_here(folder, models, "small")
    models.choose("others", "small")
    models.choose("words", "small")
    models.choose("words")

    assert card_in_use(folder, chosen) == (load_card(folder), folder)
    assert models.chosen("others") == ("small",)


@pytest.mark.parametrize("way", ["file", "environment"])
def test_a_second_tier_is_for_what_is_harder(folder, chosen, models, monkeypatch, way):
    lies_here(folder, models, "small")
    lies_here(folder, models, "medium")
    if way == "file":
        models.choose("words", "small", "medium")
    else:
        monkeypatch.setenv("SMALLMESH_WORDS_TIER", "small, medium")

    assert card_in_use(folder, chosen)[0].id == "small-q4"
    assert next_card_in_use(folder, chosen)[0].id == "medium-q4"


def test_whoever_asks_for_a_tier_gets_that_one_whatever_was_chosen(folder, chosen, models, monkeypatch):
    lies_here(folder, models, "small")
    models.choose("words", "small")
    monkeypatch.setenv("SMALLMESH_WORDS_TIER", "huge")

    assert card_in_use(folder, chosen, "small")[0].id == "small-q4"
    assert card_in_use(folder, chosen, "embedded") == (load_card(folder), folder)
    assert next_card_in_use(folder, chosen, "embedded") is None


# ---------------------------------------------------------------- refused


def test_a_tier_that_was_not_pulled_says_how_to_pull_it_and_how_to_go_back(folder, chosen, models):
    models.choose("words", "small")

    with pytest.raises(ModelError, match=r"pull words --tier small`.*or go back by `smallmesh models use words embedded`"):
        card_in_use(folder, chosen)


def test_a_tier_of_the_environment_that_was_not_pulled_is_not_given_up_by_a_command(folder, chosen, monkeypatch):
    monkeypatch.setenv("SMALLMESH_WORDS_TIER", "small")

    with pytest.raises(ModelError, match=r"\(chosen by SMALLMESH_WORDS_TIER; or unset SMALLMESH_WORDS_TIER\)"):
        card_in_use(folder, chosen)


def test_a_file_that_nothing_is_known_of_counts_as_not_pulled(folder, chosen, models):
    write_gguf(models.file_of(tier_of(folder, "small")))
    models.choose("words", "small")

    with pytest.raises(ModelError, match="was not pulled"):
        card_in_use(folder, chosen)


def test_a_tier_that_is_not_there_is_said_with_those_that_are_and_with_who_chose_it(folder, chosen, monkeypatch):
    monkeypatch.setenv("SMALLMESH_WORDS_TIER", "huge")

    with pytest.raises(ModelError, match=r"no tier called 'huge'; there are: embedded, small, medium \(chosen by SMALLMESH_WORDS_TIER;"):
        card_in_use(folder, chosen)


def test_three_tiers_are_too_many(folder, chosen, monkeypatch):
    monkeypatch.setenv("SMALLMESH_WORDS_TIER", "embedded,small,medium")

    with pytest.raises(ModelError, match="2 at most"):
        card_in_use(folder, chosen)


@pytest.mark.parametrize("text", ["not json", "[]", '{"words": "small"}', '{"words": [1]}'])
def test_a_damaged_file_of_choices_is_named(folder, chosen, models, text):
    models.path.mkdir(parents=True)
    (models.path / CHOSEN_FILE).write_text(text)

    with pytest.raises(ModelError, match=r"in_use\.json cannot be read .*delete it"):
        card_in_use(folder, chosen)


@pytest.mark.parametrize("text", ["not json", "[]", '{"acme/small-GGUF@main/small.gguf": {"sha256": "short"}}'])
def test_a_damaged_lock_is_named_and_nothing_is_loaded(folder, chosen, models, text):
    lies_here(folder, models, "small")
    models.choose("words", "small")
    models.lock_path.write_text(text)

    with pytest.raises(ModelError, match=r"models\.lock cannot be read"):
        card_in_use(folder, chosen)


# ---------------------------------------------------------------- memory


def test_too_little_memory_is_said_with_a_tier_that_fits(folder, chosen, models, monkeypatch):
    lies_here(folder, models, "medium")
    models.choose("words", "medium")
    has_free(monkeypatch, 199)

    with pytest.raises(
        ModelError, match=r"too little memory for medium-q4: it needs 200 MB .*199 MB are available.*`smallmesh models use words embedded`"
    ):
        card_in_use(folder, chosen)


def test_the_largest_tier_below_that_fits_is_named(folder, chosen, models, monkeypatch):
    lies_here(folder, models, "medium", {**QWEN_05B, "qwen2.block_count": 600})
    models.choose("words", "medium")
    has_free(monkeypatch, 700)

    with pytest.raises(ModelError, match="`smallmesh models use words small`"):
        card_in_use(folder, chosen)


def test_what_fits_is_loaded(folder, chosen, models, monkeypatch):
    lies_here(folder, models, "small")
    models.choose("words", "small")
    has_free(monkeypatch, 201)

    assert card_in_use(folder, chosen)[0].id == "small-q4"


@pytest.mark.parametrize("altered", ["bytes", "header", "shape"])
def test_an_altered_file_is_called_that_whatever_its_numbers_say(folder, chosen, models, altered):
    path = lies_here(folder, models, "small")
    models.choose("words", "small")
    if altered == "shape":
        write_gguf(path, {**QWEN_05B, "qwen2.block_count": 1_000_000_000})
    else:
        path.write_bytes(b"nonsense" if altered == "bytes" else b"GGUF" + b"\xff" * 60)

    with pytest.raises(ModelError, match=r"is not the one of its card.*pull it again"):
        card_in_use(folder, chosen)


def test_the_memory_of_an_encoder_is_not_reckoned(folder, chosen, monkeypatch):
    has_free(monkeypatch, 0)

    assert card_in_use(folder, chosen) == (load_card(folder), folder)
