"""What each process carries: read from the modules of fresh interpreters and of real processes at their end."""

import ast
import asyncio
import json
import signal
import sys
import tomllib
from pathlib import Path

import pytest
import pytest_asyncio

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.layout import all_consumers
from smallmesh.catalogue import Catalogue
from tests.support.client import Client
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, shipped
from tests.support.processes import Ended, ended, environment
from tests.support.rules import write_agent

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

ROOT = SERVICES.parent
SDKS = frozenset({"anthropic", "faststream", "llama_cpp", "nats", "numpy", "opentelemetry"})
KEY = {"ANTHROPIC_API_KEY": "sk-fake"}
MODEL = "summarizer"
_TELL = "import atexit, json, sys; atexit.register(lambda: print('LOADED', json.dumps(sorted(sys.modules))))"
_SERVE = f"{_TELL}; from smallmesh.serving.__main__ import main; sys.exit(main())"
PROCESSES = {
    "agent": (("agent", MODEL), {}, {"nats", "llama_cpp", "numpy", "opentelemetry"}),
    "agent of rules": (("agent", "echo"), {}, {"nats", "opentelemetry"}),
    "escalation without a key": (("service", "escalation"), {}, {"faststream", "nats", "opentelemetry"}),
    "escalation with a key": (("service", "escalation"), KEY, {"faststream", "nats", "opentelemetry", "anthropic"}),
    "orchestrator": (("orchestrator", "orchestrator", "--classes", "public"), {}, {"nats", "opentelemetry"}),
}
"""Of each process: how it is started, what is in its environment, and which of the SDKs it may load; it loads them all."""


def loaded(end: Ended) -> set[str]:
    """Return the top-level modules that a process had at its end."""
    assert end.status == 0, end.err
    (line,) = [line for line in end.out.splitlines() if line.startswith("LOADED ")]
    return {name.partition(".")[0] for name in json.loads(line.removeprefix("LOADED "))}


async def interpreter(code: str, *arguments: str, env: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", code, *arguments, env=env, stdout=pipe, stderr=pipe)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    own = tmp_path_factory.mktemp("weight")
    write_agent(own, "echo", "echo")
    return f"{SERVICES}:{own}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provisioned(folders):
    catalogue = Catalogue.load([Path(folder) for folder in folders.split(":")])
    with EmbeddedBroker.start() as broker:
        async with Client.connected(broker.url) as client:
            await client.bus.provision(all_consumers(catalogue.agents, catalogue.services))
            yield client, broker.url


@pytest.mark.parametrize("name", PROCESSES)
async def test_a_process_loads_the_sdks_that_it_uses_and_no_others(provisioned, folders, name):
    (client, url), (arguments, extra, expected) = provisioned, PROCESSES[name]
    if arguments == ("agent", MODEL) and missing_pieces(shipped()[MODEL].folder, RUNNABLE):
        pytest.skip(f"{MODEL} has no model")
    process = await interpreter(_SERVE, *arguments, env={**environment(folders, nats_url=url), **extra})

    await client.info(arguments[1])
    process.send_signal(signal.SIGTERM)

    assert loaded(await ended(process)) & SDKS == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import smallmesh_contracts", set()),
        ("import smallmesh.agent, smallmesh.catalogue, smallmesh.retry, smallmesh.dead_letters", set()),
        ("import smallmesh_orchestrator.plan, smallmesh_orchestrator.policy", set()),
        ("import smallmesh.hosting.card, smallmesh.hosting.thread, smallmesh.hosting.sentences", set()),
        ("import smallmesh.bus, smallmesh.bus.memory", set()),
        ("import smallmesh.frontier, smallmesh.service, smallmesh.frontier.build", set()),
    ],
)
async def test_what_needs_no_sdk_loads_none(code, expected):
    assert loaded(await ended(await interpreter(f"{_TELL}; {code}"))) & SDKS == expected


async def test_the_contracts_load_nothing_of_the_mesh():
    names = loaded(await ended(await interpreter(f"{_TELL}; import smallmesh_contracts")))

    assert names & {"smallmesh", "smallmesh_orchestrator", "structlog", "typer", "rich", "uvicorn", "pydantic_settings"} == set()


async def test_help_loads_no_heavy_sdk():
    end = await ended(await interpreter(f"{_TELL}; from smallmesh.cli import main; main()", "--help"))

    assert "submit" in end.out
    assert loaded(end) & (SDKS - {"nats", "opentelemetry"}) == set()


async def test_the_planner_reads_the_shipped_catalogue_without_a_model_library():
    code = f"{_TELL}; from pathlib import Path; from smallmesh.catalogue import Catalogue; Catalogue.load([Path({str(SERVICES)!r})])"

    names = loaded(await ended(await interpreter(code)))

    assert names & {"llama_cpp", "anthropic", "faststream", "nats", "numpy"} == set()


def allowed_importers() -> dict[str, set[str]]:
    """Return which modules may import each SDK, from the one place that says so."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    allowed: dict[str, set[str]] = {}
    for contract in config["contracts"]:
        for line in contract.get("ignore_imports", ()):
            importer, _, imported = (part.strip() for part in line.partition("->"))
            allowed.setdefault(imported.partition(".")[0], set()).add(importer)
    return {sdk: allowed[sdk] for sdk in ("anthropic", "faststream", "huggingface_hub", "llama_cpp", "nats", "opentelemetry")}


def imports_of(file: Path) -> set[str]:
    """Return the top-level modules that a file imports anywhere in it."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    inside = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in plain | inside}


def may(module: str, importers: set[str]) -> bool:
    return any(module == name or (name.endswith((".*", ".**")) and module.startswith(name.rstrip("*"))) for name in importers)


async def test_only_the_modules_named_in_the_import_contracts_import_an_sdk():
    allowed, seen = allowed_importers(), set()

    for package in (ROOT / "mesh", ROOT / "orchestrator", ROOT / "contracts", ROOT / "services"):
        for file in sorted(package.rglob("*.py")):
            module = ".".join(file.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
            for sdk in imports_of(file) & allowed.keys():
                seen.add(sdk)
                assert may(module, allowed[sdk]), f"{file.relative_to(ROOT)} imports {sdk}"

    assert seen == allowed.keys(), "every SDK has its adapter"
