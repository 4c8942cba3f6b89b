"""The life of a process: its signals, its connection's end, its logs and its exit status."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import uvloop

from smallmesh.bus import ServiceSpec, Subscription
from smallmesh.bus.nats import NatsBus
from smallmesh.serving.health import Checks, Health
from smallmesh.settings import Settings, settings
from smallmesh.telemetry import configure_logs, configure_traces, logger, stop_traces


class Life:
    """Tells a process when to stop, and remembers whether it had to."""

    def __init__(self) -> None:
        """Live until told otherwise."""
        self._end = asyncio.Event()
        self.failure: str | None = None

    @property
    def ending(self) -> bool:
        """Whether the process is on its way out."""
        return self._end.is_set()

    async def ended(self) -> None:
        """Wait for the end."""
        await self._end.wait()

    def end(self) -> None:
        """Stop cleanly: what SIGTERM and SIGINT do."""
        self._end.set()

    def lost(self) -> None:
        """Stop because the broker's connection was closed for good."""
        self.fail("the connection to the broker was closed for good")

    def fail(self, reason: str) -> None:
        """Stop because this process is of no use any more: its last log record and its exit status say so."""
        if not self.ending:
            self.failure = reason
        self._end.set()

    def problem(self, error: Exception) -> None:
        """Log an error of the connection; it comes back by itself."""
        if not self.ending:
            logger().warning("connection_problem", error=type(error).__name__, reason=str(error)[:200])


def replica() -> str:
    """Return this process's name among its replicas: in a container, where every process is number 1, the host tells them apart."""
    return f"{socket.gethostname()}-{os.getpid()}"


async def announce(spec: ServiceSpec, bus: NatsBus, chosen: Settings, stack: AsyncExitStack, live: Checks = dict) -> Subscription:
    """Open the health port and answer under ``$SRV``: from now on the process is ready. ``live`` is what ``/livez`` looks at too."""
    health = Health(chosen.health_host, chosen.health_port, lambda: {"broker": bus.client.is_connected, **live()}, live)
    address = await health.start()
    stack.push_async_callback(health.stop)
    service = await bus.serve(replace(spec, metadata={**spec.metadata, "health": address, "replica": replica(), "pid": str(os.getpid())}))
    stack.push_async_callback(service.stop)
    gc.freeze()  # what is there now stays: the collector need not look through it again
    gc.enable()
    logger().info("ready", health=address)
    return service


def run_process(name: str, main: Callable[[Life, Settings], Coroutine[Any, Any, None]]) -> int:
    """Run a process of the mesh until it is told to stop; return its exit status."""
    chosen = settings()
    configure_logs(chosen.log_level, service=name, replica=replica())
    configure_traces(name, export=chosen.otlp_endpoint is not None)

    async def live() -> int:
        life = Life()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, life.end)
        await main(life, chosen)
        if life.failure is not None:
            logger().error("stopped", reason=life.failure)
            return 1
        logger().info("stopped")
        return 0

    try:
        return uvloop.run(live())
    finally:
        stop_traces()
