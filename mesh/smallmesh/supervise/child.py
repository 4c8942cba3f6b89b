"""One process kept running: started, watched, restarted when it dies, stopped when that is wanted."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from smallmesh import tied
from smallmesh.supervise.backoff import LONGEST_WAIT_S, QUICK_DEATH_S, backoff_s
from smallmesh.supervise.programs import Program

LAST_LINES = 8
_TAIL_BYTES = 8192


class ProcessState(StrEnum):
    """What a process is doing.

    ``waiting``: it died and is started again soon. ``failed``: it died too often without having been ready, and stays dead.
    """

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process at one moment.

    Attributes:
        name: Its name in the mesh.
        state: What it is doing.
        pid: Its process id; None while it is not running.
        ready_ms: Milliseconds from start to ready, of the latest start that came so far.
        memory_bytes: Resident memory; 0 while it is not running.
        restarts: How often it was started again.
        exit_status: Of the latest death; negative for a signal, None before any.
        log: Where its output goes.
        last_words: The last lines of its output at its latest death.
    """

    name: str
    state: ProcessState
    pid: int | None
    ready_ms: float | None
    memory_bytes: int
    restarts: int
    exit_status: int | None
    log: Path
    last_words: tuple[str, ...]


class Child:
    """A process that is kept running. It never outlives the thread that started it (on Linux)."""

    def __init__(
        self, program: Program, environment: Mapping[str, str], log: Path, changed: Callable[["Child"], None], *, restart: bool
    ) -> None:
        """Prepare; nothing runs before :meth:`start`.

        Args:
            program: What to run.
            environment: All of its environment.
            log: Where its output goes. A file, because a pipe that nobody reads freezes its writer.
            changed: Called after every change of state.
            restart: Whether it is started again when it dies.
        """
        self.name = program.name
        self.state = ProcessState.STOPPED
        self.ready_ms: float | None = None
        self.restarts = 0
        self.exit_status: int | None = None
        self.last_words: tuple[str, ...] = ()
        self._command = (sys.executable, "-I", "-S", tied.__file__, str(os.getpid()), *program.command)
        self._environment = environment
        self._log = log
        self._changed = changed
        self._restart = restart
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._started_at = 0.0
        self._log_began = 0
        self._stopping = False
        self._murdered = False

    @property
    def pid(self) -> int | None:
        """Its process id; None while it is not running."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    def info(self) -> ProcessInfo:
        """Describe it as it is now."""
        return ProcessInfo(
            self.name,
            self.state,
            self.pid,
            self.ready_ms,
            memory_of(self.pid),
            self.restarts,
            self.exit_status,
            self._log,
            self.last_words,
        )

    def start(self) -> None:
        """Run it, and keep it running."""
        self._log.unlink(missing_ok=True)
        self._keeping = asyncio.create_task(self._keep_running(), name=f"keep {self.name} running")

    def is_ready(self) -> None:
        """Take note that it has become ready."""
        self.ready_ms = (time.monotonic() - self._started_at) * 1000
        self._become(ProcessState.READY)

    def kill(self) -> int | None:
        """End it as a crash would, for tests; it is started again at once. Return the process id it had."""
        self._murdered = True
        pid = self.pid
        self._signal(signal.SIGKILL)
        return pid

    def terminate(self) -> None:
        """Ask it to stop, for good. See :meth:`ended`."""
        self._stopping = True
        if self.pid is None and self._keeping is not None and self.state is not ProcessState.STARTING:
            self._keeping.cancel()
        self._signal(signal.SIGTERM)

    def end_now(self) -> None:
        """Give it no more time to stop."""
        self._stopping = True
        self._signal(signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until it has stopped for good."""
        if self._keeping is not None:
            await asyncio.wait([self._keeping])
        if self.state is not ProcessState.FAILED:
            self._become(ProcessState.STOPPED)

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _become(self, state: ProcessState) -> None:
        if state is not self.state:
            self.state = state
            self._changed(self)

    async def _keep_running(self) -> None:
        quick_deaths = 0
        while True:
            try:
                self.exit_status = await self._run_once()
            except OSError as error:  # it could not even be started: no memory, no more processes, no log folder
                self.last_words = (str(error),)
                self._become(ProcessState.FAILED)
                return
            if self._stopping:
                return
            self.last_words = last_lines(self._log, since=self._log_began)
            quick_deaths = quick_deaths + 1 if self._died_quickly() else 0
            wait_s = backoff_s(quick_deaths) if self._restart else None
            if wait_s is None and self._restart and self.ready_ms is not None:
                quick_deaths, wait_s = 0, LONGEST_WAIT_S
            if wait_s is None:
                self._become(ProcessState.FAILED)
                return
            self._become(ProcessState.WAITING)
            await asyncio.sleep(wait_s)
            self.restarts += 1

    async def _run_once(self) -> int:
        self._murdered = False
        self._started_at = time.monotonic()
        self._become(ProcessState.STARTING)
        with self._log.open("ab") as log:
            self._log_began = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # a Ctrl-C at the terminal is for the parent, which stops its children in order
            )
        if self._stopping:
            self._signal(signal.SIGTERM)
        return await self._process.wait()

    def _died_quickly(self) -> bool:
        lived_s = time.monotonic() - self._started_at
        return not self._murdered and (self.state is not ProcessState.READY or lived_s < QUICK_DEATH_S)


def last_lines(log: Path, *, since: int = 0) -> tuple[str, ...]:
    """Return the last lines of a log, from an offset on."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(since, end - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
        return tuple(deque((line for line in lines if line.strip()), LAST_LINES))
    return ()


def memory_of(pid: int | None) -> int:
    """Return the resident memory of a process in bytes; 0 where there is none."""
    if pid is None:
        return 0
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
