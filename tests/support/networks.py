"""Networks of one's own, of network namespaces on a bridge: machines on one machine, each of which can be cut off from the others.

Every address is inside a namespace; nothing of the machine's own network is touched. Only root on Linux can make them.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_HUB, _BRIDGE = "hub", "bridge"


def why_not() -> str | None:
    """Return why there can be no such networks here; None where there can."""
    if sys.platform != "linux" or os.geteuid() != 0 or _ip_tool() is None:
        return "network namespaces need root on Linux, and the program ip"
    name = f"slm-{uuid.uuid4().hex[:6]}"
    tried = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True, text=True, env=_environment())
    if tried.returncode:
        return f"network namespaces cannot be made here: {tried.stderr.strip()}"
    _ip("netns", "del", name)
    return None


class Network:
    """Machines on one network; made by :meth:`made`."""

    def __init__(self) -> None:
        """Prepare names that nobody else has."""
        self._prefix = f"slm-{uuid.uuid4().hex[:6]}-"
        self._joined: dict[str, str] = {}

    @classmethod
    @contextmanager
    def made(cls, *machines: str) -> Iterator["Network"]:
        """Make a network of these machines, and take it away at the end with whatever still talks there."""
        network = cls()
        try:
            network._add(_HUB)
            _ip("-n", network._name(_HUB), "link", "add", _BRIDGE, "type", "bridge")
            _ip("-n", network._name(_HUB), "link", "set", _BRIDGE, "up")
            for number, machine in enumerate(machines, start=1):
                network._join(machine, number)
            yield network
        finally:
            for machine in (*network._joined, _HUB):
                subprocess.run(["ip", "netns", "del", network._name(machine)], check=False, env=_environment())

    def address(self, machine: str) -> str:
        """Return a machine's IP address."""
        return self._joined[machine]

    def cut(self, machine: str) -> None:
        """Cut a machine off: nothing reaches it and nothing comes from it, and nobody is told."""
        _ip("-n", self._name(_HUB), "link", "set", machine, "nomaster")

    def heal(self, machine: str) -> None:
        """Join it again."""
        _ip("-n", self._name(_HUB), "link", "set", machine, "master", _BRIDGE)

    @contextmanager
    def at(self, machine: str) -> Iterator[None]:
        """Let this thread be at a machine: what it connects, and what it starts, is there."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            with (NAMESPACES / self._name(machine)).open() as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here)
        finally:
            os.close(here)

    def _name(self, machine: str) -> str:
        return self._prefix + machine

    def _add(self, machine: str) -> None:
        _ip("netns", "add", self._name(machine))
        _ip("-n", self._name(machine), "link", "set", "lo", "up")

    def _join(self, machine: str, number: int) -> None:
        self._add(machine)
        hub, there = self._name(_HUB), self._name(machine)
        _ip("-n", hub, "link", "add", machine, "type", "veth", "peer", "name", "eth0", "netns", there)
        _ip("-n", hub, "link", "set", machine, "up")
        self.heal(machine)
        self._joined[machine] = f"10.87.0.{number}"
        _ip("-n", there, "address", "add", f"{self._joined[machine]}/24", "dev", "eth0")
        _ip("-n", there, "link", "set", "eth0", "up")


def _ip_tool() -> str | None:
    return shutil.which("ip", path=_environment()["PATH"])


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, env=_environment())


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")
