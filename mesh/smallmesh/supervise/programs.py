"""Which processes a whole mesh has: one a replica of each agent and service, and the orchestrators."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from smallmesh.catalogue import Catalogue, CatalogueError
from smallmesh_contracts import DataClass

ORCHESTRATORS: Mapping[str, tuple[DataClass, ...]] = {
    "orchestrator": (DataClass.PUBLIC, DataClass.INTERNAL),
    "orchestrator_restricted": (DataClass.RESTRICTED,),
}
"""Restricted work has a deployment of its own: on a broker with permissions its
credentials cannot reach the escalation stream."""
_SERVING = (sys.executable, "-P", "-m", "smallmesh.serving")


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running.

    Attributes:
        name: Its name here: the agent's, and for further replicas with a number.
        command: What is run.
        secrets: Whether it is handed the frontier's key.
    """

    name: str
    command: tuple[str, ...]
    secrets: bool = False


def programs(catalogue: Catalogue, scale: Mapping[str, int], only: Collection[str] | None = None) -> tuple[Program, ...]:
    """Return every process of a mesh, services first because their SDKs load slowest.

    Args:
        catalogue: What there is.
        scale: How many replicas of what, where it is not one.
        only: Names of the agents and services wanted; None for all. Orchestrators are always there.

    Raises:
        CatalogueError: A name that nothing has.
    """
    commands = _commands(catalogue)
    unknown = sorted(({*scale} | {*(only or ())}) - commands.keys())
    if unknown:
        msg = f"no agent or service called {', '.join(map(repr, unknown))}; there are: {', '.join(commands)}"
        raise CatalogueError(msg)
    wanted = [name for name in commands if only is None or name in only or name in ORCHESTRATORS]
    return tuple(
        Program(_replica(name, n), commands[name], name in catalogue.services) for name in wanted for n in range(1, scale.get(name, 1) + 1)
    )


def _commands(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    services = {name: (*_SERVING, "service", name) for name in catalogue.services}
    agents = {name: (*_SERVING, "agent", name) for name in catalogue.agents}
    orchestrators = {
        name: (*_SERVING, "orchestrator", "--classes", ",".join(c.value for c in classes)) for name, classes in ORCHESTRATORS.items()
    }
    return {**services, **agents, **orchestrators}


def _replica(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"
