"""``smallmesh models``: what is listed, pulled, verified and chosen, through the command line and from a hub on this machine."""

import json
import sys

import pytest
from typer.testing import CliRunner

from smallmesh.cli.app import app
from smallmesh.cli.exits import Exit
from smallmesh.doctor import inventory
from smallmesh.hosting.card import load_tiers, sha256_of
from smallmesh.hosting.ladder import memory
from smallmesh.hosting.ladder.folder import ModelsFolder
from smallmesh.settings import settings
from tests.support.fake_gguf import write_gguf
from tests.support.fake_hub import COMMIT, FakeHub
from tests.support.ladders import write_laddered


@pytest.fixture
def hub(tmp_path):
    with FakeHub() as running:
        for name in ("small", "medium"):
            running.add(f"acme/{name}-GGUF", f"{name}.gguf", write_gguf(tmp_path / "made.gguf", size=3000 + len(name)))
        yield running


@pytest.fixture
def agents(tmp_path):
    for agent in ("colours", "words"):
        (write_laddered(tmp_path / "agents" / agent) / "agent.py").touch()
    return tmp_path / "agents"


@pytest.fixture
def models(tmp_path):
    return ModelsFolder(tmp_path / "models")


@pytest.fixture
def run(hub, agents, models, monkeypatch):
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "SMALLMESH_WORDS_TIER", "SMALLMESH_COLOURS_TIER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", str(agents))
    monkeypatch.setenv("SMALLMESH_MODELS_DIR", str(models.path))

    def invoke(*arguments, **environment):
        settings.cache_clear()
        return CliRunner().invoke(app, ["models", *arguments], prog_name="smallmesh", env=environment)

    yield invoke
    settings.cache_clear()


def told(result):
    return {(one["agent"], one["tier"]): one for one in json.loads(result.stdout)}


def tier_of(agents, agent, name):
    return next(tier for tier in load_tiers(agents / agent) if tier.tier == name)


# ---------------------------------------------------------------- ls


def test_every_tier_is_listed_with_what_it_needs_and_that_it_was_not_pulled(run):
    listed = told(run("ls", "--json"))

    small = listed["words", "small"]
    assert list(listed) == [(agent, tier) for agent in ("colours", "words") for tier in ("embedded", "small", "medium")]
    assert (small["id"], small["state"], small["in_use"], small["size"], small["ram_mb"]) == (
        "small-q4",
        "not pulled",
        False,
        4_000_000,
        600,
    )
    assert (listed["words", "embedded"]["state"], listed["words", "embedded"]["in_use"]) == ("ok", True)


@pytest.mark.parametrize("width", ["60", "200"])
def test_a_table_says_what_serves_and_what_can_be_pulled_in_any_width(run, width):
    result = run("ls", COLUMNS=width)

    assert result.exit_code == Exit.OK
    assert "in use, ok" in result.stdout
    assert "not pulled" in result.stdout
    assert "~600" in result.stdout


def test_what_was_pulled_chosen_and_damaged_is_listed_as_that(run, models, agents):
    run("pull", "words")
    run("use", "words", "small")

    listed = told(run("ls", "--json"))
    assert [(listed[agent, "small"]["state"], listed[agent, "small"]["in_use"]) for agent in ("words", "colours")] == [
        ("ok", True),
        ("ok", False),
    ]

    models.file_of(tier_of(agents, "words", "small")).write_bytes(b"other")

    damaged = told(run("ls", "--json"))["words", "small"]
    assert (damaged["state"], damaged["size"]) == ("altered", 5)
    assert "run `smallmesh models pull words --tier small`" in damaged["message"]


def test_a_tier_that_is_chosen_and_not_there_is_listed_with_who_chose_it(run):
    listed = told(run("ls", "--json", SMALLMESH_WORDS_TIER="huge"))

    assert listed["words", "huge"]["state"] == "no such tier"
    assert "SMALLMESH_WORDS_TIER" in listed["words", "huge"]["message"]


