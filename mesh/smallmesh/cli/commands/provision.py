"""``smallmesh provision``: the broker's streams and consumers."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from smallmesh.bus.keeping import Keeping
from smallmesh.bus.layout import Consumer, all_consumers
from smallmesh.catalogue import Catalogue
from smallmesh.cli.options import AsJson, Nats
from smallmesh.cli.output import console, print_json
from smallmesh.cli.where import connected, find_url, without_password
from smallmesh.settings import settings

if TYPE_CHECKING:
    from smallmesh.bus.provision import Provisioned

EXAMPLES = (
    ("smallmesh provision --nats nats://broker:4222", "once, before the first process starts; safe to repeat"),
    ("smallmesh provision --nats nats://a:4222,nats://b:4222,nats://c:4222 --replicas 3", "every stream on three brokers of a cluster"),
    ("SMALLMESH_STORE_SIZE=20GB smallmesh provision --dry-run", "what that would change"),
)


def command(
    replicas: Annotated[
        int | None,
        typer.Option(min=1, max=5, help="Brokers that keep each stream; else SMALLMESH_STREAM_REPLICAS.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, and show what would be.")] = False,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Create or update the streams and consumers on a broker.

    Which there are follows from the agents on SMALLMESH_AGENT_PATH: run it again after adding one.
    How much they keep, and how long, is set by SMALLMESH_STORE_SIZE, SMALLMESH_DONE_KEPT_S and
    SMALLMESH_DEAD_KEPT_S. `up` does this by itself.
    """
    chosen = settings()
    keeping = chosen.keeping if replicas is None else replace(chosen.keeping, replicas=replicas)
    catalogue = Catalogue.load(chosen.agent_folders)
    consumers = all_consumers(
        catalogue.agents, catalogue.services, step_wait_s=chosen.step_ack_wait_s, lease_wait_s=chosen.lease_ack_wait_s
    )
    streams = asyncio.run(_provision(consumers, keeping, nats, dry_run=dry_run))
    url = without_password(find_url(nats))
    if as_json:
        told = [asdict(stream) for stream in streams]
        print_json({"url": url, "dry_run": dry_run, "streams": told, "consumers": [c.name for c in consumers]})
    else:
        _show(streams, len(consumers), url, dry_run=dry_run)


async def _provision(consumers: tuple[Consumer, ...], keeping: Keeping, nats: str | None, *, dry_run: bool) -> "tuple[Provisioned, ...]":
    async with connected(nats) as bus:
        return await bus.provision(consumers, keeping=keeping, dry_run=dry_run)


def _show(streams: "Sequence[Provisioned]", consumers: int, url: str, *, dry_run: bool) -> None:
    from smallmesh.cli.views.provision import table  # noqa: PLC0415 - rich's tables are not for a Tab to load

    console.print(table(streams))
    there = "nothing was changed" if dry_run else f"{len(streams)} streams and {consumers} consumers are in place"
    console.print(f"{there} at {url}")
