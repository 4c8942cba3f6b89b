"""Three NATS servers of one's own in a cluster, on this machine: to develop and test against brokers that die one by one.

A cluster survives the loss of a minority. On one machine it proves what the mesh does then, and protects from nothing else.
"""

import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from smallmesh.broker import HOST, SYNC, BrokerUnavailable, EmbeddedBroker

SIZE: Final = 3
NAME: Final = "smallmesh"
PING: Final = "5s"
"""A connection between two brokers that is silent for three of these is given up, and made anew."""
_PORTS: Final = range(20_000, 32_000)
"""Below those that a kernel hands out to connections: a server that is down finds its port free when it comes back."""
_TRIES: Final = 5


class EmbeddedCluster:
    """Brokers that keep streams together; made by :meth:`start`.

    Attributes:
        brokers: Each with :meth:`~smallmesh.broker.EmbeddedBroker.kill` and :meth:`~smallmesh.broker.EmbeddedBroker.restart`.
    """

    def __init__(self, brokers: dict[str, EmbeddedBroker]) -> None:
        """Hold brokers that run, by the names they have in the cluster."""
        self.brokers = brokers

    @classmethod
    @contextmanager
    def start(cls, store: Path, *, size: int = SIZE, sync: str = SYNC) -> Iterator[Self]:
        """Start every server, and stop them all at the end.

        Args:
            store: Where each has a folder; made if it is not there.
            size: How many.
            sync: As for :meth:`smallmesh.broker.EmbeddedBroker.start`.

        Raises:
            BrokerUnavailable: No binary, a store in use, or a server that did not become ready.
        """
        with ExitStack() as stack:
            yield cls(_started(store, size, sync, stack))

    @property
    def url(self) -> str:
        """All their addresses, with commas between them, as ``SMALLMESH_NATS_URL`` takes them."""
        return ",".join(broker.url for broker in self.brokers.values())


def _started(store: Path, size: int, sync: str, stack: ExitStack) -> dict[str, EmbeddedBroker]:
    """Start servers on ports that are free; another process may take one first, so it is tried again."""
    for last in (*[False] * (_TRIES - 1), True):
        ports = random.sample(_PORTS, 2 * size)
        if not all(map(_is_free, ports)):
            continue
        with ExitStack() as attempt:
            try:
                brokers = dict(_start_each(store, ports[:size], ports[size:], sync, attempt))
            except BrokerUnavailable as error:
                if last or "is in use: choose another port" not in str(error):
                    raise
                continue
            stack.push(attempt.pop_all())
            return brokers
    raise BrokerUnavailable(f"no free ports for {size} servers on {HOST}")


def _start_each(store: Path, ports: list[int], routes: list[int], sync: str, stack: ExitStack) -> Iterator[tuple[str, EmbeddedBroker]]:
    addresses = [f"{HOST}:{port}" for port in routes]
    for number, port in enumerate(ports):
        name = f"broker-{number + 1}"
        extra = clustered(name, addresses[number], addresses)
        yield name, stack.enter_context(EmbeddedBroker.start(store / name, port=port, sync=sync, extra=extra))


def clustered(name: str, route: str, routes: Iterable[str]) -> str:
    """Return the lines of nats-server's configuration that make a server one of a cluster.

    Args:
        name: The server's.
        route: ``host:port`` where the others reach it.
        routes: The same of all.
    """
    others = ", ".join(f'"nats://{one}"' for one in routes if one != route)
    return f'server_name: {name}\ncluster {{ name: {NAME}, listen: "{route}", ping_interval: "{PING}", routes: [{others}] }}'


def _is_free(port: int) -> bool:
    try:
        with socket.create_server((HOST, port)):
            return True
    except OSError:
        return False
