"""The folder of pulled models: where each file lies, which bytes are bound to its name, and which tiers were chosen."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smallmesh.hosting.card import ModelError, Tier

LOCK_FILE = "models.lock"
CHOSEN_FILE = "in_use.json"
PARTIAL_FOLDER = "partial"


class Locked(BaseModel):
    """What was pulled once under a name, and binds whatever is pulled or loaded under it later.

    Attributes:
        commit: Of the repository, as the hub resolved the revision.
        sha256: Of the file.
        size: Its bytes.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    commit: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class ModelsFolder:
    """A folder of pulled models; it need not exist before something is written."""

    def __init__(self, path: Path) -> None:
        """Look into ``path``."""
        self.path = path

    @property
    def lock_path(self) -> Path:
        """Where the lock file lies."""
        return self.path / LOCK_FILE

    def file_of(self, tier: Tier) -> Path:
        """Return where a tier's file lies once it was pulled; agents with the same tier share it."""
        return self.path / tier.repository / tier.revision / tier.file

    def partial_of(self, sha256: str) -> Path:
        """Return where a file is gathered until it is whole and verified."""
        return self.path / PARTIAL_FOLDER / f"{sha256}.part"

    def locked(self, tier: Tier) -> Locked | None:
        """Return what a tier's name is bound to; None where it was never pulled.

        Raises:
            ModelError: The lock file cannot be read.
        """
        entry = self._read(LOCK_FILE).get(name_of(tier))
        if entry is None:
            return None
        try:
            return Locked.model_validate(entry)
        except ValidationError as error:
            raise _unreadable(self.lock_path, error) from error

    def sha256_of(self, tier: Tier) -> str | None:
        """Return the sha256 that a tier's file must have: its card's, else the lock's; None where neither says it.

        Raises:
            ModelError: The lock file cannot be read.
        """
        if tier.sha256 is not None:
            return tier.sha256
        locked = self.locked(tier)
        return None if locked is None else locked.sha256

    def bind(self, tier: Tier, locked: Locked) -> None:
        """Write down what was pulled under a tier's name.

        Raises:
            ModelError: The lock file cannot be read.
            OSError: It cannot be written.
        """
        self._change(LOCK_FILE, lambda entries: {**entries, name_of(tier): locked.model_dump()})

    def chosen(self, agent: str) -> tuple[str, ...]:
        """Return the tiers that were chosen for an agent, the one that serves first; none where nothing was chosen.

        Raises:
            ModelError: The file of choices cannot be read.
        """
        tiers = self._read(CHOSEN_FILE, PermissionError).get(agent, [])  # whoever may not read it chose nothing there
        if not isinstance(tiers, list) or not all(isinstance(tier, str) for tier in tiers):
            raise _unreadable(self.path / CHOSEN_FILE, f"what was chosen for {agent} is no list of tiers")
        return tuple(tiers)

    def choose(self, agent: str, *tiers: str) -> None:
        """Write down which tiers an agent has from its next start on, the one that serves first; without any, its embedded one.

        Raises:
            ModelError: The file of choices cannot be read.
            OSError: It cannot be written.
        """
        self._change(CHOSEN_FILE, lambda chosen: {**chosen, agent: tiers} if tiers else {k: v for k, v in chosen.items() if k != agent})

    def _read(self, name: str, *nothing: type[OSError]) -> dict[str, Any]:
        path = self.path / name
        none: tuple[type[OSError], ...] = (FileNotFoundError, NotADirectoryError, *nothing)
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except none:
            return {}
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        if not isinstance(entries, dict):
            raise _unreadable(path, "it is no JSON object")
        return entries

    def _change(self, name: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        with self._alone():
            text = json.dumps(change(self._read(name)), indent=2, sort_keys=True) + "\n"
            written = self.path / f"{name}.new"
            with written.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            written.replace(self.path / name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other process change the folder's lists meanwhile."""
        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def name_of(tier: Tier) -> str:
    """Return the name under which a file is bound: where it comes from, and what it is called there."""
    return f"{tier.repository}@{tier.revision}/{tier.file}"


def _unreadable(path: Path, why: object) -> ModelError:
    return ModelError(f"{path} cannot be read ({why}): correct it, or delete it; `smallmesh models pull` writes it anew")
