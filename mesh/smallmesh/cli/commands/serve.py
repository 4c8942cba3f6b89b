"""``smallmesh serve``: one process of the mesh, in the foreground."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from smallmesh.catalogue import AGENT_FILE, SERVICE_FILE, CatalogueError
from smallmesh.cli.completing import complete_processes
from smallmesh.cli.where import find_url
from smallmesh.serving.__main__ import serve
from smallmesh.settings import for_child, settings

EXAMPLES = (
    ("smallmesh serve sentiment", "one replica; start another to share its work"),
    ("smallmesh serve orchestrator --classes public,internal", "plans tasks of these classes"),
    ("smallmesh serve orchestrator --classes restricted", "restricted work has a deployment of its own"),
    ("smallmesh serve escalation --nats nats://broker:4222", "the one process that may call a frontier model"),
)
ORCHESTRATOR = "orchestrator"
_KINDS = {AGENT_FILE: "agent", SERVICE_FILE: "service"}


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="An agent, a service, or `orchestrator`.", show_default=False, autocompletion=complete_processes
        ),
    ],
    classes: Annotated[str, typer.Option(metavar="A,B", help="Data classes that an orchestrator serves.")] = "public,internal",
    nats: Annotated[str | None, typer.Option("--nats", metavar="URL", help="The broker; found as by every command.")] = None,
) -> None:
    """Serve one agent, the escalation service or an orchestrator until stopped.

    Logs are JSON on standard output. SIGTERM and Ctrl-C end it cleanly: work in hand is
    finished or handed to another replica. Streams must be there: `smallmesh provision`.
    """
    kind = _kind_of(name, settings().agent_folders)
    _check_classes(classes)
    url = find_url(nats)
    if url != settings().nats_url:  # settings are read once: this process begins anew, with the address among them
        arguments = [sys.executable, "-P", "-m", "smallmesh.serving", kind, name, "--classes", classes]
        os.execve(sys.executable, arguments, for_child(nats_url=url))  # noqa: S606 - no shell is wanted
    raise typer.Exit(serve(kind, name, classes))


def _check_classes(classes: str) -> None:
    from smallmesh_contracts import DataClass  # noqa: PLC0415 - only to check, after what is served was found

    unknown = set(classes.split(",")) - set(DataClass)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))!r}; there are: {', '.join(DataClass)}", param_hint="--classes")


def _kind_of(name: str, folders: Iterable[Path]) -> str:
    """Tell what a name stands for by the files of its folder, without loading the other agents."""
    if name == ORCHESTRATOR:
        return ORCHESTRATOR
    there = {found.parent.name: kind for folder in folders for file, kind in _KINDS.items() for found in folder.glob(f"*/{file}")}
    try:
        return there[name]
    except KeyError:
        raise CatalogueError(f"nothing to serve is called {name!r}; there are: {', '.join([*sorted(there), ORCHESTRATOR])}") from None
