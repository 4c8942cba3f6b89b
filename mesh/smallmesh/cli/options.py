"""Options that several commands share."""

import sys
from typing import Annotated

import typer

from smallmesh_contracts import DataClass

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
Text = Annotated[str, typer.Argument(metavar="TEXT", help="The text, or - to read it from standard input.", show_default=False)]
Instruction = Annotated[str | None, typer.Option("--instruction", metavar="TEXT", help="What an analysis should do with the text.")]
DEFAULT_TENANT = "default"


def read_text(argument: str) -> str:
    """Return the text that was given, or standard input's.

    Raises:
        typer.BadParameter: It is not valid UTF-8.
    """
    try:
        if argument == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        argument.encode("utf-8")
    except UnicodeError as error:
        raise typer.BadParameter("the text is not valid UTF-8", param_hint="TEXT") from error
    return argument


def names_in(given: str | None) -> list[str] | None:
    """Split ``a,b`` into its names; None where nothing was given."""
    return [name.strip() for name in given.split(",") if name.strip()] if given is not None else None
