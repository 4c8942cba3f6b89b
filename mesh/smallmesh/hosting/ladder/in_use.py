"""Which model an agent's process loads: the one place that decides it.

The embedded one, unless ``SMALLMESH_<AGENT>_TIER`` or else ``smallmesh models use`` names a tier. Either may name a second one,
which a process may load beside the first for requests that are harder (``small,medium``).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smallmesh.hosting.card import EMBEDDED, ModelCard, ModelError, Tier, load_card, load_tiers, verified_file
from smallmesh.hosting.ladder import memory
from smallmesh.hosting.ladder.folder import ModelsFolder
from smallmesh.settings import Settings, agent_tier

MOST = 2
"""Tiers that one process may have: the one that serves, and the next."""
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for an agent.

    Attributes:
        tiers: Their names, the one that serves first.
        by: Who says so, to be told where it is wrong; empty where nobody did.
        back: How the embedded model is chosen instead.
    """

    tiers: tuple[str, ...]
    by: str = ""
    back: str = ""


def choice_for(agent: str, models: ModelsFolder) -> Choice:
    """Return what was chosen for an agent: by the environment, else by `models use`, else its embedded model.

    Raises:
        ModelError: What `models use` wrote cannot be read.
    """
    if said := agent_tier(agent):
        variable = f"SMALLMESH_{agent.upper()}_TIER"
        return Choice(tuple(name.strip() for name in said.split(",")), variable, f"unset {variable}")
    if tiers := models.chosen(agent):
        return Choice(tiers, "`smallmesh models use`", f"go back by `smallmesh models use {agent} {EMBEDDED}`")
    return Choice((EMBEDDED,))


def card_in_use(folder: Path, chosen: Settings, tier: str | None = None) -> tuple[ModelCard, Path] | None:
    """Return the card of the model that an agent's process loads, and the folder that its file lies in.

    ``verified_file(card, folder)`` then is the file itself, verified: what is returned goes where a card and an agent's folder
    went before there were tiers. The card's ``engine`` says which engine answers.

    Args:
        folder: The agent's.
        chosen: This process's settings.
        tier: Which, whatever was chosen.

    Returns:
        None where the agent has no model at all: it answers by rules.

    Raises:
        ModelError: The card is not valid, the chosen tier is not there, was not pulled, or needs more memory than there is.
    """
    return _loadable(folder, chosen, tier, 0)


def next_card_in_use(folder: Path, chosen: Settings, tier: str | None = None) -> tuple[ModelCard, Path] | None:
    """Return the card of a second model, which takes what is too hard for the first one, and the folder of its file.

    To be asked once the first one is loaded, so that memory is judged by what that one left.

    Args:
        folder: The agent's.
        chosen: This process's settings.
        tier: The first one, where that was not the one that was chosen: it has none beside it.

    Returns:
        None where no second one was chosen.

    Raises:
        ModelError: As :func:`card_in_use` does.
    """
    return _loadable(folder, chosen, tier, 1)


def find_tier(agent: str, tiers: Sequence[Tier], name: str) -> Tier:
    """Return a tier by its name.

    Raises:
        ModelError: There is none of that name; the message says which there are.
    """
    for tier in tiers:
        if tier.tier == name:
            return tier
    there = ", ".join((EMBEDDED, *(tier.tier for tier in tiers)))
    raise ModelError(f"{agent} has no tier called {name!r}; there are: {there}")


def _loadable(folder: Path, chosen: Settings, tier: str | None, place: int) -> tuple[ModelCard, Path] | None:
    models = ModelsFolder(chosen.models_dir)
    choice = choice_for(folder.name, models) if tier is None else Choice((tier,))
    if len(choice.tiers) > MOST:
        raise ModelError(f"{choice.by} names {len(choice.tiers)} tiers for {folder.name}; an agent has {MOST} at most")
    if place >= len(choice.tiers):
        return None
    try:
        found = card_of(folder, models, choice.tiers[place])
        if found is not None and found[0].engine == "instruct":
            _check_memory(folder, choice.tiers[place], *found)
    except (ModelError, OSError) as error:
        raise ModelError(f"{error} (chosen by {choice.by}; or {choice.back})" if choice.by else str(error)) from error
    return found


def card_of(folder: Path, models: ModelsFolder, name: str) -> tuple[ModelCard, Path] | None:
    """Return the card of one of an agent's tiers, and the folder that its file lies in.

    Returns:
        None for the embedded tier of an agent that has no model.

    Raises:
        ModelError: There is no such tier, or it was not pulled.
    """
    if name == EMBEDDED:
        card = load_card(folder)
        return None if card is None else (card, folder)
    tier = find_tier(folder.name, load_tiers(folder), name)
    path, sha256 = models.file_of(tier), models.sha256_of(tier)
    if sha256 is None or not path.is_file():
        raise ModelError(f"{folder.name}'s tier {name} was not pulled: run `smallmesh models pull {folder.name} --tier {name}`")
    return tier.card(sha256), path.parent


def _check_memory(folder: Path, name: str, card: ModelCard, lies_in: Path) -> None:
    path = lies_in / card.file
    if not path.is_file():
        return  # said when it is verified
    free = memory.available()
    try:
        short = memory.too_little(card, memory.need_of(path, card), free)
    except (ModelError, OSError):
        verified_file(card, lies_in)  # an altered file is called that, whatever its numbers say
        raise
    if short is not None:
        verified_file(card, lies_in)
        raise ModelError(f"{short}. {_instead(folder, name, free or 0)}")


def _instead(folder: Path, name: str, free: int) -> str:
    """Return what to do where a tier does not fit: the largest one below it that does."""
    lower = "make `context` in model.toml smaller, or stop something else"
    if name == EMBEDDED:
        return lower.capitalize()
    below = list(itertools.takewhile(lambda tier: tier.tier != name, load_tiers(folder)))
    fits = next((tier.tier for tier in reversed(below) if tier.ram_mb is not None and tier.ram_mb * _MB <= free), EMBEDDED)
    return f"Use a smaller tier (`smallmesh models use {folder.name} {fits}`), {lower}"
