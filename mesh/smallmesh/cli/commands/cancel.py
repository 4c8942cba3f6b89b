"""``smallmesh cancel``: tasks that nobody wants done any more."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from smallmesh.cli.exits import Exit
from smallmesh.cli.options import DEFAULT_TENANT, AsJson, Nats, Tenant
from smallmesh_contracts import Address, DataClass

if TYPE_CHECKING:
    from smallmesh.cli.intake.cancelling import Cancelled, Wish

EXAMPLES = (
    ("smallmesh cancel order-4711", "a restricted task of the default tenant, as `submit` makes them"),
    ("smallmesh cancel order-4711 order-4712 --class internal --tenant shop", "several of them"),
    ("smallmesh submit tickets.jsonl --dry-run | smallmesh cancel -", "all of a file that was submitted by mistake"),
    ("smallmesh cancel - --json < ids.txt | jq -r 'select(.status != \"cancelled\") | .id'", "which of many were not"),
)
STDIN = "-"


def command(
    *,
    task_ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids, or - to read them from standard input, one a line.", show_default=False)
    ],
    data_class: Annotated[
        DataClass, typer.Option("--class", help="Their data class, where a line does not say it.")
    ] = DataClass.RESTRICTED,
    tenant: Tenant = DEFAULT_TENANT,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Cancel tasks that were submitted, and say what became of each.

    What is queued is not begun, what runs stops; answers that are there already stay in the
    result, whose status is then `cancelled`. A result that came first wins: it stands, and is
    told. Repeating it is harmless. The id of a cancelled task stays taken as long as its result is
    kept, for a day.

    A line of standard input is an id, or a JSON object with "id" and, if it likes, "data_class". With --json
    each task is one object a line: "id", "data_class", "status" and "error".
    """
    for given in task_ids:
        if given != STDIN and not Address(tenant, data_class, given).is_valid():
            raise typer.BadParameter("tenant and task id must match [A-Za-z0-9_-]{1,64}", param_hint="ID")
    counts = asyncio.run(_cancel(_wishes(task_ids, data_class), tenant, nats, as_json=as_json))
    if not as_json and counts.total() > 1:
        from smallmesh.cli.output import notes  # noqa: PLC0415 - rich, which a Tab need not load

        notes.print(", ".join(f"{number:,} {word}" for word, number in sorted(counts.items())))
    if set(counts) - {"cancelled"}:
        raise typer.Exit(Exit.ERROR)


def _wishes(task_ids: list[str], data_class: DataClass) -> "Iterator[Wish]":
    from smallmesh.cli.intake.cancelling import Wish, wishes_in  # noqa: PLC0415
    from smallmesh.cli.intake.records import FileKindError  # noqa: PLC0415

    for given in task_ids:
        if given == STDIN:
            with os.fdopen(os.dup(sys.stdin.fileno()), "rb") as lines:  # of its own: a thread may still wait for it at exit
                try:
                    yield from wishes_in(lines, data_class)
                except FileKindError as error:
                    raise typer.BadParameter(str(error), param_hint="ID") from error
        else:
            yield Wish(given, data_class)


async def _cancel(wishes: "Iterator[Wish]", tenant: str, nats: str | None, *, as_json: bool) -> Counter[str]:
    from smallmesh.cli.intake.cancelling import cancel_all  # noqa: PLC0415
    from smallmesh.cli.intake.feed import stream  # noqa: PLC0415
    from smallmesh.cli.where import connected  # noqa: PLC0415

    counts: Counter[str] = Counter()

    def came(one: "Cancelled") -> None:
        counts[one.word] += 1
        _tell(one, as_json=as_json)

    async with connected(nats) as bus:
        await cancel_all(bus, tenant, stream(wishes), came)
    return counts


def _tell(one: "Cancelled", *, as_json: bool) -> None:
    from smallmesh.cli.output import print_json, printable  # noqa: PLC0415

    if as_json:
        error = one.error.model_dump(mode="json", exclude_none=True) if one.error else None
        print_json({"id": one.task_id, "data_class": one.data_class.value, "status": one.status, "error": error})
    elif one.error is not None:
        typer.echo(f"{printable(one.task_id)}: {printable(one.error.message)} (class {one.data_class.value})")
    else:
        typer.echo(f"{one.task_id}: {one.word}")
