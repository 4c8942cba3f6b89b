"""The whole mesh: broker, streams and processes, from start to stop."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from smallmesh.broker import BrokerUnavailable, EmbeddedBroker
from smallmesh.bus.keeping import Keeping, fitting
from smallmesh.bus.layout import all_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.catalogue import Catalogue
from smallmesh.settings import Settings, for_child, settings, settings_with
from smallmesh.supervise.child import Child, ProcessInfo, ProcessState, last_lines, memory_of
from smallmesh.supervise.programs import Program, programs
from smallmesh.tasks import end
from smallmesh_contracts import ContractError

BROKER = "broker"
READY_WITHIN_S = 30.0
STOP_WITHIN_S = 12.0
"""Longer than a process gives its work in hand, so that nothing is killed that was about to end."""
_POLL_S = 0.05
_WATCH_BROKER_S = 1.0
_ROOM_AGAIN = 16 * 1024**2
"""Bytes free on a disk that was full, before its broker is started again."""


class MeshError(RuntimeError):
    """The mesh cannot start or go on; the message says what, and where to look."""


class Mesh:
    """Every process of a mesh, on this machine; made by :meth:`start`.

    Attributes:
        url: Where the broker is.
        folder: Where logs (``logs/NAME.log``) and the embedded broker's store (``broker``) are.
        broker: The embedded broker; None where another one is used.
    """

    def __init__(self, url: str, folder: Path, broker: EmbeddedBroker | None, on_change: Callable[[ProcessInfo], None] | None) -> None:
        """Hold what :meth:`start` made; nothing runs yet."""
        self.url = url
        self.folder = folder
        self.broker = broker
        self._on_change = on_change
        self._children: dict[str, Child] = {}
        self._starting = asyncio.Event()
        self._change = asyncio.Event()
        self._broker_restarts = 0

    @classmethod
    @asynccontextmanager
    async def start(  # noqa: PLR0913 - all by name, and most callers name two
        cls,
        *,
        scale: Mapping[str, int] | None = None,
        nats_url: str | None = None,
        port: int | None = None,
        store: Path | None = None,
        on_change: Callable[[ProcessInfo], None] | None = None,
        agents: Collection[str] | None = None,
        agent_path: Iterable[Path] | None = None,
        restart: bool = True,
        **changed: str,
    ) -> AsyncIterator[Self]:
        """Start every process, and stop them all on leaving: processes first, the broker last.

        Args:
            scale: Replicas by name of agent or service, where it is not one.
            nats_url: A broker that runs already, or several of a cluster with commas between them; without it there is an embedded one.
            port: The embedded broker's; None for a free one.
            store: The mesh's folder, kept; None for a temporary one.
            on_change: Called after every change of a process, in the event loop. It must not raise.
            agents: Names of the agents and services to start; None for all.
            agent_path: Folders of agents, where not those of the settings.
            restart: Whether a process that dies is started again.
            **changed: Settings of the processes, as ``step_ack_wait_s="2"``.

        Raises:
            CatalogueError: A name that nothing has, or a broken agent folder.
            BrokerUnavailable: No embedded broker can be had.
            ContractError: ``unavailable``: the broker cannot be reached or provisioned; or it cannot keep as much as is set.
        """
        paths = tuple(agent_path or settings().agent_folders)
        catalogue = Catalogue.load(paths)
        wanted = programs(catalogue, scale or {}, agents)
        chosen = settings_with(**changed)
        async with AsyncExitStack() as stack:
            folder = store or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smallmesh-", ignore_cleanup_errors=True)))
            (folder / "logs").mkdir(parents=True, exist_ok=True)
            broker = _embedded(folder / BROKER, port, stack) if nats_url is None else None
            mesh = cls(broker.url if broker else str(nats_url), folder, broker, on_change)
            bus = await NatsBus.connect(mesh.url, name="smallmesh-supervisor")
            stack.push_async_callback(bus.close)
            waits = {"step_wait_s": chosen.step_ack_wait_s, "lease_wait_s": chosen.lease_ack_wait_s}
            await bus.provision(all_consumers(catalogue.agents, catalogue.services, **waits), keeping=_keeping(broker, chosen))
            given = {"nats_url": mesh.url, "agent_path": os.pathsep.join(map(str, paths)), "health_port": "0", **changed}
            stack.push_async_callback(mesh._stop)
            mesh._run(wanted, given, restart=restart)
            await mesh._watch(bus, stack)
            yield mesh

    @property
    def processes(self) -> tuple[ProcessInfo, ...]:
        """Every process as it is now, the embedded broker first."""
        broker = (_describe(self.broker, self._broker_restarts),) if self.broker is not None else ()
        return (*broker, *(child.info() for child in self._children.values()))

    async def ready(self, timeout_s: float = READY_WITHIN_S) -> None:
        """Wait until every process is ready.

        Raises:
            MeshError: One has died too often, or not all were ready in time.
        """
        children = self._children.values()

        def settled() -> bool:
            return any(c.state is ProcessState.FAILED for c in children) or all(c.state is ProcessState.READY for c in children)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not settled():
                    self._change.clear()
                    await self._change.wait()
        missing = [child.info() for child in children if child.state is not ProcessState.READY]
        if missing:
            raise MeshError(_why_not_ready(missing, timeout_s))

    def kill(self, name: str) -> int | None:
        """End a process as a crash would, for tests; return the process id it had.

        Raises:
            KeyError: There is no such process.
        """
        if name == BROKER and self.broker is not None:
            pid = self.broker.pid
            self.broker.kill()
            return pid
        return self._children[name].kill()

    def _run(self, wanted: Iterable[Program], chosen: Mapping[str, str], *, restart: bool) -> None:
        for program in wanted:
            environment = for_child(secrets=program.secrets, **chosen)
            log = self.folder / "logs" / f"{program.name}.log"
            self._children[program.name] = Child(program, environment, log, self._changed, restart=restart)
        for child in self._children.values():
            child.start()

    async def _watch(self, bus: NatsBus, stack: AsyncExitStack) -> None:
        for watching in (self._notice_ready(bus), self._keep_broker()):
            task = asyncio.create_task(watching)
            stack.push_async_callback(end, task)

    def _changed(self, child: Child) -> None:
        if child.state is ProcessState.STARTING:
            self._starting.set()
        if self._on_change is not None:
            self._on_change(child.info())
        self._change.set()

    async def _notice_ready(self, bus: NatsBus) -> None:
        """Ask who is there for as long as somebody is starting."""
        while True:
            await self._starting.wait()
            self._starting.clear()
            while starting := [c for c in self._children.values() if c.state is ProcessState.STARTING]:
                with contextlib.suppress(ContractError):
                    answering = {info.metadata.get("pid") for info in await bus.services(_POLL_S)}
                    for child in starting:
                        if str(child.pid) in answering:
                            child.is_ready()
                await asyncio.sleep(_POLL_S)

    async def _keep_broker(self) -> None:
        while self.broker is not None:
            await asyncio.sleep(_WATCH_BROKER_S)
            if self.broker.pid is None or await asyncio.to_thread(_would_recover, self.broker):
                with contextlib.suppress(BrokerUnavailable):
                    self.broker.restart()
                    self._broker_restarts += 1
                if self._on_change is not None:
                    self._on_change(_describe(self.broker, self._broker_restarts))

    async def _stop(self) -> None:
        children = self._children.values()
        for child in children:
            child.terminate()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):  # cancelled again: somebody is in a hurry
            async with asyncio.timeout(STOP_WITHIN_S):
                await asyncio.gather(*(child.ended() for child in children))
        for child in children:
            child.end_now()
        await asyncio.gather(*(child.ended() for child in children))


def _embedded(store: Path, port: int | None, stack: AsyncExitStack) -> EmbeddedBroker:
    return stack.enter_context(EmbeddedBroker.start(store, port=port, sync=settings().broker_sync))


def _keeping(broker: EmbeddedBroker | None, chosen: Settings) -> Keeping:
    """Return what is set; where no size is, and the broker's disk is here, one that the disk has room for."""
    if broker is None or chosen.store_size is not None:
        return chosen.keeping
    return replace(chosen.keeping, store_bytes=fitting(broker.room))


def _would_recover(broker: EmbeddedBroker) -> bool:
    """Whether a write has failed, after which nats-server takes nothing more until it is started again, and there is room again."""
    return "write error" in (broker.trouble() or "") and shutil.disk_usage(broker.store).free >= _ROOM_AGAIN


def _describe(broker: EmbeddedBroker, restarts: int) -> ProcessInfo:
    pid = broker.pid
    log = broker.store / "nats-server.log"
    state = ProcessState.READY if pid else ProcessState.WAITING
    return ProcessInfo(BROKER, state, pid, None, memory_of(pid), restarts, None, log, () if pid else last_lines(log))


def _why_not_ready(missing: Iterable[ProcessInfo], timeout_s: float) -> str:
    failed = [one for one in missing if one.state is ProcessState.FAILED]
    if not failed:
        names = ", ".join(f"{one.name} ({one.state})" for one in missing)
        return f"not ready after {timeout_s:.0f} s: {names}; the logs say why: {next(iter(missing)).log.parent}"
    first = failed[0]
    words = "\n".join(f"  {line}" for line in first.last_words) or "  (nothing)"
    return f"{first.name} does not start (exit status {first.exit_status}). The end of its log, {first.log}:\n{words}"
