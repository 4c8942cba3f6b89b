"""``python -m smallmesh.evaluation.child AGENT [TIER]``: one agent answers cases in a process of its own.

Requests come on standard input and outcomes go to standard output, one JSON object a line; the first line says what answers or
why nothing does, the last one how much memory it took. Whatever else is printed goes to standard error.
"""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from smallmesh.catalogue import Catalogue, CatalogueError
from smallmesh.evaluation.answers import Counted, Failed, Memory, Ready
from smallmesh.hosting.card import ModelError
from smallmesh.serving.hosted import hosted
from smallmesh.settings import settings
from smallmesh.telemetry import configure_logs

_MEGABYTE = 1e6
_STATUS = Path("/proc/self/status")


async def serve(name: str, tier: str | None, requests: BinaryIO, outcomes: BinaryIO, before: float | None) -> None:
    """Answer requests until there are no more.

    Raises:
        CatalogueError: There is no such agent, or a setting of it is wrong.
        ModelError: Its model is missing, altered or cannot be loaded.
    """

    def tell(line: str) -> None:
        outcomes.write(line.encode() + b"\n")
        outcomes.flush()

    found = Catalogue.load(settings().agent_folders).agent(name)
    async with hosted(found, tier) as answering:
        agent = Counted(answering)
        ready = resident_mb("VmRSS")
        tell(Ready(served=agent.served).model_dump_json())
        while body := await asyncio.to_thread(requests.readline):
            tell((await agent.answer(body)).model_dump_json())
    tell(Memory(before=before, ready=ready, peak=peak_mb()).model_dump_json())


def resident_mb(name: str) -> float | None:
    """Return ``VmRSS`` or ``VmHWM`` of this process in megabytes; None where the system has no such file."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kilobytes) * 1024 / _MEGABYTE


def peak_mb() -> float:
    """Return the most memory that this process has had, in megabytes."""
    peak = resident_mb("VmHWM")
    if peak is None:  # macOS counts bytes there; Linux does not come here, where the figure can be the parent's
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGABYTE
    return peak


def main() -> int:
    """Serve the agent named on the command line; return the exit status."""
    name, tier, *_ = *sys.argv[1:], None
    before = resident_mb("VmRSS")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it closes our input
    outcomes = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    configure_logs("error", service=name)
    try:
        asyncio.run(serve(name, tier, sys.stdin.buffer, outcomes, before))
    except (CatalogueError, ModelError) as error:
        outcomes.write(Failed(message=str(error), model=isinstance(error, ModelError)).model_dump_json().encode() + b"\n")
        outcomes.flush()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
