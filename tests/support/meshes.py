"""Looking at the processes of a mesh: their logs, their deaths, their health."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from smallmesh.catalogue import AgentFolder, Catalogue
from smallmesh.supervise import Mesh, ProcessInfo, ProcessState
from tests.support.patience import until

SERVICES = Path(__file__).parents[2] / "services"
REQUIRED = ("agent.py", "model.toml", "model.gguf", "MODEL_CARD.md", "golden.jsonl")
"""What an agent's folder must hold; a service that is not an agent is exempt."""


RUNNABLE = ("agent.py", "model.toml", "model.gguf")
"""What a process needs of it."""


def missing_pieces(folder: Path, required: Iterable[str] = REQUIRED) -> tuple[str, ...]:
    """Return which of the required files an agent's folder lacks."""
    return tuple(piece for piece in required if not (folder / piece).is_file())


def shipped() -> dict[str, AgentFolder]:
    """Return the agents that ship."""
    return dict(Catalogue.load([SERVICES]).agents)


def log_of(mesh: Mesh, name: str) -> str:
    """Return all that a process has written."""
    return (mesh.folder / "logs" / f"{name}.log").read_text(encoding="utf-8")


def records(mesh: Mesh, name: str, event: str, **values: object) -> list[dict[str, Any]]:
    """Return the log records of a process and its replicas that are of one event and have these values."""
    found: list[dict[str, Any]] = []
    for log in sorted((mesh.folder / "logs").glob("*.log")):
        if log.stem != name and not log.stem.startswith(f"{name}-"):
            continue
        lines = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{"))
        found.extend(r for r in lines if r.get("event") == event and all(r.get(k) == v for k, v in values.items()))
    return found


def process(mesh: Mesh, name: str) -> ProcessInfo:
    """Return one process of a mesh."""
    return next(info for info in mesh.processes if info.name == name)


def pids(mesh: Mesh) -> dict[str, int | None]:
    """Return the process ids of a mesh, by name."""
    return {info.name: info.pid for info in mesh.processes}


async def replaced(mesh: Mesh, name: str, pid: int | None) -> ProcessInfo:
    """Wait until another process is ready in the place of one that ended."""

    def ready() -> ProcessInfo | None:
        info = process(mesh, name)
        return info if info.state is ProcessState.READY and info.pid not in (None, pid) else None

    return await until(ready, f"{name} is ready again")


async def http_status(address: str, path: str) -> int:
    """Return the status that an HTTP address answers with."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()