# ---------------------------------------------------------------- pull


def test_without_a_tier_the_smallest_is_pulled_and_what_to_do_next_is_said(run, models, agents):
    result = run("pull", "words")

    assert result.exit_code == Exit.OK
    assert "small-q4: pulled" in result.stdout
    assert "smallmesh models use words small" in result.stdout
    assert models.file_of(tier_of(agents, "words", "small")).is_file()
    assert not models.file_of(tier_of(agents, "words", "medium")).exists()


def test_all_means_every_tier_once(run, hub):
    pulled = json.loads(run("pull", "--all", "--json").stdout)

    assert [(one["id"], one["agents"], one["commit"]) for one in pulled] == [
        ("small-q4", ["colours", "words"], COMMIT),
        ("medium-q4", ["colours", "words"], COMMIT),
    ]
    assert len(hub.downloads()) == 2
    assert all(one["already"] for one in json.loads(run("pull", "--all", "--json").stdout))


@pytest.mark.parametrize("arguments", [(), ("words", "--all")])
def test_whose_models_must_be_said_in_one_way(run, arguments):
    assert run("pull", *arguments).exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "no agent called nobody; there are: colours, words"),
        (("words", "--tier", "huge"), "words has no tier called 'huge'; there are: embedded, small, medium"),
        (("--all", "--tier", "huge"), "no agent has a tier called 'huge'"),
        (("words", "--offline"), "does not lie here, and nothing is pulled offline"),
    ],
)
def test_what_cannot_be_pulled_is_said_with_what_could(run, hub, arguments, said):
    result = run("pull", *arguments)

    assert result.exit_code == Exit.INSTALLATION
    assert said in result.output
    assert not hub.asked


def test_an_agent_without_tiers_is_said(run, agents):
    text = (agents / "words" / "model.toml").read_text(encoding="utf-8")
    (agents / "words" / "model.toml").write_text(text.partition("[[tiers]]")[0], encoding="utf-8")

    assert "words has nothing to pull" in run("pull", "words").output
    assert run("pull", "--all").exit_code == Exit.OK


def test_offline_by_environment_takes_what_lies_here(run, hub):
    run("pull", "words")
    hub.asked.clear()

    assert run("pull", "words", HF_HUB_OFFLINE="1").exit_code == Exit.OK
    assert run("pull", "words", "--tier", "medium", HF_HUB_OFFLINE="yes").exit_code == Exit.INSTALLATION
    assert not hub.asked


def test_a_token_of_the_environment_is_sent_and_never_printed(run, hub):
    hub.token = "hf_right"

    refused = run("pull", "words", HF_TOKEN="hf_wrong")
    given = run("pull", "words", HF_TOKEN="hf_right")

    assert (refused.exit_code, given.exit_code) == (Exit.INSTALLATION, Exit.OK)
    assert "hf_" not in refused.output + given.output


def test_an_error_is_an_object_for_programs(run, hub):
    hub.served = b"something else"

    result = run("pull", "words", "--json")

    assert result.exit_code == Exit.INSTALLATION
    assert "another length" in json.loads(result.stdout)["error"]["message"]


def test_without_the_hubs_client_the_extra_that_brings_it_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    result = run("pull", "words")

    assert result.exit_code == Exit.INSTALLATION
    assert "pip install 'smallmesh[models]'" in result.output


# ---------------------------------------------------------------- use


def test_a_tier_is_chosen_and_given_up_again(run, models):
    run("pull", "words", "--tier", "small")

    assert "words: small (small-q4), from its next start on" in run("use", "words", "small").stdout
    assert models.chosen("words") == ("small",)
    assert "words: embedded (words-q8)" in run("use", "words", "embedded").stdout
    assert models.chosen("words") == ()


