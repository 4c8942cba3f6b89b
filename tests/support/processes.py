"""Single processes of a mesh, started as an operator would, to see how they end."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.patience import PATIENCE_S

OURS = ("SMALLMESH_", "OTEL_", "ANTHROPIC_")
MODELS = "SMALLMESH_MODELS_DIR"
"""Set for the whole run: an empty folder."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    status: int
    out: str
    err: str


def environment(agent_path: Path, **changed: str) -> dict[str, str]:
    """Return an environment with these ``SMALLMESH_`` settings and no others of ours."""
    others = {name: value for name, value in os.environ.items() if name == MODELS or not name.startswith(OURS)}
    return {**others, "SMALLMESH_AGENT_PATH": str(agent_path), **{f"SMALLMESH_{k.upper()}": v for k, v in changed.items()}}


async def serve(*arguments: str, env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start ``python -m smallmesh.serving``."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "smallmesh.serving", *arguments, env=dict(env), stdout=pipe, stderr=pipe
    )


async def ended(process: asyncio.subprocess.Process, within_s: float = PATIENCE_S) -> Ended:
    """Wait until a process has ended."""
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())
