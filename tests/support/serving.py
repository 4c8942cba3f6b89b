"""Single processes of a mesh, each in an environment of its own, beside whatever else runs."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.client import Client
from tests.support.patience import until
from tests.support.processes import Ended, environment, serve


@dataclass
class Served:
    """A process that serves.

    Attributes:
        pid: Its process id.
        ended: How it ended, once it has.
    """

    pid: int
    ended: Ended | None = None


@asynccontextmanager
async def served(
    client: Client, url: str, agents: Path, *arguments: str, path: str = "", env: Mapping[str, str] | None = None, **changed: str
) -> AsyncIterator[Served]:
    """Run a process until the end; go on when it is ready.

    Args:
        client: Connected to the same broker.
        url: The broker.
        agents: The folder of its agents.
        *arguments: What it is, as ``"agent", "echo"``.
        path: What is to be first on its ``PYTHONPATH``.
        env: More of its environment.
        **changed: Its settings.
    """
    paths = os.pathsep.join(filter(None, (path, os.environ.get("PYTHONPATH"))))
    own = {**environment(agents, nats_url=url, **changed), **({"PYTHONPATH": paths} if paths else {}), **(env or {})}
    process = await serve(*arguments, env=own)
    output = asyncio.create_task(process.communicate())  # a pipe that nobody reads would freeze it
    running = Served(process.pid)
    try:
        await until(lambda: output.done() or _answers(client, process.pid), f"{' '.join(arguments)} is ready")
        assert not output.done(), output.result()
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        out, err = await output
        running.ended = Ended(process.returncode or 0, out.decode(), err.decode())


async def _answers(client: Client, pid: int) -> bool:
    return str(pid) in {info.metadata.get("pid") for info in await client.bus.services(0.1)}