def test_a_second_tier_is_chosen_beside_the_first(run, models):
    run("pull", "--all")

    chosen = json.loads(run("use", "words", "small", "--next", "medium", "--json").stdout)

    assert (chosen["tiers"], chosen["ids"]) == (["small", "medium"], ["small-q4", "medium-q4"])
    assert models.chosen("words") == ("small", "medium")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("words", "medium"), "run `smallmesh models pull words --tier medium`"),
        (("words", "huge"), "there are: embedded, small, medium"),
        (("nobody", "small"), "there are: colours, words"),
        (("words", "small", "--next", "embedded"), "must be a larger one: embedded, small, medium"),
        (("words", "small", "--next", "small"), "must be a larger one"),
    ],
)
def test_what_cannot_be_chosen_is_said_with_what_to_do(run, models, arguments, said):
    run("pull", "words", "--tier", "small")

    result = run("use", *arguments)

    assert result.exit_code == Exit.INSTALLATION
    assert said in " ".join(result.output.split())
    assert models.chosen("words") == ()


def test_an_altered_file_is_not_chosen(run, models, agents):
    run("pull", "words")
    models.file_of(tier_of(agents, "words", "small")).write_bytes(b"other")

    result = run("use", "words", "small")

    assert result.exit_code == Exit.INSTALLATION
    assert "is not the one of its card" in result.output
    assert models.chosen("words") == ()


def test_too_little_memory_and_an_override_are_said_when_it_is_chosen(run, monkeypatch):
    run("pull", "words")
    monkeypatch.setattr(memory, "available", lambda: 100_000_000)

    result = run("use", "words", "small", SMALLMESH_WORDS_TIER="embedded")

    assert result.exit_code == Exit.OK
    assert "the agent would not start" in result.output
    assert "SMALLMESH_WORDS_TIER is set here" in result.output


# ---------------------------------------------------------------- verify


def test_what_lies_here_is_verified_and_what_nobody_wants_is_passed_over(run):
    run("pull", "words")

    result = run("verify")

    assert result.exit_code == Exit.OK
    assert [line.partition(": ok")[0] for line in result.stdout.splitlines()] == ["colours", "colours small", "words", "words small"]


@pytest.mark.parametrize("broken", ["altered", "not pulled"])
def test_a_tier_that_serves_and_cannot_be_loaded_ends_with_its_own_code(run, models, agents, broken):
    run("pull", "words")
    run("use", "words", "small")
    path = models.file_of(tier_of(agents, "words", "small"))
    if broken == "altered":
        path.write_bytes(b"other")
    else:
        path.unlink()

    result = run("verify", "words")

    assert result.exit_code == Exit.INSTALLATION
    assert f"words small: {broken}" in result.stdout
    assert "smallmesh models pull words --tier small" in " ".join(result.stdout.split())


def test_a_file_that_the_lock_was_changed_under_is_altered(run, models):
    run("pull", "words")
    lock = json.loads(models.lock_path.read_text())
    (entry,) = lock.values()
    entry["sha256"] = "0" * 64
    models.lock_path.write_text(json.dumps(lock))

    result = run("verify", "words")

    assert result.exit_code == Exit.INSTALLATION
    assert "words small: altered" in result.stdout


def test_a_damaged_lock_is_said(run, models):
    models.path.mkdir()
    models.lock_path.write_text("damaged")

    result = run("verify")

    assert result.exit_code == Exit.INSTALLATION
    assert "models.lock cannot be read" in result.output


def test_of_what_serves_a_file_is_read_once_and_what_does_not_serve_is_not_read(run, models, agents, monkeypatch):
    run("pull", "words", "colours")
    run("use", "words", "small")
    run("use", "colours", "small")
    read = []
    monkeypatch.setattr(inventory, "sha256_of", lambda path: read.append(path) or sha256_of(path))

    assert [(model.agent, model.tier, model.state) for model in inventory.models_in([agents], models)] == [
        ("colours", "small", inventory.FileState.OK),
        ("words", "small", inventory.FileState.OK),
    ]
    assert read == [models.file_of(tier_of(agents, "words", "small"))]
