"""Every agent's models as they lie here: what their cards say, and whether the files are those."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path

from smallmesh.catalogue import AGENT_FILE
from smallmesh.hosting.card import CARD_FILE, EMBEDDED, ModelCard, ModelError, Tier, load_card, load_tiers, sha256_of
from smallmesh.hosting.ladder.folder import ModelsFolder
from smallmesh.hosting.ladder.in_use import choice_for

_MB = 1_000_000


class FileState(StrEnum):
    """What the file is, compared with its card."""

    OK = "ok"
    ALTERED = "altered"
    MISSING = "missing"
    NOT_PULLED = "not pulled"
    NO_TIER = "no such tier"
    NO_CARD = "no model"
    BAD_CARD = "bad card"
    BAD_CHOICE = "not known"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One agent's model, or one of its tiers.

    Attributes:
        agent: The folder's name.
        state: What the file is.
        card: What it should be; None where there is none, or none that can be read.
        size: Bytes of the file; of one that was not pulled, what its card says.
        message: What is wrong, and what to do.
        tier: Which of the agent's.
        in_use: Whether it is chosen to serve from the agent's next start on.
        path: Where the file lies, or would.
        sha256: What the file must have; None where that is known once it was pulled.
    """

    agent: str
    state: FileState
    card: ModelCard | Tier | None = None
    size: int = 0
    message: str = ""
    tier: str = EMBEDDED
    in_use: bool = True
    path: Path | None = None
    sha256: str | None = None

    @property
    def can_be_served(self) -> bool:
        """Whether the agent would load it. An agent without a model answers by rules."""
        return self.state in (FileState.OK, FileState.NO_CARD)

    @property
    def memory(self) -> int:
        """Bytes that it adds to a process, as its card or its file says."""
        ram_mb = self.card.ram_mb if self.card is not None else None
        return max(self.size, (ram_mb or 0) * _MB)

    @property
    def is_fine(self) -> bool:
        """Whether there is nothing to do about it: it can be served, or was not pulled and nobody wants it."""
        return self.can_be_served or (self.state is FileState.NOT_PULLED and not self.in_use)


def models_in(folders: Iterable[Path], models: ModelsFolder) -> Iterator[ModelFacts]:
    """Yield the models that agents serve with, by their files alone: nothing is imported, nothing loaded, each file read once."""
    hashed = cache(sha256_of)
    for folder in agents_in(folders):
        try:
            yield from _tiers_of(folder, models, hashed, in_use=True)
        except (ModelError, OSError) as error:
            yield ModelFacts(folder.name, FileState.BAD_CHOICE, message=str(error))


def agents_in(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders of agents, by their files: nothing is imported."""
    for parent in folders:
        if parent.is_dir():
            yield from sorted(p for p in parent.iterdir() if (p / AGENT_FILE).is_file() or (p / CARD_FILE).is_file())


def tiers_in(folders: Iterable[Path], models: ModelsFolder) -> Iterator[ModelFacts]:
    """Yield every tier of every agent, the embedded one first; a file that several agents share is read once."""
    hashed = cache(sha256_of)
    for folder in agents_in(folders):
        yield from _tiers_of(folder, models, hashed)


def _tiers_of(folder: Path, models: ModelsFolder, hashed: Callable[[Path], str], *, in_use: bool = False) -> Iterator[ModelFacts]:
    """Yield every tier of one agent, the embedded one first; or only those that are chosen to serve.

    Raises:
        ModelError: The folder's lock file, or its file of choices, cannot be read.
    """
    choice = choice_for(folder.name, models)
    chosen = choice.tiers
    embedded, serves = _stated(folder), EMBEDDED in chosen
    if embedded.state is FileState.BAD_CARD:
        yield replace(embedded, in_use=serves)
        return
    if serves or not in_use:
        yield replace(_compared(embedded, hashed) if embedded.state is FileState.OK else embedded, in_use=serves)
    tiers = load_tiers(folder)
    for tier in tiers:
        if in_use and tier.tier not in chosen:
            continue
        sha256 = models.sha256_of(tier)
        facts = ModelFacts(folder.name, FileState.OK, tier, 0, "", tier.tier, tier.tier in chosen, models.file_of(tier), sha256)
        if sha256 is None or not models.file_of(tier).exists():
            pull = f"run `smallmesh models pull {folder.name} --tier {tier.tier}`" if facts.in_use else ""
            yield replace(facts, state=FileState.NOT_PULLED, size=tier.size_bytes or 0, message=pull)
        else:
            yield _compared(facts, hashed)
    known = {EMBEDDED, *(tier.tier for tier in tiers)}
    for name in chosen:
        if name not in known:
            message = f"chosen by {choice.by}; there are: {', '.join((EMBEDDED, *(tier.tier for tier in tiers)))}; or {choice.back}"
            yield ModelFacts(folder.name, FileState.NO_TIER, message=message, tier=name)


def _stated(folder: Path) -> ModelFacts:
    """Return what an agent's card says of its embedded model, whose file is not looked at."""
    try:
        card = load_card(folder)
    except (ModelError, OSError, UnicodeDecodeError) as error:
        return ModelFacts(folder.name, FileState.BAD_CARD, message=str(error))
    if card is None:
        return ModelFacts(folder.name, FileState.NO_CARD)
    return ModelFacts(folder.name, FileState.OK, card, path=folder / card.file, sha256=card.sha256)


def _compared(facts: ModelFacts, hashed: Callable[[Path], str]) -> ModelFacts:
    path, must_be = facts.path or Path(), facts.sha256 or ""
    embedded = facts.tier == EMBEDDED
    try:
        size = path.stat().st_size
        found = hashed(path)
    except OSError as error:
        restore = "restore it, or train it again" if embedded else _pull_again(facts)
        return replace(facts, state=FileState.MISSING, message=f"{path} cannot be read ({error.strerror}): {restore}")
    if found == must_be:
        return replace(facts, size=size)
    restore = "restore the file, or correct the card" if embedded else _pull_again(facts)
    message = f"{path} has sha256 {found[:12]}…, its card says {must_be[:12]}…: {restore}"
    return replace(facts, state=FileState.ALTERED, size=size, message=message)


def _pull_again(facts: ModelFacts) -> str:
    return f"run `smallmesh models pull {facts.agent} --tier {facts.tier}`"
