"""Settings: read from the environment once, validated, secrets kept."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from smallmesh.bus.keeping import STORE_BYTES, Keeping
from smallmesh.settings import Settings, agent_tier, for_child, settings, settings_with

KEYS = ("ANTHROPIC_API_KEY", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in (*KEYS, *(n for n in os.environ if n.startswith("SMALLMESH_"))):
        monkeypatch.delenv(name, raising=False)


def test_without_an_environment_everything_has_a_default_that_stays_on_this_machine():
    chosen = Settings()

    assert chosen.nats_url == "nats://127.0.0.1:4222"
    assert (chosen.health_host, chosen.health_port) == ("127.0.0.1", 0)
    assert chosen.anthropic_api_key is None
    assert chosen.otlp_endpoint is None


def test_the_shipped_agents_are_found_where_nothing_else_is_set():
    (folder,) = Settings().agent_folders

    assert (folder / "sentiment" / "agent.py").is_file()


@pytest.mark.parametrize(
    ("value", "folders"),
    [
        ("/a", [Path("/a")]),
        (f"/a{os.pathsep}/b", [Path("/a"), Path("/b")]),
        (f"/a{os.pathsep}{os.pathsep}/b{os.pathsep}", [Path("/a"), Path("/b")]),
    ],
)
def test_the_agent_path_is_separated_like_path(monkeypatch, value, folders):
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", value)

    assert list(Settings().agent_folders) == folders


def test_an_empty_agent_path_means_the_shipped_agents(monkeypatch):
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", "")

    assert Settings().agent_folders == Settings(agent_path=()).agent_folders


@pytest.mark.parametrize(
    ("name", "value", "field", "read"),
    [
        ("SMALLMESH_NATS_URL", "nats://broker:4333", "nats_url", "nats://broker:4333"),
        ("SMALLMESH_LOG_LEVEL", "debug", "log_level", "debug"),
        ("SMALLMESH_HEALTH_PORT", "8080", "health_port", 8080),
        ("SMALLMESH_IN_FLIGHT", "7", "in_flight", 7),
        ("SMALLMESH_MAX_DELIVERIES", "2", "max_deliveries", 2),
        ("SMALLMESH_STEP_ACK_WAIT_S", "1.5", "step_ack_wait_s", 1.5),
        ("SMALLMESH_STREAM_REPLICAS", "3", "stream_replicas", 3),
        ("SMALLMESH_STORE_SIZE", "20GB", "store_size", 20_000_000_000),
        ("SMALLMESH_STORE_SIZE", "512MiB", "store_size", 512 * 1024**2),
        ("SMALLMESH_DONE_KEPT_S", "7200", "done_kept_s", 7200.0),
        ("SMALLMESH_DEAD_KEPT_S", "86400", "dead_kept_s", 86400.0),
        ("SMALLMESH_BROKER_SYNC", "always", "broker_sync", "always"),
        ("SMALLMESH_BROKER_SYNC", "500ms", "broker_sync", "500ms"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://jaeger:4318", "otlp_endpoint", "http://jaeger:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://jaeger:4318/v1/traces", "otlp_endpoint", "http://jaeger:4318/v1/traces"),
    ],
)
def test_a_variable_sets_its_field(monkeypatch, name, value, field, read):
    monkeypatch.setenv(name, value)

    assert getattr(Settings(), field) == read


@pytest.mark.parametrize("name", ["SMALLMESH_HEALTH_PORT", "SMALLMESH_LOG_LEVEL", *KEYS])
def test_an_empty_variable_is_as_good_as_none(monkeypatch, name):
    without = Settings()
    monkeypatch.setenv(name, "")

    assert Settings() == without


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMALLMESH_LOG_LEVEL", "loud"),
        ("SMALLMESH_HEALTH_PORT", "70000"),
        ("SMALLMESH_HEALTH_PORT", "http"),
        ("SMALLMESH_IN_FLIGHT", "0"),
        ("SMALLMESH_STEP_ACK_WAIT_S", "0"),
        ("SMALLMESH_MAX_DELIVERIES", "-1"),
        ("SMALLMESH_MAX_DELIVERIES", "51"),
        ("SMALLMESH_STREAM_REPLICAS", "0"),
        ("SMALLMESH_STREAM_REPLICAS", "6"),
        ("SMALLMESH_STORE_SIZE", "10MB"),
        ("SMALLMESH_STORE_SIZE", "much"),
        ("SMALLMESH_DONE_KEPT_S", "0"),
        ("SMALLMESH_BROKER_SYNC", "sometimes"),
        ("SMALLMESH_BROKER_SYNC", "0s"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_at_the_start(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=name.removeprefix("SMALLMESH_").lower()):
        Settings()


def test_the_frontiers_key_is_read_and_never_shown(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")

    chosen = Settings()

    assert chosen.anthropic_api_key.get_secret_value() == "sk-secret"
    assert "sk-secret" not in repr(chosen)
    assert "sk-secret" not in str(chosen.model_dump())


def test_what_streams_keep_follows_from_the_settings(monkeypatch):
    assert Settings().keeping == Keeping()

    monkeypatch.setenv("SMALLMESH_STORE_SIZE", "1GiB")
    monkeypatch.setenv("SMALLMESH_DONE_KEPT_S", "7200")

    assert Settings().keeping == Keeping(store_bytes=1024**3, done_kept_s=7200.0)
    assert Keeping().store_bytes == STORE_BYTES


def test_some_settings_can_be_others_as_a_child_has_them(monkeypatch):
    monkeypatch.setenv("SMALLMESH_IN_FLIGHT", "7")
    settings.cache_clear()

    other = settings_with(stream_replicas="3", step_ack_wait_s="2")

    assert (other.in_flight, other.stream_replicas, other.step_ack_wait_s) == (7, 3, 2.0)
    assert settings().stream_replicas == 1
    with pytest.raises(ValidationError, match="stream_replicas"):
        settings_with(stream_replicas="9")
    settings.cache_clear()


def test_settings_do_not_change_while_a_process_runs():
    with pytest.raises(ValidationError):
        Settings().log_level = "debug"


def test_a_child_has_this_environment_with_what_was_changed(monkeypatch):
    monkeypatch.setenv("SMALLMESH_LOG_LEVEL", "debug")
    monkeypatch.setenv("SMALLMESH_NATS_URL", "nats://elsewhere")

    child = for_child(nats_url="nats://here")

    assert (child["SMALLMESH_NATS_URL"], child["SMALLMESH_LOG_LEVEL"]) == ("nats://here", "debug")
    assert child["PATH"] == os.environ["PATH"]


def test_a_child_that_has_no_use_for_the_frontiers_key_does_not_get_it(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")

    assert "ANTHROPIC_API_KEY" not in for_child(secrets=False)
    assert for_child()["ANTHROPIC_API_KEY"] == "sk-secret"


def test_the_hubs_own_variables_are_read_as_its_client_reads_them(monkeypatch):
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert (Settings().hub_endpoint, Settings().hub_token, Settings().hub_offline) == (None, None, False)
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    chosen = Settings()

    assert chosen.hub_endpoint == "https://mirror.example"
    assert "hf_secret" not in repr(chosen)


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("on", True), ("Yes", True), ("TRUE", True), ("0", False), ("2", False), ("", False)]
)
def test_offline_is_what_the_hubs_client_takes_for_yes(monkeypatch, value, offline):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)

    assert Settings().hub_offline is offline


def test_the_hubs_token_is_handed_to_no_child(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    assert "HF_TOKEN" not in for_child()
    assert "HF_TOKEN" not in for_child(secrets=False)


def test_the_tier_of_one_agent_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("SMALLMESH_NER_TIER", "small,medium")

    assert agent_tier("ner") == "small,medium"
    assert agent_tier("sentiment") is None
