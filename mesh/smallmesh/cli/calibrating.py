"""What `smallmesh models calibrate` does: asks a model about cases with known labels, and says what its probabilities mean.

It loads the model, so the command imports it when it is called.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

from smallmesh.catalogue import AgentFolder, Catalogue
from smallmesh.evaluation.cases import GOLDEN_FILE, Case, DataSet, read_cases
from smallmesh.hosting.card import ModelError
from smallmesh.hosting.instruct.calibrate import Labelled, as_toml, calibrate
from smallmesh.hosting.instruct.model import InstructModel
from smallmesh.hosting.prompts.pack import PACK_FILE, Measured, load_pack
from smallmesh.serving.hosted import hosted
from smallmesh.settings import settings
from smallmesh.telemetry import configure_logs

_TABLE = re.compile(r"\n*\[\[calibration\]\]\n(?:(?!\[).*\n?)*")


def measured(agent: str, tier: str | None, data: Path | None) -> tuple[AgentFolder, DataSet, Measured]:
    """Return what was measured for a model of an agent's, by its golden cases or those of a file.

    Args:
        agent: Its name.
        tier: Of its models; without it the one that serves.
        data: The file.

    Raises:
        CatalogueError: There is no such agent.
        ModelError: Its model scores no labels; there are too few cases.
    """
    configure_logs("error", service=agent)  # standard output is the command's own
    found = Catalogue.load(settings().agent_folders).agent(agent)
    cases = read_cases(data or found.folder / GOLDEN_FILE, found.agent)
    return found, cases, asyncio.run(_measure(found, tier, list(_labelled(found, cases.cases))))


def write(folder: Path, found: Measured) -> Path:
    """Put a calibration into an agent's prompt pack, in the place of an earlier one of the same model; return the file."""
    file = folder / PACK_FILE
    text = file.read_text(encoding="utf-8")
    kept = _TABLE.sub(lambda table: "\n\n" if f'model = "{found.model}"' in table.group() else table.group(), text)
    file.write_text(f"{kept.rstrip()}\n\n{as_toml(found)}", encoding="utf-8")
    load_pack(folder)
    return file


async def _measure(found: AgentFolder, tier: str | None, cases: list[Labelled]) -> Measured:
    async with hosted(found, tier) as answering:
        first = answering.first
        if not isinstance(first.host, InstructModel):
            msg = (
                f"the probabilities of {first.model_id} are calibrated in its file; this is for instruct models: "
                f"smallmesh models calibrate {found.agent.name} --tier small"
            )
            raise ModelError(msg)
        return await calibrate(found.agent, first.host, cases)


def _labelled(found: AgentFolder, cases: tuple[Case, ...]) -> Iterator[Labelled]:
    """Yield the cases whose label is known: of their expected values, the one that the prompt pack has as a label."""
    labels = load_pack(found.folder).labels or {}
    for case in cases:
        for value in case.values.values():
            if value in labels:
                yield Labelled(json.loads(case.body), str(value))
                break
