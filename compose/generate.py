"""Makes ``processes.yaml``: one compose service for each agent, service and orchestrator of the catalogue.

``python compose/generate.py [--out FILE]``; agents are looked for where ``SMALLMESH_AGENT_PATH`` says, else among the shipped ones.
"""

# ruff: noqa: INP001 - a script, not a part of a package
import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from smallmesh.catalogue import Catalogue
from smallmesh.settings import settings
from smallmesh.supervise.programs import ORCHESTRATORS

OUT = Path(__file__).with_name("processes.yaml")
_HEAD = """\
# The processes of the mesh, made from the catalogue by `python compose/generate.py`: edit process.yaml instead, which they extend.

services:
"""
_ENTRY = """\
  {name}:
    extends: {{ file: process.yaml, service: {kind} }}
    command: {arguments}
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A compose service.

    Attributes:
        name: The service's name: the agent's, the service's or the orchestrator's.
        kind: What it extends in ``process.yaml``.
        arguments: What follows ``smallmesh`` on its command line.
    """

    name: str
    kind: str
    arguments: tuple[str, ...]


def entries(catalogue: Catalogue) -> tuple[Entry, ...]:
    """Return every process that a mesh of this catalogue has: those that ``smallmesh up`` starts."""
    return (
        *(Entry(name, "process", ("serve", name)) for name in sorted(catalogue.agents)),
        *(Entry(name, "frontier", ("serve", name)) for name in sorted(catalogue.services)),
        *(
            Entry(name, "orchestrator", ("serve", "orchestrator", "--classes", ",".join(classes)))
            for name, classes in ORCHESTRATORS.items()
        ),
    )


def render(listed: Iterable[Entry]) -> str:
    """Return the file's text."""
    written = (_ENTRY.format(name=one.name, kind=one.kind, arguments=json.dumps(one.arguments)) for one in listed)
    return _HEAD + "\n".join(written)


def main() -> None:
    """Read the catalogue and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="where to, if not beside this script")
    chosen = parser.parse_args()
    chosen.out.write_text(render(entries(Catalogue.load(settings().agent_folders))), encoding="utf-8")


if __name__ == "__main__":
    main()
