"""``smallmesh result``: what became of a task."""

import asyncio
from typing import Annotated

import typer

from smallmesh.cli.exits import Exit
from smallmesh.cli.options import DEFAULT_TENANT, AsJson, Nats, Tenant
from smallmesh.cli.output import console, notes, print_json
from smallmesh.cli.views.cards import print_task
from smallmesh.cli.where import connected
from smallmesh_contracts import Address, DataClass, Status, TaskResult, decode, subjects

EXAMPLES = (
    ("smallmesh result order-4711", "looks for the id in every data class"),
    ("smallmesh result order-4711 --class internal --tenant shop --json", "of one tenant and class, for a program"),
)


def command(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="The task's id.", show_default=False)],
    data_class: Annotated[DataClass | None, typer.Option("--class", help="Its data class; without it, all are tried.")] = None,
    tenant: Tenant = DEFAULT_TENANT,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Show the result of a task that was submitted.

    Results are kept for a day.
    """
    addresses = [Address(tenant, c, task_id) for c in ([data_class] if data_class else DataClass)]
    if not addresses[0].is_valid():
        raise typer.BadParameter("tenant and task id must match [A-Za-z0-9_-]{1,64}")
    found = asyncio.run(_read(addresses, nats))
    if as_json:
        print_json([result.model_dump(mode="json") for result in found])
    for result in found if not as_json else ():
        print_task(result, console)
    if not found:
        notes.print(f"no result for {task_id} of tenant {tenant}: it is not done yet, was never submitted, or is older than a day")
    if not found or any(result.status is not Status.COMPLETED for result in found):
        raise typer.Exit(Exit.ERROR)


async def _read(addresses: list[Address], nats: str | None) -> list[TaskResult]:
    async with connected(nats) as bus:
        found = [await bus.read(subjects.done(address)) for address in addresses]
    return [decode(TaskResult, message.body) for message in found if message is not None]
