"""``smallmesh models``: the models that lie here."""

from typing import TYPE_CHECKING, Annotated

import typer

from smallmesh.cli.completing import complete_agents
from smallmesh.cli.exits import Exit
from smallmesh.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smallmesh.doctor.inventory import ModelFacts

EXAMPLES = (
    ("smallmesh models ls", "every agent's card, and whether the file is the one it names"),
    ("smallmesh models ls --json | jq -r '.[] | [.agent, .id] | @tsv'", "for a program"),
    ("smallmesh models verify", "in a script: the exit code is 0 where every file is the one of its card"),
    ("smallmesh models verify sentiment ner", "of these agents alone"),
)


def ls(*, as_json: AsJson = False) -> None:
    """List every agent's model: id, file, size, quantisation, languages, licence, and whether it is the card's.

    Agents are found on SMALLMESH_AGENT_PATH. No model is loaded; files are read to compare their sha256.
    """
    from smallmesh.cli.output import console, notes, print_json  # noqa: PLC0415
    from smallmesh.cli.views.models import cards_table, model_as_json  # noqa: PLC0415 - rich, which a Tab need not load

    models = _models()
    if as_json:
        print_json([model_as_json(model) for model in models])
        return
    console.print(cards_table(models, console.width))
    for model in models:
        if model.message:
            notes.print(f"{model.agent}: {model.message}", markup=False)


def verify(
    *,
    agents: Annotated[
        list[str] | None,
        typer.Argument(metavar="AGENT", help="Whose models; without it, all.", show_default=False, autocompletion=complete_agents),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hash the models, and compare them with their cards.

    The exit code is 4 where a file is missing, or another one than its card says.
    """
    from smallmesh.cli.output import console, print_json  # noqa: PLC0415
    from smallmesh.cli.views.models import model_as_json, verdict  # noqa: PLC0415

    models = _named(_models(), agents or [])
    if as_json:
        print_json([model_as_json(model) for model in models])
    for model in models if not as_json else ():
        console.print(verdict(model))
    if not all(model.can_be_served for model in models):
        raise typer.Exit(Exit.INSTALLATION)


COMMANDS = {"ls": ls, "verify": verify}


def _models() -> "list[ModelFacts]":
    from smallmesh.catalogue import CatalogueError  # noqa: PLC0415
    from smallmesh.doctor.inventory import models_in  # noqa: PLC0415
    from smallmesh.settings import settings  # noqa: PLC0415

    found = list(models_in(settings().agent_folders))
    if not found:
        raise CatalogueError("there is no agent on the agent path: SMALLMESH_AGENT_PATH lists folders that hold agent folders")
    return found


def _named(models: "list[ModelFacts]", names: "Sequence[str]") -> "list[ModelFacts]":
    from smallmesh.catalogue import CatalogueError  # noqa: PLC0415

    unknown = sorted(set(names) - {model.agent for model in models})
    if unknown:
        there = ", ".join(model.agent for model in models)
        raise CatalogueError(f"no agent called {', '.join(unknown)}; there are: {there}")
    return [model for model in models if not names or model.agent in names]
