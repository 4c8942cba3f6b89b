import contextlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import smallmesh_contracts

CONTRACTS = Path(__file__).parents[2] / "contracts"
PROBE = "import json, sys; before = set(sys.modules); import {module}; print(json.dumps(sorted(set(sys.modules) - before)))"


def _loaded_by(module: str) -> set[str]:
    """Names of the top-level modules outside the standard library that importing a module loads in an interpreter of its own."""
    ran = subprocess.run([sys.executable, "-c", PROBE.format(module=module)], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in json.loads(ran.stdout)}
    return {name for name in loaded - sys.stdlib_module_names if not name.startswith("_sysconfigdata")}


def _name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def _needed_by(distribution: str) -> set[str]:
    """A distribution and what it needs, to the last, without extras."""
    needed, to_ask = set(), [distribution]
    while to_ask:
        asked = to_ask.pop()
        with contextlib.suppress(metadata.PackageNotFoundError):  # needed on another platform only
            lines = metadata.requires(asked) or ()
            to_ask += [name for line in lines if "extra ==" not in line and (name := _name(line)) not in needed]
            needed.add(asked)
    return needed


@pytest.mark.parametrize("module", ["smallmesh_contracts", "smallmesh_contracts.schemas"])
def test_importing_the_contracts_loads_pydantic_and_what_pydantic_needs_and_nothing_else(module):
    allowed = _needed_by("pydantic")
    belongs_to = metadata.packages_distributions()

    loaded = _loaded_by(module)

    others = loaded - {"smallmesh_contracts"}
    assert "pydantic" in others
    assert {name for name in others if not {_name(each) for each in belongs_to.get(name, [name])} & allowed} == set()


def test_pydantic_is_the_one_dependency():
    project = tomllib.loads((CONTRACTS / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert [_name(each) for each in project["dependencies"]] == ["pydantic"]
    assert {extra: [_name(each) for each in needed] for extra, needed in project["optional-dependencies"].items()} == {
        "client": ["nats-py"]
    }


def test_the_public_namespace_is_what_it_says_it_is():
    public = {name for name, value in vars(smallmesh_contracts).items() if not name.startswith("_") and not inspect.ismodule(value)}
    offered = {name for name in smallmesh_contracts.__all__ if not inspect.ismodule(getattr(smallmesh_contracts, name))}

    assert public == offered
    assert len(set(smallmesh_contracts.__all__)) == len(smallmesh_contracts.__all__)


def test_what_is_public_is_documented():
    undocumented = [name for name in smallmesh_contracts.__all__ if not inspect.getdoc(getattr(smallmesh_contracts, name))]

    assert undocumented == []
