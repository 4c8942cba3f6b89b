"""What `smallmesh models pull` pulls, and how far it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from smallmesh.cli.output import notes, printable
from smallmesh.hosting.card import ModelError, Tier, load_tiers
from smallmesh.hosting.ladder.folder import ModelsFolder, name_of
from smallmesh.hosting.ladder.hub import Hub, HuggingFaceHub
from smallmesh.hosting.ladder.in_use import find_tier
from smallmesh.hosting.ladder.pull import Pulled, pull
from smallmesh.settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file to be pulled.

    Attributes:
        tier: What its card says; where several agents have it, that of the first.
        agents: Who has it among their tiers.
    """

    tier: Tier
    agents: tuple[str, ...]


def wanted_tiers(folders: Sequence[Path], name: str | None, *, everything: bool) -> list[Wanted]:
    """Return what is to be pulled for some agents; what several of them share comes once.

    Args:
        folders: Of the agents.
        name: Which of their tiers; without it the smallest of each, or with ``everything`` all.
        everything: Agents that have no such tier are passed over.

    Raises:
        ModelError: An agent that was named has no such tier, or a card is not valid.
    """
    found: dict[tuple[str, str, str, str | None], Wanted] = {}
    for folder in folders:
        for tier in _of(folder, name, everything=everything):
            key = (tier.repository, tier.revision, tier.file, tier.sha256)
            agents = found[key].agents if key in found else ()
            found[key] = Wanted(tier, (*agents, folder.name))
    if not found:
        raise ModelError(f"no agent has a tier called {name!r} in its model.toml" if name else "no agent has [[tiers]] in its model.toml")
    return list(found.values())


def _of(folder: Path, name: str | None, *, everything: bool) -> Sequence[Tier]:
    tiers = load_tiers(folder)
    if everything:
        return [tier for tier in tiers if name in (None, tier.tier)]
    if not tiers:
        raise ModelError(f"{folder.name} has nothing to pull: its model.toml has no [[tiers]]")
    return [find_tier(folder.name, tiers, name)] if name else tiers[:1]


def pull_all(wanted: Sequence[Wanted], chosen: Settings, *, offline: bool, quiet: bool) -> Iterator[tuple[Wanted, Pulled]]:
    """Pull one file after the other, with a bar on a terminal; yield each as it is there.

    Raises:
        ModelError: One is not to be had. Those before it are there.
    """
    models = ModelsFolder(chosen.models_dir)
    for one in wanted:
        if not quiet and not notes.is_terminal:  # where no bar is drawn
            notes.print(f"{one.tier.id}: {name_of(one.tier)}", markup=False)
        with _bar(quiet=quiet) as bar:
            task = bar.add_task(printable(one.tier.id), total=one.tier.size_bytes)
            pulled = pull(
                one.tier,
                models,
                lambda: _hub(chosen),
                offline=offline or chosen.hub_offline,
                on_progress=lambda done, total, bar=bar, task=task: bar.update(task, completed=done, total=total),  # type: ignore[misc]
            )
        yield one, pulled


def _hub(chosen: Settings) -> Hub:
    return HuggingFaceHub(chosen.hub_endpoint, chosen.hub_token.get_secret_value() if chosen.hub_token is not None else None)


def _bar(*, quiet: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=notes, transient=True, disable=quiet or not notes.is_terminal)
