"""The catalogue: which agents and services there are, found by folder."""

import importlib.util
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from smallmesh.agent import Agent
from smallmesh.service import Service

AGENT_FILE = "agent.py"
SERVICE_FILE = "service.py"
RESERVED = frozenset({"broker", "orchestrator", "orchestrator_restricted"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class CatalogueError(Exception):
    """A folder does not hold what it should; the message says which piece is missing."""


@dataclass(frozen=True, slots=True)
class AgentFolder:
    """An agent and where it lives."""

    agent: Agent[Any, Any]
    folder: Path


@dataclass(frozen=True, slots=True)
class ServiceFolder:
    """A service that is not an agent (no model of its own, no ask) and where it lives."""

    service: Service
    folder: Path


class Catalogue:
    """Every agent and service on the agent path.

    An agent is a folder with an ``agent.py``; adding one edits nothing else.
    """

    def __init__(self, agents: Iterable[AgentFolder], services: Iterable[ServiceFolder] = ()) -> None:
        """Index what was found.

        Raises:
            CatalogueError: Two folders share a name, or two of them an answer.
        """
        self.agents = {found.agent.name: found for found in agents}
        self.services = {found.service.name: found for found in services}
        self._by_answer: dict[str, str] = {}
        declared = [found.agent for found in self.agents.values()] + [found.service for found in self.services.values()]
        for one in declared:
            other = self._by_answer.setdefault(one.answer, one.name)
            if other != one.name:
                msg = f"{one.name} and {other} both give the answer {one.answer!r}"
                raise CatalogueError(msg)

    @classmethod
    def load(cls, folders: Iterable[Path]) -> "Catalogue":
        """Find everything in some folders.

        Raises:
            CatalogueError: A folder is missing, or one in it is not what it should be.
        """
        agents: dict[str, AgentFolder] = {}
        services: dict[str, ServiceFolder] = {}
        for parent in folders:
            if not parent.is_dir():
                msg = f"no such folder: {parent} (SMALLMESH_AGENT_PATH lists folders that hold agent folders)"
                raise CatalogueError(msg)
            for folder in sorted(p for p in parent.iterdir() if p.is_dir()):
                if folder.name in agents or folder.name in services:
                    msg = f"two folders are called {folder.name!r}; the second is {folder}"
                    raise CatalogueError(msg)
                if (folder / AGENT_FILE).is_file():
                    agents[folder.name] = AgentFolder(_load_agent(folder), folder)
                elif (folder / SERVICE_FILE).is_file():
                    services[folder.name] = ServiceFolder(_load_service(folder), folder)
        return cls(agents.values(), services.values())

    @property
    def answers(self) -> tuple[str, ...]:
        """Every answer that can be wanted."""
        return tuple(sorted(self._by_answer))

    def giver(self, answer: str) -> str | None:
        """Return the name of the agent or service that gives an answer."""
        return self._by_answer.get(answer)

    def agent(self, name: str) -> AgentFolder:
        """Return one agent.

        Raises:
            CatalogueError: There is none of that name.
        """
        try:
            return self.agents[name]
        except KeyError:
            msg = f"no agent called {name!r}; there are: {', '.join(sorted(self.agents)) or 'none'}"
            raise CatalogueError(msg) from None


def _load_agent(folder: Path) -> Agent[Any, Any]:
    agent = getattr(_import(folder / AGENT_FILE), "AGENT", None)
    if not isinstance(agent, Agent):
        msg = f"{folder / AGENT_FILE} must define AGENT, an instance of smallmesh.agent.Agent"
        raise CatalogueError(msg)
    _check_declaration(agent, folder, ("name", "answer", "description", "request", "result"))
    return agent


def _load_service(folder: Path) -> Service:
    service = getattr(_import(folder / SERVICE_FILE), "SERVICE", None)
    if not isinstance(service, Service):
        msg = f"{folder / SERVICE_FILE} must define SERVICE, an instance of smallmesh.service.Service"
        raise CatalogueError(msg)
    _check_declaration(service, folder, ("name", "answer", "description"))
    return service


def _check_declaration(declared: object, folder: Path, fields: tuple[str, ...]) -> None:
    missing = [field for field in fields if not hasattr(declared, field)]
    if missing:
        msg = f"{folder}: the declaration lacks {', '.join(missing)}"
        raise CatalogueError(msg)
    name, answer = declared.name, declared.answer  # type: ignore[attr-defined]
    if name in RESERVED:
        raise CatalogueError(f"{folder}: {name!r} is the name of a process of the mesh itself")
    if name != folder.name or _NAME.fullmatch(name) is None:
        msg = f"{folder}: its name must be the folder's, and match {_NAME.pattern}; it says {name!r}"
        raise CatalogueError(msg)
    if _NAME.fullmatch(answer) is None:
        msg = f"{folder}: its answer must match {_NAME.pattern}, to be wanted and to stand in a subject; it says {answer!r}"
        raise CatalogueError(msg)


def _import(file: Path) -> ModuleType:
    name = f"smallmesh_services.{file.parent.name}.{file.stem}_{abs(hash(file.resolve()))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise CatalogueError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        msg = f"{file} cannot be loaded: {type(error).__name__}: {error}"
        raise CatalogueError(msg) from error
    return module
