"""What a report was measured with."""

import platform
import shutil
import subprocess
import sysconfig
from importlib.metadata import version
from pathlib import Path

import psutil

import smallmesh

GIB = 1024**3


def versions() -> dict[str, str]:
    """Return names and versions of everything that matters."""
    memory = psutil.virtual_memory().total / GIB
    return {
        "smallmesh": f"{smallmesh.__version__}, commit {_commit()}",
        "nats-server": _said("nats-server", "--version").rpartition(" ")[2],
        "nats-py": version("nats-py"),
        "Python": platform.python_version(),
        "machine": f"{psutil.cpu_count()} virtual cores ({_processor()}), {memory:.0f} GiB, {platform.system()} {platform.release()}",
    }


def _commit() -> str:
    commit = _said("git", "rev-parse", "--short", "HEAD")
    return f"{commit} with changes" if _said("git", "status", "--porcelain") else commit


def _said(program: str, *arguments: str) -> str:
    found = shutil.which(program, path=sysconfig.get_path("scripts")) or shutil.which(program)
    if found is None:
        return "unknown"
    told = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - no input of anybody's
    return told.stdout.strip() or "unknown"


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
