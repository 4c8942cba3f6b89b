"""``smallmesh models``: the ladder of models of every agent: what lies here, what can be pulled, and which one serves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smallmesh.cli.completing import complete_agents, complete_tiers
from smallmesh.cli.exits import Exit
from smallmesh.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smallmesh.cli.pulling import Wanted
    from smallmesh.doctor.inventory import ModelFacts
    from smallmesh.hosting.ladder.folder import ModelsFolder

EXAMPLES = (
    ("smallmesh models ls", "every tier of every agent: what serves, what lies here, what can be pulled"),
    ("smallmesh models ls --json | jq -r '.[] | [.agent, .tier, .state] | @tsv'", "for a program"),
    ("smallmesh models pull sentiment", "the smallest tier above its embedded model; a broken download goes on where it stopped"),
    ("smallmesh models pull sentiment ner --tier medium", "another tier, of several agents"),
    ("smallmesh models pull --all", "all that is listed; a file that several agents share comes once"),
    ("HF_ENDPOINT=https://hub.example smallmesh models pull ner", "from a mirror; HF_TOKEN for a repository that is not public"),
    ("smallmesh models pull ner --offline", "ask nobody: fails where the file does not lie here, verified"),
    ("smallmesh models use sentiment small", "it serves from the agent's next start on"),
    ("smallmesh models use sentiment small --next medium", "and a larger one beside it, for what is harder"),
    ("smallmesh models use sentiment embedded", "back to the model that comes with the agent"),
    ("smallmesh models calibrate sentiment --data reviews.jsonl --write", "so that an instruct model's probabilities mean what they say"),
    ("smallmesh models verify", "in a script: the exit code is 0 where every file is the one of its card"),
    ("smallmesh models verify sentiment ner", "of these agents alone"),
)

Agents = Annotated[
    list[str] | None,
    typer.Argument(metavar="AGENT", help="Whose models; without it, all.", show_default=False, autocompletion=complete_agents),
]


def ls(*, as_json: AsJson = False) -> None:
    """List every tier of every agent: id, size, memory, licence, whether it lies here, is the right file, and serves.

    `embedded` comes with the agent. The others are pulled by `smallmesh models pull` and chosen by `smallmesh models use`.
    Agents are found on SMALLMESH_AGENT_PATH, pulled files in SMALLMESH_MODELS_DIR. No model is loaded; files are read
    to compare their sha256.
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
            notes.print(f"{model.agent} {model.tier}: {model.message}", markup=False)


def verify(*, agents: Agents = None, as_json: AsJson = False) -> None:
    """Hash the models that lie here, and compare them with their cards and with the lock of what was pulled.

    The exit code is 4 where a file is another one than its card says, or one that serves is missing.
    """
    from smallmesh.cli.output import console, print_json  # noqa: PLC0415
    from smallmesh.cli.views.models import model_as_json, verdict  # noqa: PLC0415

    models = [model for model in _named(_models(), agents or []) if not (model.is_fine and not model.can_be_served)]
    if as_json:
        print_json([model_as_json(model) for model in models])
    for model in models if not as_json else ():
        console.print(verdict(model))
    if not all(model.is_fine for model in models):
        raise typer.Exit(Exit.INSTALLATION)


