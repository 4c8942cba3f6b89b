"""``smallmesh provision``: the broker's streams and consumers."""

import asyncio
from typing import Annotated

import typer

from smallmesh.bus.layout import STREAMS, Consumer, all_consumers
from smallmesh.catalogue import Catalogue
from smallmesh.cli.options import AsJson, Nats
from smallmesh.cli.output import console, print_json
from smallmesh.cli.where import connected, find_url, without_password
from smallmesh.settings import settings

EXAMPLES = (
    ("smallmesh provision --nats nats://broker:4222", "once, before the first process starts; safe to repeat"),
    ("smallmesh provision --nats nats://broker:4222 --replicas 3", "every stream on three brokers of a cluster"),
)


def command(
    replicas: Annotated[int, typer.Option(min=1, max=5, help="Brokers that keep each stream.")] = 1,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Create or update the streams and consumers on a broker.

    Which there are follows from the agents on SMALLMESH_AGENT_PATH: run it again after adding one.
    `up` does this by itself.
    """
    chosen = settings()
    catalogue = Catalogue.load(chosen.agent_folders)
    consumers = all_consumers(
        catalogue.agents, catalogue.services, step_wait_s=chosen.step_ack_wait_s, lease_wait_s=chosen.lease_ack_wait_s
    )
    asyncio.run(_provision(consumers, replicas, nats))
    streams = [stream.name for stream in STREAMS]
    if as_json:
        print_json({"url": without_password(find_url(nats)), "streams": streams, "consumers": [c.name for c in consumers]})
    else:
        console.print(f"{len(streams)} streams and {len(consumers)} consumers are in place at {without_password(find_url(nats))}")


async def _provision(consumers: tuple[Consumer, ...], replicas: int, nats: str | None) -> None:
    async with connected(nats) as bus:
        await bus.provision(consumers, replicas=replicas)
