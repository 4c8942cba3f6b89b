"""What the benchmark keeps between runs: the sources of llama.cpp, models, and the server that was built."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

Say = Callable[[str], object]
_PACKAGE = "llama-cpp-python"


def folder() -> Path:
    """Return the cache's folder; it is made where it is not there."""
    return user_cache_path("smallmesh") / "bench"


def sources(given: Path | None, say: Say) -> Path:
    """Return the sources of llama.cpp: those that were given, or those that the installed llama-cpp-python was built from.

    Raises:
        subprocess.CalledProcessError: They could not be downloaded.
    """
    kept = given or folder() / f"{_PACKAGE}-{version(_PACKAGE)}" / "vendor" / "llama.cpp"
    if not (kept / "CMakeLists.txt").is_file():
        if given is not None:
            msg = f"{given} holds no sources of llama.cpp"
            raise FileNotFoundError(msg)
        say(f"downloading the sources of {_PACKAGE} {version(_PACKAGE)} …")
        _download(kept.parents[1])
    return kept


def _download(target: Path) -> None:
    """Unpack the source distribution of the installed version into a folder, all of it or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", _PACKAGE]
        subprocess.run([*pip, "--dest", name, f"{_PACKAGE}=={version(_PACKAGE)}"], check=True, stdout=sys.stderr)  # noqa: S603 - our own words
        [archive] = Path(name).glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(name, filter="data")
        [unpacked] = (entry for entry in Path(name).iterdir() if entry.is_dir())
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)