def pull(
    *,
    agents: Annotated[
        list[str] | None,
        typer.Argument(metavar="AGENT", help="Whose tier; or --all.", show_default=False, autocompletion=complete_agents),
    ] = None,
    tier: Annotated[
        str | None,
        typer.Option(help="Which; without it the smallest above the embedded one, with --all every one.", autocompletion=complete_tiers),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Of every agent.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nobody: only see that it lies here. HF_HUB_OFFLINE says the same.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pull models from the hub that their cards name, and verify them.

    A file gets its name only when it is whole and its sha256 is that of its card, or of `models.lock`, which keeps what was
    pulled first where the card does not say. A broken download goes on where it stopped. Nothing is loaded, and nothing else
    serves than before: `smallmesh models use` decides that.

    HF_ENDPOINT names a mirror, HF_TOKEN a token for repositories that are not public, SMALLMESH_MODELS_DIR another folder.
    """
    from smallmesh.cli.output import print_json  # noqa: PLC0415
    from smallmesh.cli.pulling import pull_all, wanted_tiers  # noqa: PLC0415
    from smallmesh.cli.views.models import pulled_as_json, say_pulled  # noqa: PLC0415
    from smallmesh.settings import settings  # noqa: PLC0415

    if bool(agents) == everything:
        raise typer.BadParameter("say whose models, or --all: one of the two", param_hint="AGENT")
    folders = [folder for folder in _folders() if everything or folder.name in _known(agents or [])]
    wanted = wanted_tiers(folders, tier, everything=everything)
    done: list[tuple[Wanted, dict[str, object]]] = []
    for one, pulled in pull_all(wanted, settings(), offline=offline, quiet=as_json):
        done.append((one, pulled_as_json(one, pulled)))
        if not as_json:
            say_pulled(one, pulled)
    if as_json:
        print_json([told for _, told in done])


def use(
    *,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Whose model.", autocompletion=complete_agents)],
    tier: Annotated[
        str, typer.Argument(metavar="TIER", help="Which serves: embedded, or one that was pulled.", autocompletion=complete_tiers)
    ],
    following: Annotated[
        str | None,
        typer.Option("--next", metavar="TIER", help="A larger one beside it, for what is harder.", autocompletion=complete_tiers),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose which model serves for an agent, from its next start on.

    The choice is kept in SMALLMESH_MODELS_DIR for whatever starts agents with this user's settings: `serve`, `up`. A process
    that runs keeps what it has. SMALLMESH_<AGENT>_TIER overrides it for one process: `small`, or `small,medium` for two.
    """
    from smallmesh.cli.choosing import choose  # noqa: PLC0415
    from smallmesh.cli.output import console, notes, print_json  # noqa: PLC0415
    from smallmesh.settings import settings  # noqa: PLC0415

    (folder,) = [folder for folder in _folders() if folder.name in _known([agent])]
    chosen = choose(folder, (tier, following) if following else (tier,), settings())
    if as_json:
        print_json({"agent": agent, "tiers": list(chosen.tiers), "ids": list(chosen.ids), "notes": list(chosen.notes)})
        return
    console.print(f"{agent}: {', then '.join(chosen.described)}, from its next start on", markup=False)
    for note in chosen.notes:
        notes.print(note, markup=False)


def calibrate(
    *,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Whose model.", autocompletion=complete_agents)],
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, readable=True, help="Cases as of `eval`; without it the golden ones."),
    ] = None,
    tier: Annotated[
        str | None, typer.Option(metavar="TIER", help="Which model; without it the one that serves.", autocompletion=complete_tiers)
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Put it into the agent's prompt.toml.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure what the probabilities of an instruct model mean, for its prompt as it is now.

    The model is asked about cases with known labels, 30 at least: lines like {"text": "...", "label": "positive"}. A temperature
    and a bias for each label follow, under which the right labels are likeliest. They stand in prompt.toml, for this model and
    this version of the prompt; after a change of either they count no more, and the start-up log says `calibration: none`.
    Embedded models have theirs in their files.
    """
    from smallmesh.cli import calibrating  # noqa: PLC0415 - loads a model
    from smallmesh.cli.output import console, notes, print_json  # noqa: PLC0415
    from smallmesh.hosting.instruct.calibrate import as_toml  # noqa: PLC0415

    found, cases, measured = calibrating.measured(agent, tier, data)
    if cases.broken:
        notes.print(f"{cases.name}: {len(cases.broken)} lines are no cases and were left out", markup=False)
    file = calibrating.write(found.folder, measured) if write else None
    if as_json:
        print_json(measured.model_dump(mode="json") | {"cases": len(cases.cases), "written": str(file) if file else None})
        return
    console.print(as_toml(measured), markup=False, highlight=False)
    notes.print(f"by {len(cases.cases)} cases of {cases.name}; " + (f"written to {file}" if file else "not written: --write"), markup=False)


COMMANDS = {"ls": ls, "pull": pull, "use": use, "calibrate": calibrate, "verify": verify}


def _folders() -> "list[Path]":
    from smallmesh.catalogue import CatalogueError  # noqa: PLC0415
    from smallmesh.doctor.inventory import agents_in  # noqa: PLC0415
    from smallmesh.settings import settings  # noqa: PLC0415

    found = list(agents_in(settings().agent_folders))
    if not found:
        raise CatalogueError("there is no agent on the agent path: SMALLMESH_AGENT_PATH lists folders that hold agent folders")
    return found


def _known(names: "Sequence[str]") -> "Sequence[str]":
    from smallmesh.catalogue import CatalogueError  # noqa: PLC0415

    there = [folder.name for folder in _folders()]
    if unknown := sorted(set(names) - set(there)):
        raise CatalogueError(f"no agent called {', '.join(unknown)}; there are: {', '.join(there)}")
    return names


def _lying_in() -> "ModelsFolder":
    from smallmesh.hosting.ladder.folder import ModelsFolder  # noqa: PLC0415
    from smallmesh.settings import settings  # noqa: PLC0415

    return ModelsFolder(settings().models_dir)


def _models() -> "list[ModelFacts]":
    from smallmesh.doctor.inventory import tiers_in  # noqa: PLC0415
    from smallmesh.settings import settings  # noqa: PLC0415

    _folders()
    return list(tiers_in(settings().agent_folders, _lying_in()))


def _named(models: "list[ModelFacts]", names: "Sequence[str]") -> "list[ModelFacts]":
    chosen = _known(names)
    return [model for model in models if not names or model.agent in chosen]
