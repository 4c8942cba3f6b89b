"""What ``up`` writes down about itself, so that other commands find it and ``down`` can stop it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from smallmesh.supervise import MeshError, ProcessInfo

STATE_FILE = "mesh.json"
_LOCK_FILE = "lock"
_SAME_START_S = 2.0
"""A process's start is computed from the machine's boot time, which the clock's corrections may shift a little."""


class MeshState(BaseModel):
    """A mesh that ``up`` runs.

    Attributes:
        pid: Process id of ``up``.
        born: When that process started, in seconds since the epoch: a process id alone may be another's by now.
        url: Where the broker is; empty until it runs.
        ready: Whether every process was ready once.
        processes: Every process at the latest change.
    """

    model_config = ConfigDict(frozen=True)

    pid: int
    born: float
    url: str = ""
    ready: bool = False
    processes: tuple[ProcessInfo, ...] = ()


def own_state() -> MeshState:
    """Return the state of a mesh that this process is about to start."""
    return MeshState(pid=os.getpid(), born=psutil.Process().create_time())


def write_state(folder: Path, state: MeshState) -> None:
    """Write the state down, whole or not at all. Only this user may read it: an address can hold a password."""
    draft = folder / f"{STATE_FILE}.{state.pid}"
    draft.touch(mode=0o600)
    draft.write_text(state.model_dump_json(), encoding="utf-8")
    draft.replace(folder / STATE_FILE)


def read_state(folder: Path) -> MeshState | None:
    """Return the state of the mesh that runs here; None where none does."""
    try:
        state = MeshState.model_validate_json((folder / STATE_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    return state if process_of(state) is not None else None


def process_of(state: MeshState) -> psutil.Process | None:
    """Return the very process that wrote a state; None where it is gone."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(state.pid)
        same = abs(process.create_time() - state.born) < _SAME_START_S
        if same and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the state folder for this process, and leave no state behind.

    Raises:
        MeshError: Another one holds it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / _LOCK_FILE).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MeshError(f"another `smallmesh up` is starting or stopping in {folder}: wait, or set SMALLMESH_STATE_DIR") from None
        try:
            yield
        finally:
            (folder / STATE_FILE).unlink(missing_ok=True)
