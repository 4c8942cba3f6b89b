"""``smallmesh submit``: many tasks."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from smallmesh.cli.exits import Exit
from smallmesh.cli.intake.records import Columns, FileKindError
from smallmesh.cli.intake.sources import Kind, Source, find_sources, records_of, total_of
from smallmesh.cli.options import DEFAULT_TENANT, AsJson, Class, Instruction, Nats, Tenant, Want, names_in
from smallmesh_contracts import Address, DataClass, Lane

if TYPE_CHECKING:
    from smallmesh.cli.intake.lines import LineReader
    from smallmesh.cli.intake.tally import Tally

EXAMPLES = (
    ("smallmesh submit tickets.jsonl --out results.jsonl", 'lines like {"id": "t-1", "text": "...", "wanted": ["sentiment"]}'),
    ("smallmesh submit tickets.csv --column body --id-column id --metadata queue,language", "a column holds the text, others are echoed"),
    ("smallmesh submit 'mails/*.txt' --want summary,entities", "one document a file"),
    ("producer | smallmesh submit - --class internal | jq .answers", "results as they come, one object a line"),
    ("xlsx2csv sheet.xlsx | smallmesh submit - --as csv --column text --delimiter ';'", "CSV from a pipe"),
    ("smallmesh submit cases.jsonl --lane interactive --timeout 60", "ahead of the backlog; gives up waiting after a minute"),
)
_CSV = "CSV"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many tasks may be out at once, and how long the last ones are waited for."""

    in_flight: int
    timeout_s: float | None


def command(  # noqa: PLR0913 - its options
    *,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Files, patterns, or - for standard input; see --as.", show_default=False)
    ],
    kind: Annotated[
        Kind | None,
        typer.Option(
            "--as", help="What a file holds, where its name does not say: .csv, .tsv, .txt; else lines of JSON.", show_default=False
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where results go; else to standard output.")] = None,
    want: Want = None,
    instruction: Instruction = None,
    data_class: Class = DataClass.RESTRICTED,
    lane: Annotated[Lane, typer.Option(help="Of lines that name none.")] = Lane.BULK,
    tenant: Tenant = DEFAULT_TENANT,
    in_flight: Annotated[int, typer.Option(min=1, metavar="N", help="Tasks in the mesh at once.")] = 1000,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.001, help="Give up waiting so long after the last line. Default: never.")
    ] = None,
    column: Annotated[str | None, typer.Option(metavar="NAME", help="The column with the text.", rich_help_panel=_CSV)] = None,
    id_column: Annotated[str | None, typer.Option(metavar="NAME", help="The column with the id.", rich_help_panel=_CSV)] = None,
    metadata: Annotated[str | None, typer.Option(metavar="A,B", help="Columns to echo in the result.", rich_help_panel=_CSV)] = None,
    delimiter: Annotated[str, typer.Option(metavar="CHARACTER", help="Between cells; `tab` is one.", rich_help_panel=_CSV)] = ",",
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Submit many texts, from lines of JSON, CSV or files, and collect their results.

    A line of JSON has "text", and may have "id", "wanted", "instruction", "metadata", "timeout_s",
    "data_class" and "lane"; options say what lines leave out. Of CSV, a column is the text; of
    files of text, each is a document, and its name goes into the metadata. With ids of your own a
    repeated call is safe: what was done is not done again. A bad line or row is reported with its
    number, and the rest goes on.

    Results are one JSON object a line, in the order in which they come. With --json the reports
    on standard error are JSON, too.
    """
    from smallmesh.cli.intake.lines import LineReader  # noqa: PLC0415 - what follows is not for a Tab to load
    from smallmesh.cli.intake.tally import Tally  # noqa: PLC0415
    from smallmesh.signals import run_until_signalled  # noqa: PLC0415

    if not Address(tenant, data_class, "id").is_valid():
        raise typer.BadParameter("it must match [A-Za-z0-9_-]{1,64}", param_hint="--tenant")
    sources = find_sources(files, kind, columns_of(column, id_column, metadata, delimiter))
    given = {"wanted": tuple(names_in(want) or ()), "instruction": instruction}
    reader = LineReader(tenant, data_class, lane, {name: value for name, value in given.items() if value})
    with contextlib.ExitStack() as stack:
        tally = Tally(stack.enter_context(_opened(out)), as_json=as_json)
        try:
            stack.enter_context(tally.shown(total_of(sources) if tally.shows_progress else None))
            complete = run_until_signalled(_submit(reader, sources, tally, Limits(in_flight, timeout), nats))
        except FileKindError as error:
            raise typer.BadParameter(str(error), param_hint="FILE") from error
    tally.sum_up(reader, complete=bool(complete))
    if not complete:
        raise typer.Exit(Exit.INTERRUPTED)
    if tally.failed:
        raise typer.Exit(Exit.ERROR)


def columns_of(column: str | None, id_column: str | None, metadata: str | None, delimiter: str) -> Columns | None:
    """Return which columns say what; None where no column is named.

    Raises:
        typer.BadParameter: An option that goes with a column came without one, or the delimiter is no character.
    """
    delimiter = "\t" if delimiter == "tab" else delimiter
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise typer.BadParameter("it must be one character, as ; or the word tab", param_hint="--delimiter")
    if column is not None:
        return Columns(column, id_column, tuple(names_in(metadata) or ()), delimiter)
    if id_column is not None or metadata is not None:
        raise typer.BadParameter("name the column that holds the text", param_hint="--column")
    return None


@contextlib.contextmanager
def _opened(out: Path | None) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
        return
    try:
        file = out.open("w", encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {error.strerror}", param_hint="--out") from error
    with file:
        yield file


async def _submit(reader: "LineReader", sources: list[Source], tally: "Tally", limits: Limits, nats: str | None) -> bool:
    from smallmesh.cli.intake.lines import BadLine, stream  # noqa: PLC0415
    from smallmesh.cli.intake.submitting import Submitter  # noqa: PLC0415
    from smallmesh.cli.where import connected  # noqa: PLC0415

    async with connected(nats) as bus, Submitter(bus, reader.tenant, tally.came, in_flight=limits.in_flight) as submitter:
        async for record in stream(records_of(sources)):
            read = reader.take(record)
            if isinstance(read, BadLine):
                tally.bad(read)
            else:
                await submitter.submit(read)
        await submitter.finished(limits.timeout_s)
    return True
