"""``python -m smallmesh.serving agent|service|orchestrator NAME``: what ``smallmesh serve`` and ``up`` start.

It skips the command line's own imports, so that a process holds only what it runs.
"""

# ruff: noqa: E402 - the collector rests while modules are loaded: that makes lasting objects only, and
# looking through them again and again is a tenth of the time. The process's life begins by waking it.
import gc

gc.disable()

import argparse
import errno
import sys
from importlib.metadata import entry_points

from smallmesh.catalogue import CatalogueError
from smallmesh.hosting.card import ModelError
from smallmesh_contracts import ContractError, DataClass

PROCESSES = "smallmesh.processes"
"""Entry points of processes that stand above this package: the orchestrator."""
FAILED = 1
_NO_ROOM = ("failed to map segment", "can't start new thread")
"""What the loader and the interpreter say where they are given no memory."""


def serve(kind: str, name: str, classes: str) -> int:
    """Run one process until SIGTERM; return its exit status.

    Raises:
        CatalogueError: There is nothing of that name.
        ModelError: The model is missing, altered or cannot be loaded.
        ContractError: The broker is not there or not provisioned.
        OSError: The health port is in use.
    """
    if kind == "orchestrator":
        (process,) = entry_points(group=PROCESSES, name=kind)
        status: int = process.load()([DataClass(c) for c in classes.split(",")])
        return status
    from smallmesh.serving.serve import serve_agent, serve_service  # noqa: PLC0415 - an orchestrator does without FastStream

    return serve_agent(name) if kind == "agent" else serve_service(name)


def main() -> int:
    """Read the command line, run the process, and say in one line why it could not."""
    parser = argparse.ArgumentParser(prog="python -m smallmesh.serving", description=__doc__)
    parser.add_argument("kind", choices=("agent", "service", "orchestrator"))
    parser.add_argument("name", nargs="?", default="orchestrator")
    parser.add_argument("--classes", default="public,internal", help="data classes that an orchestrator serves")
    chosen = parser.parse_args()
    try:
        return serve(chosen.kind, chosen.name, chosen.classes)
    except (CatalogueError, ModelError, ContractError, OSError, MemoryError, ImportError, RuntimeError) as error:
        if is_out_of_memory(error):
            said = "there is too little memory for it: give it more, or run fewer processes beside it"
        elif isinstance(error, CatalogueError | ModelError | ContractError | OSError):
            said = str(error)
        else:
            raise
        sys.stderr.write(f"smallmesh: {chosen.name}: {said}\n")
        return FAILED


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether a process cannot start because it is given no more memory."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return any(words in str(error) for words in _NO_ROOM)


if __name__ == "__main__":
    sys.exit(main())
