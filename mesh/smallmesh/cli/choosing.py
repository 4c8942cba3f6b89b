"""What `smallmesh models use` does: choose tiers, once they lie here and are the right files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from smallmesh.hosting.card import EMBEDDED, ModelCard, ModelError, load_tiers, verified_file
from smallmesh.hosting.ladder import memory
from smallmesh.hosting.ladder.folder import ModelsFolder
from smallmesh.hosting.ladder.in_use import card_of
from smallmesh.settings import Settings, agent_tier


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen for an agent.

    Attributes:
        tiers: Their names, the one that serves first.
        ids: Of their models; empty text for an agent of rules.
        notes: What whoever chose should know.
    """

    tiers: tuple[str, ...]
    ids: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def described(self) -> Sequence[str]:
        """Each tier with its model."""
        return [f"{tier} ({model_id})" if model_id else tier for tier, model_id in zip(self.tiers, self.ids, strict=True)]


def choose(folder: Path, names: tuple[str, ...], chosen: Settings) -> Chosen:
    """Choose the tiers of one agent, and write it down.

    Args:
        folder: The agent's.
        names: Of the tiers, the one that serves first.
        chosen: This process's settings.

    Raises:
        ModelError: One is not there, was not pulled or is another file than it must be, or they stand in the wrong order.
    """
    models = ModelsFolder(chosen.models_dir)
    found = [card_of(folder, models, name) for name in names]
    _check_order(folder, names)
    for one in found:
        if one is not None:
            verified_file(*one)
    try:
        models.choose(folder.name, *(() if names == (EMBEDDED,) else names))
    except OSError as error:
        raise ModelError(f"{models.path} cannot be written ({error.strerror or error})") from error
    said = tuple(_notes(folder.name, [one for one in found if one is not None]))
    return Chosen(names, tuple(one[0].id if one is not None else "" for one in found), said)


def _check_order(folder: Path, names: Sequence[str]) -> None:
    ladder = [EMBEDDED, *(tier.tier for tier in load_tiers(folder))]
    places = [ladder.index(name) for name in names]
    if places != sorted(set(places)):
        raise ModelError(f"the next tier must be a larger one: {', '.join(ladder)} is their order")


def _notes(agent: str, found: Sequence[tuple[ModelCard, Path]]) -> Iterator[str]:
    if agent_tier(agent):
        yield f"SMALLMESH_{agent.upper()}_TIER is set here, and counts instead wherever it is"
    needs = [memory.need_of(path / card.file, card) for card, path in found if card.engine == "instruct"]
    free = memory.available()
    if needs and free is not None and (total := sum(need.total for need in needs)) > free:
        yield f"that needs about {memory.mb(total)} MB, and {memory.mb(free)} MB are available here now: the agent would not start"
