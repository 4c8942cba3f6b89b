"""``smallmesh agents``: who is there."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from smallmesh.bus import ServiceInfo
from smallmesh.cli.exits import Exit
from smallmesh.cli.options import AsJson, Nats
from smallmesh.cli.output import console, notes, print_json, printable
from smallmesh.cli.where import connected, find_url, without_password

EXAMPLES = (
    ("smallmesh agents", "every replica, with the model it serves"),
    ("smallmesh agents --json | jq -r '.[].metadata.health'", "where each one answers /livez and /readyz"),
)


def command(
    wait: Annotated[float, typer.Option(metavar="SECONDS", min=0.01, help="How long to wait for the first one.")] = 1.0,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """List every process that answers on the broker.

    One line a replica, as it describes itself under $SRV.INFO.
    """
    found = asyncio.run(_find(nats, wait))
    if as_json:
        print_json([asdict(one) for one in found])
    elif found:
        console.print(_table(found))
    else:
        notes.print(f"nobody answers at {without_password(find_url(nats))}: start a mesh with `smallmesh up`")
    if not found:
        raise typer.Exit(Exit.NOBODY_THERE)


async def _find(nats: str | None, wait_s: float) -> list[ServiceInfo]:
    async with connected(nats) as bus:
        return await bus.services(wait_s)


def _table(found: list[ServiceInfo]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("name", "gives", "model", "sha256", "prompt", "version", "pid", "health"):
        table.add_column(heading, no_wrap=heading != "model")
    for one in found:
        told = {name: printable(value) for name, value in one.metadata.items()}
        gives = told.get("answer") or told.get("classes", "")
        sha256 = told.get("sha256", "")[:12]
        row = (one.name, gives, told.get("model_id", ""), sha256, told.get("prompt_version", ""), one.version)
        table.add_row(*row, told.get("pid", ""), told.get("health", ""))
    return table
