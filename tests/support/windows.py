"""An agent that hosts a model and whose windows a test can hold up, one by one, on the model's own thread."""

from pathlib import Path

from tests.support.rules import GATE, Gate

HANG = "hang:"
"""The first process that reads ``hang:NAME`` stands still at it until :class:`Gate` NAME is opened; others pass."""
SAYS = "says:"
"""A text with ``says:NAME`` tells :class:`Gate` NAME when its first window is queued at the model."""


def at(kind: str, gate: Gate) -> str:
    """Return the word that stands for a gate in a text."""
    return kind + gate.word.removeprefix(GATE)


_AGENT = '''"""Reads a text window by window, a word each, on the thread of its model."""

import asyncio
import time
import uuid
from pathlib import Path

from smallmesh.agent import Agent, Model
from smallmesh_contracts import AgentRequest, AgentResult

GATES = Path({gates!r})


class ReadResult(AgentResult):
    """How many windows there were."""

    windows: int


def window(word: str) -> None:
    """Stand for one forward pass."""
    kind, _, name = word.partition(":")
    if kind == "gate" or (kind == "hang" and first(name)):
        (GATES / f"{{name}}.entered.{{uuid.uuid4().hex}}").touch()
        while not (GATES / f"{{name}}.open").exists():
            time.sleep(0.01)
    elif kind == "ms":
        time.sleep(float(name) / 1000)


def first(name: str) -> bool:
    try:
        (GATES / f"{{name}}.hung").open("x").close()
    except FileExistsError:
        return False
    return True


class Reader(Agent[AgentRequest, ReadResult]):
    """Reads a word a window."""

    name = "reader"
    answer = "read"
    description = "Reads a word a window"
    request = AgentRequest
    result = ReadResult

    async def respond(self, request: AgentRequest, model: Model) -> ReadResult:
        """Read."""
        words = request.text.split()
        with model._model.thread.reading(model._lane):
            for number, word in enumerate(words):
                turn = asyncio.create_task(model._model.thread.run(lambda _, word=word: window(word), model._lane))
                await asyncio.sleep(0)
                if number == 0:  # its first window is queued
                    for gate in (w.partition(":")[2] for w in words if w.startswith("says:")):
                        (GATES / f"{{gate}}.entered.{{uuid.uuid4().hex}}").touch()
                await turn
        return ReadResult(windows=len(words))


AGENT = Reader()
'''


def write_reader(parent: Path, services: Path) -> Path:
    """Write the agent ``reader``, which borrows the shipped sentiment's model; return the folder of agents."""
    folder = parent / "reader"
    folder.mkdir(parents=True)
    gates = parent.with_name(f"{parent.name}-gates")
    gates.mkdir(exist_ok=True)
    (folder / "agent.py").write_text(_AGENT.format(gates=str(gates)), encoding="utf-8")
    for piece in ("model.toml", "model.gguf"):
        (folder / piece).symlink_to(services / "sentiment" / piece)
    return parent
