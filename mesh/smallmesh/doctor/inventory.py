"""Every agent's model as it lies here: what its card says, and whether the file is that one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from smallmesh.catalogue import AGENT_FILE
from smallmesh.hosting.card import CARD_FILE, ModelCard, ModelError, load_card, sha256_of


class FileState(StrEnum):
    """What the file is, compared with its card."""

    OK = "ok"
    ALTERED = "altered"
    MISSING = "missing"
    NO_CARD = "no model"
    BAD_CARD = "bad card"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One agent's model.

    Attributes:
        agent: The folder's name.
        state: What the file is.
        card: What it should be; None where there is none, or none that can be read.
        size: Bytes of the file.
        message: What is wrong, and what to do.
    """

    agent: str
    state: FileState
    card: ModelCard | None = None
    size: int = 0
    message: str = ""

    @property
    def can_be_served(self) -> bool:
        """Whether the agent would load it. An agent without a model answers by rules."""
        return self.state in (FileState.OK, FileState.NO_CARD)


def models_in(folders: Iterable[Path]) -> Iterator[ModelFacts]:
    """Yield every agent's model, by the files of its folder alone: nothing is imported, nothing loaded."""
    for parent in folders:
        if parent.is_dir():
            for folder in sorted(p for p in parent.iterdir() if (p / AGENT_FILE).is_file() or (p / CARD_FILE).is_file()):
                yield model_of(folder)


def model_of(folder: Path) -> ModelFacts:
    """Return what one agent's folder holds of a model."""
    try:
        card = load_card(folder)
    except (ModelError, OSError, UnicodeDecodeError) as error:
        return ModelFacts(folder.name, FileState.BAD_CARD, message=str(error))
    if card is None:
        return ModelFacts(folder.name, FileState.NO_CARD)
    return _compared(folder, card)


def _compared(folder: Path, card: ModelCard) -> ModelFacts:
    path = folder / card.file
    try:
        size = path.stat().st_size
        found = sha256_of(path)
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): restore it, or train it again"
        return ModelFacts(folder.name, FileState.MISSING, card, message=message)
    if found != card.sha256:
        message = f"{path} has sha256 {found[:12]}…, its card says {card.sha256[:12]}…: restore the file, or correct the card"
        return ModelFacts(folder.name, FileState.ALTERED, card, size, message)
    return ModelFacts(folder.name, FileState.OK, card, size)
