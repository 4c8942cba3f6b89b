"""Pulls a tier's file: resumed where it broke off, and given its name only once its sha256 is the one it must have."""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from smallmesh.hosting.card import ModelError, Tier, sha256_of
from smallmesh.hosting.ladder.folder import Locked, ModelsFolder, name_of
from smallmesh.hosting.ladder.hub import Hub, HubError, Remote

OnProgress = Callable[[int, int | None], None]
"""Told how many bytes of a file are there, and of how many; None where the hub does not say."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Pulled:
    """A tier's file, there and verified.

    Attributes:
        path: Where it lies.
        sha256: Of it.
        size: Its bytes.
        commit: Of its repository; None where it lay here and was never pulled through this.
        already: Whether it lay here before, and nothing was asked of the hub.
    """

    path: Path
    sha256: str
    size: int
    commit: str | None
    already: bool


def pull(
    tier: Tier, models: ModelsFolder, hub: Callable[[], Hub], *, offline: bool = False, on_progress: OnProgress | None = None
) -> Pulled:
    """Pull a tier's file, unless it lies here and is the right one.

    Args:
        tier: Whose file.
        models: Where it is to lie.
        hub: Makes what it is pulled from; called only where something must be asked.
        offline: Take what lies here, and ask nobody.
        on_progress: Called with each part that came.

    Raises:
        ModelError: It is not to be had, is another one than it must be, or there is no room for it. Nothing was changed,
            but for what came of it so far: the next pull goes on there.
    """
    must_be = models.sha256_of(tier)
    if must_be is not None and (there := _there(tier, models, must_be)) is not None:
        return there
    if offline:
        raise ModelError(f"{name_of(tier)} does not lie here, and nothing is pulled offline: leave out --offline and HF_HUB_OFFLINE")
    source = hub()
    remote = source.look(tier.repository, _revision(tier, models, must_be), tier.file)
    sha256 = _agreed(tier, models, remote, must_be)
    final = models.file_of(tier)
    try:
        with _gathering(models.partial_of(sha256), remote) as file:
            _check_room(models.path, file.tell(), remote)
            source.fetch(remote, file, on_progress=lambda done: on_progress(done, remote.size) if on_progress else None)
            _keep(file, sha256, final)
        size = final.stat().st_size
        models.bind(tier, Locked(commit=remote.commit, sha256=sha256, size=size))
    except OSError as error:
        raise _not_written(models, error) from error
    return Pulled(final, sha256, size, remote.commit, already=False)


def _there(tier: Tier, models: ModelsFolder, must_be: str) -> Pulled | None:
    path = models.file_of(tier)
    if not path.is_file() or sha256_of(path) != must_be:
        return None
    locked = models.locked(tier)
    return Pulled(path, must_be, path.stat().st_size, locked.commit if locked is not None else None, already=True)


def _revision(tier: Tier, models: ModelsFolder, must_be: str | None) -> str:
    """Return what to ask for: the commit that was pulled before, where its file is still the one it must be."""
    locked = models.locked(tier)
    return locked.commit if locked is not None and locked.sha256 == must_be else tier.revision


def _agreed(tier: Tier, models: ModelsFolder, remote: Remote, must_be: str | None) -> str:
    """Return the sha256 that the card or the lock, and the hub, agree on."""
    if must_be is None and remote.sha256 is None:
        raise HubError(f"the hub does not say the sha256 of {name_of(tier)}: write it into model.toml, so that the file can be verified")
    if must_be is not None and remote.sha256 is not None and must_be != remote.sha256:
        who, way = ("model.toml", "write the new sha256 into model.toml")
        if tier.sha256 is None:
            who, way = (str(models.lock_path), f"delete its entry in {models.lock_path}")
        raise HubError(
            f"the hub has another file under the name {name_of(tier)}: its sha256 is {remote.sha256[:12]}…, {who} says {must_be[:12]}…. "
            f"It is not pulled. If the change is meant, {way}"
        )
    return must_be or remote.sha256 or ""


def _keep(file: IO[bytes], sha256: str, final: Path) -> None:
    """Give a file that is whole its name, once it is the one that it must be."""
    file.flush()
    os.fsync(file.fileno())
    partial = Path(file.name)
    found = sha256_of(partial)
    if found != sha256:
        partial.unlink()
        raise HubError(
            f"what came for {final.name} has sha256 {found[:12]}…, not {sha256[:12]}…: it was not kept. "
            "Pull again; if that happens again, something between here and the hub changes files"
        )
    final.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(final)


@contextmanager
def _gathering(partial: Path, remote: Remote) -> Iterator[IO[bytes]]:
    """Open what came of a file so far, at its end, for this process alone."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("ab") as file:
        if not _is_ours(file, partial):
            raise ModelError(f"another process is pulling {remote.file}: wait until it has ended")
        if remote.size is not None and file.tell() > remote.size:
            file.truncate(0)
        file.seek(0, os.SEEK_END)
        yield file


def _is_ours(file: IO[bytes], partial: Path) -> bool:
    """Take a file for this process alone; False where another one has it, or had it and gave it its name meanwhile."""
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), partial.stat())
    return False


def _check_room(folder: Path, there: int, remote: Remote) -> None:
    missing = (remote.size or 0) - there
    free = shutil.disk_usage(folder).free
    if free < missing:
        raise _no_room(folder, f"{missing / _MB:,.0f} MB more are needed, {free / _MB:,.0f} MB are free")


def _no_room(folder: Path, why: str) -> ModelError:
    return ModelError(f"no room in {folder} ({why}): free some, or set SMALLMESH_MODELS_DIR to a folder elsewhere, and pull again")


def _not_written(models: ModelsFolder, error: OSError) -> ModelError:
    if error.errno in _FULL:
        return _no_room(models.path, error.strerror or "full")
    return ModelError(f"{models.path} cannot be written ({error.strerror or error}): set SMALLMESH_MODELS_DIR to a folder that can be")
