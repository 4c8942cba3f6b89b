"""Options that several commands share."""

import sys
from pathlib import Path
from typing import IO, Annotated

import typer

from smallmesh.cli.completing import complete_answers
from smallmesh_contracts import ContractError, DataClass, ErrorCode, Lane, check_size, limits

Nats = Annotated[
    str | None,
    typer.Option(
        "--nats",
        metavar="URL",
        help="The broker. Otherwise SMALLMESH_NATS_URL, else the mesh that `up` started here, else nats://127.0.0.1:4222.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose task it is.")]
Class = Annotated[DataClass, typer.Option("--class", help="How far the text may travel. Restricted text never leaves the installation.")]
Text = Annotated[
    str | None, typer.Argument(metavar="TEXT", help="The text, or - to read it from standard input; or else --file.", show_default=False)
]
File = Annotated[Path | None, typer.Option("--file", "-f", metavar="PATH", help="Read the text from a file.", show_default=False)]
Instruction = Annotated[str | None, typer.Option("--instruction", metavar="TEXT", help="What an analysis should do with the text.")]
Want = Annotated[
    str | None,
    typer.Option("--want", metavar="A,B", help="Answers wanted, separated by commas.", show_default=False, autocompletion=complete_answers),
]
DEFAULT_TENANT = "default"
BOM = "\ufeff"
_TEXT_BYTES = limits.TEXT_BYTES[Lane.INTERACTIVE]


def read_text(argument: str | None, file: Path | None = None) -> str:
    """Return the text that was given, standard input's, or a file's: one of them.

    No more is read than a text may have.

    Raises:
        typer.BadParameter: None or two were given, it cannot be read, or is not valid UTF-8.
        ContractError: ``too_long``.
    """
    if (argument is None) == (file is None):
        raise typer.BadParameter("give a text, - for standard input, or --file PATH: one of them", param_hint="TEXT")
    try:
        text = _given(argument) if argument is not None else _in_file(file or Path())
    except UnicodeError as error:
        raise typer.BadParameter("the text is not valid UTF-8", param_hint="TEXT" if file is None else "--file") from error
    check_size("the text", text, _TEXT_BYTES)
    return text


def _given(argument: str) -> str:
    if argument == "-":
        return _read(sys.stdin.buffer)
    argument.encode("utf-8")
    return argument


def _in_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}", param_hint="--file") from error


def _read(file: IO[bytes]) -> str:
    longest = _TEXT_BYTES + len(BOM.encode())
    body = file.read(longest + 1)
    if len(body) > longest:
        hint = "submit it instead: the bulk lane takes 512 KiB"
        raise ContractError(ErrorCode.TOO_LONG, f"the text has more than {_TEXT_BYTES} bytes; {hint}")
    return body.decode("utf-8").removeprefix(BOM)


def names_in(given: str | None) -> list[str] | None:
    """Split ``a,b`` into its names; None where nothing was given."""
    return [name.strip() for name in given.split(",") if name.strip()] if given is not None else None
