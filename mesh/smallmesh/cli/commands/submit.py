"""``smallmesh submit``: many tasks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smallmesh.cli.exits import Exit
from smallmesh.cli.intake.choices import Existing, Ids
from smallmesh.cli.intake.records import Columns, FileKindError
from smallmesh.cli.intake.sources import Kind, find_sources
from smallmesh.cli.options import DEFAULT_TENANT, AsJson, Class, Instruction, Nats, Tenant, Want, names_in
from smallmesh_contracts import Address, ContractError, DataClass, Lane

if TYPE_CHECKING:
    from smallmesh.cli.intake.job import Files, Job

EXAMPLES = (
    ("smallmesh submit tickets.jsonl --out results.jsonl", 'lines like {"id": "t-1", "text": "...", "wanted": ["sentiment"]}'),
    ("smallmesh submit tickets.jsonl --out results.jsonl --errors errors.jsonl", "what failed, in a file of its own"),
    ("smallmesh submit tickets.jsonl --out results.jsonl --errors errors.jsonl --resume", "goes on after Ctrl-C or a crash"),
    ("smallmesh submit tickets.csv --column body --id-column id --metadata queue,language", "a column holds the text, others are echoed"),
    ("smallmesh submit 'mails/*.txt' --want summary,entities", "one document a file"),
    ("producer | smallmesh submit - --class internal | jq .answers", "results as they come, one object a line"),
    ("xlsx2csv sheet.xlsx | smallmesh submit - --as csv --column text --delimiter ';'", "CSV from a pipe"),
    ("smallmesh submit cases.jsonl --lane interactive --timeout 60", "ahead of the backlog; gives up waiting after a minute"),
    ("smallmesh submit tickets.jsonl --dry-run", "checks the lines and prints their ids; nothing is submitted"),
)
_CSV = "CSV"
_RESULTS = "Results"


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
    want: Want = None,
    instruction: Instruction = None,
    data_class: Class = DataClass.RESTRICTED,
    lane: Annotated[Lane, typer.Option(help="Of lines that name none.")] = Lane.BULK,
    tenant: Tenant = DEFAULT_TENANT,
    ids: Annotated[
        Ids,
        typer.Option("--id", help="Ids of lines that have none: from their content, or new ones."),
    ] = Ids.CONTENT,
    in_flight: Annotated[int, typer.Option(min=1, metavar="N", help="Tasks in the mesh at once; fewer while it is full.")] = 1000,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.001, help="Give up waiting so long after the last line. Default: never.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the lines and print their ids; submit nothing.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where results go; else to standard output.", rich_help_panel=_RESULTS)
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where bad lines, errors and failed tasks go.",
            rich_help_panel=_RESULTS,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on: what is in these files is not done again.", rich_help_panel=_RESULTS)
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Give up what is in these files.", rich_help_panel=_RESULTS)] = False,
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
    files of text, each is a document, and its name goes into the metadata. A bad line or row is
    reported with its number, and the rest goes on.

    Results are one JSON object a line, in the order in which they come, each with the number of
    its line. A repeated call is safe: what was done is not done again, because the same content
    has the same id. Ctrl-C loses nothing: the same command with --resume goes on.

    Where the mesh is full, or the broker away, it waits. With --json the reports on standard
    error are JSON, too.
    """
    from smallmesh.cli.intake.job import Files, Job  # noqa: PLC0415 - what follows is not for a Tab to load
    from smallmesh.cli.intake.lines import LineReader  # noqa: PLC0415
    from smallmesh.cli.intake.tally import Tally  # noqa: PLC0415

    if not Address(tenant, data_class, "id").is_valid():
        raise typer.BadParameter("it must match [A-Za-z0-9_-]{1,64}", param_hint="--tenant")
    if dry_run and (out or errors):
        raise typer.BadParameter("it prints ids and has no results: leave out --out and --errors", param_hint="--dry-run")
    existing = existing_of(out, errors, ids, resume=resume, overwrite=overwrite)
    sources = find_sources(files, kind, columns_of(column, id_column, metadata, delimiter))
    given = {"wanted": tuple(names_in(want) or ()), "instruction": instruction}
    reader = LineReader(tenant, data_class, lane, {name: value for name, value in given.items() if value}, ids)
    with (to := Files(out, errors, existing)).opened(reader) as results:
        job = Job(sources, reader, Tally(results, as_json=as_json), in_flight, timeout, as_json)
        _run(job, to, nats, dry_run=dry_run)


def _run(job: "Job", files: "Files", nats: str | None, *, dry_run: bool) -> None:
    """Do it and say what became of it.

    Raises:
        typer.Exit: It was interrupted, or something failed.
    """
    from smallmesh.signals import run_until_signalled  # noqa: PLC0415

    try:
        complete = job.check() if dry_run else run_until_signalled(job.submit(nats))
    except FileKindError as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from error
    except ContractError:
        job.sum_up(files, complete=False)  # what came before it; the error itself is told last
        raise
    job.sum_up(files, complete=bool(complete))
    if not complete:
        raise typer.Exit(Exit.INTERRUPTED)
    if job.tally.failed:
        raise typer.Exit(Exit.ERROR)


def existing_of(out: Path | None, errors: Path | None, ids: Ids, *, resume: bool, overwrite: bool) -> Existing:
    """Return what to do with files of results that are there.

    Raises:
        typer.BadParameter: What was asked for does not go together.
    """
    if resume and out is None:
        raise typer.BadParameter("name the file of results: --out FILE", param_hint="--resume")
    if overwrite and out is None and errors is None:
        raise typer.BadParameter("name the files: --out FILE, --errors FILE", param_hint="--overwrite")
    if resume and overwrite:
        raise typer.BadParameter("either go on with what is there, or give it up", param_hint="--resume, --overwrite")
    if resume and ids is Ids.RANDOM:
        raise typer.BadParameter("new ids are found in no file: go on with the ids from content, or with your own", param_hint="--id")
    if out is not None and errors is not None and out.absolute() == errors.absolute():
        raise typer.BadParameter("results and errors need a file each", param_hint="--errors")
    if resume:
        return Existing.RESUME
    return Existing.OVERWRITE if overwrite else Existing.REFUSE


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
