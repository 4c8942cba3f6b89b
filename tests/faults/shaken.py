"""A mesh of real processes and what can be done to it from outside: kill, freeze, take its broker away."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import pytest

from smallmesh.broker import EmbeddedBroker
from smallmesh.supervise import Mesh, ProcessInfo, ProcessState
from smallmesh.testing.fake_frontier import FakeFrontier, Reply, answered
from tests.support.client import Client
from tests.support.meshes import pids, process
from tests.support.patience import until
from tests.support.rules import Begun

ACK_WAIT_S = 2.0
"""Silence after which the broker gives a message away, for steps and for leases: short, so that a trial is."""
SCALE = {"sentiment": 3, "orchestrator": 2, "escalation": 2}
MANY_DELIVERIES = 50
"""A step that many replicas died of is given up; here all of them die, and not of it."""
_BITE_S = 0.01


def lent_frontier(seconds: float = 0.4) -> Reply:
    """Return the FAKE frontier's answer, which comes in small bites: there is time to kill who waits for it."""
    whole = answered("Weighed at length. " * 4)
    bites = max(1, int(seconds / _BITE_S))
    padded = whole.body + b" " * max(0, 8 * bites - len(whole.body))
    return Reply(whole.status, padded, whole.headers, pause_s=_BITE_S)


class Shaken:
    """A mesh whose broker is this test's own, so that it stays away for as long as the test wants.

    Attributes:
        mesh: The processes.
        broker: Their broker.
        client: A backend that stays connected.
        begun: What the agents note of their inferences.
        frontier: The FAKE frontier that escalation calls.
    """

    def __init__(self, mesh: Mesh, broker: EmbeddedBroker, client: Client, begun: Begun, frontier: FakeFrontier | None) -> None:
        """Hold what :meth:`started` made."""
        self.mesh = mesh
        self.broker = broker
        self.client = client
        self.begun = begun
        self.frontier = frontier
        self._killed: set[int | None] = {None}

    @classmethod
    @asynccontextmanager
    async def started(  # noqa: PLR0913 - all by name
        cls,
        agents: Path,
        frontier: FakeFrontier | None = None,
        *,
        scale: Mapping[str, int] = SCALE,
        ack_wait_s: float = ACK_WAIT_S,
        broker_extra: str = "",
        only: Collection[str] | None = None,
        **changed: str,
    ) -> AsyncIterator[Self]:
        """Start a broker and a mesh at it, and stop both at the end.

        Args:
            agents: The folder of its agents.
            frontier: What escalation calls; without it every escalation is ``unavailable``.
            scale: Replicas by name.
            ack_wait_s: Silence after which a step or a lease goes to another replica.
            broker_extra: Further lines of the broker's configuration.
            only: Names of the agents and services to start; None for all.
            **changed: Settings of the processes.
        """
        waits = {"step_ack_wait_s": str(ack_wait_s), "lease_ack_wait_s": str(ack_wait_s), "max_deliveries": str(MANY_DELIVERIES)}
        async with AsyncExitStack() as stack:
            store = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smallmesh-faults-", ignore_cleanup_errors=True)))
            broker = stack.enter_context(EmbeddedBroker.start(store, extra=broker_extra))
            with pytest.MonkeyPatch.context() as patched:
                if frontier is not None:
                    patched.setenv("ANTHROPIC_API_KEY", "sk-fake")
                    waits["frontier_base_url"] = frontier.url
                starting = Mesh.start(agent_path=[agents], nats_url=broker.url, scale=scale, agents=only, **{**waits, **changed})
                mesh = await stack.enter_async_context(starting)
            client = await stack.enter_async_context(Client.connected(broker.url))
            await mesh.ready(120)
            yield cls(mesh, broker, client, Begun(agents), frontier)

    # ------------------------------------------------------------ processes

    def replicas(self, name: str) -> list[str]:
        """Return the names of an agent's, a service's or the orchestrators' replicas that are ready."""
        return [p.name for p in self.mesh.processes if self._is_ready(p) and (p.name == name or _replica_of(p.name, name))]

    def pid(self, name: str) -> int:
        """Return a running process's id."""
        pid = process(self.mesh, name).pid
        assert pid is not None, f"{name} is not running"
        return pid

    def kill(self, name: str) -> int:
        """SIGKILL a process, which the supervisor starts again; return the id it had."""
        pid = self.mesh.kill(name)
        assert pid is not None, f"{name} was not running"
        self._killed.add(pid)
        return pid

    def _is_ready(self, process: ProcessInfo) -> bool:
        return process.state is ProcessState.READY and process.pid not in self._killed  # a death is noticed a moment after the kill

    @contextlib.contextmanager
    def frozen(self, *names: str) -> Iterator[list[int]]:
        """Stop processes, which then neither work nor renew what they hold, and let those that still live go on at the end."""
        stopped = [self.pid(name) for name in names]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield stopped
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):  # killed meanwhile
                    os.kill(pid, signal.SIGCONT)

    async def ready(self, *names: str) -> None:
        """Wait until some processes are ready; without names, all."""
        await until(lambda: all(self._is_ready(p) for p in self.mesh.processes if not names or p.name in names), "ready again")

    def pids(self) -> dict[str, int | None]:
        """Return every process's id, by name: to see that none was restarted."""
        return pids(self.mesh)

    # ------------------------------------------------------------ the broker

    def kill_broker(self) -> int:
        """SIGKILL the broker, which stays away until :meth:`restart_broker`."""
        pid = self.broker.pid
        assert pid is not None, "the broker was not running"
        self.broker.kill()
        return pid

    async def restart_broker(self) -> None:
        """Let the broker come back with all it has stored, at the same address."""
        await asyncio.to_thread(self.broker.restart)
        await until(lambda: self.client.bus.client.is_connected, "this client is connected again")


def _replica_of(process_name: str, name: str) -> bool:
    stem, _, number = process_name.rpartition("-")
    return stem == name and number.isdigit()
