"""``smallmesh agents``: who is there."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from smallmesh.cli.exits import Exit
from smallmesh.cli.options import AsJson, Nats

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from smallmesh.bus import ServiceInfo

EXAMPLES = (
    ("smallmesh agents", "every replica, with the model it serves"),
    ("smallmesh agents --json | jq -r '.[].metadata.health'", "where each one answers /livez and /readyz"),
)
_HEADINGS = ("name", "gives", "model", "sha256", "prompt", "version", "replica", "health")
WIDE = 130
"""Columns of the terminal from which all that a replica says of itself has a column of its own."""


def command(
    wait: Annotated[float, typer.Option(metavar="SECONDS", min=0.01, help="How long to wait for the first one.")] = 1.0,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """List every process that answers on the broker.

    One line a replica, as it describes itself under $SRV.INFO.
    """
    from smallmesh.cli.output import console, notes, print_json  # noqa: PLC0415 - what follows is not for a Tab to load
    from smallmesh.cli.where import find_url, without_password  # noqa: PLC0415

    found = asyncio.run(_find(nats, wait))
    if as_json:
        print_json([asdict(one) for one in found])
    elif found:
        console.print(_table(found, console.width))
    else:
        notes.print(f"nobody answers at {without_password(find_url(nats))}: start a mesh with `smallmesh up`")
    if not found:
        raise typer.Exit(Exit.NOBODY_THERE)


async def _find(nats: str | None, wait_s: float) -> "list[ServiceInfo]":
    from smallmesh.bus.replicas import all_replicas  # noqa: PLC0415
    from smallmesh.cli.where import connected  # noqa: PLC0415

    async with connected(nats) as bus:
        return list(await all_replicas(bus, wait_s))


def _table(found: "list[ServiceInfo]", width: int) -> "Table":
    """Return a row a replica: in columns where there is room, else what it serves in a line of its own."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in _HEADINGS if width >= WIDE else ("name", "gives"):
        table.add_column(heading, no_wrap=heading in ("name", "health"))
    for one in found:
        name, *rest = _cells(one)
        table.add_row(name, *(rest if width >= WIDE else [_in_short(rest)]))
    return table


def _cells(one: "ServiceInfo") -> list[str]:
    from smallmesh.bus.replicas import NEXT_MODEL_ID  # noqa: PLC0415
    from smallmesh.cli.output import printable  # noqa: PLC0415

    told = {name: printable(value) for name, value in one.metadata.items()}
    gives = told.get("answer") or told.get("classes", "").replace(",", ", ")
    models = " + ".join(one for one in (told.get("model_id", ""), told.get(NEXT_MODEL_ID, "")) if one)
    served = (models, told.get("sha256", "")[:12], told.get("prompt_version", ""))
    return [printable(one.name), gives, *served, printable(one.version), told.get("replica", ""), told.get("health", "")]


def _in_short(cells: list[str]) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    gives, model, sha256, prompt, version, replica, health = cells
    told = (f"sha256 {sha256}" if sha256 else "", f"prompt {prompt}" if prompt else "", f"version {version}", replica, health)
    return Text.assemble(gives, f" by {model}" if model else "", ("\n" + ", ".join(one for one in told if one), "dim"))
