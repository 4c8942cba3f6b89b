"""Agents of rules: folders with no model, whose behaviour a test can foresee and hold up."""

from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Literal

HARD = "HARD"
"""A request with this word in it is complex."""
GATE = "gate:"
"""A gated agent waits where its text has ``gate:NAME``, until :class:`Gate` NAME is opened."""
ID = "id:"
"""A timed agent notes, where its text has ``id:TASK``, that it begins that task: see :class:`Begun`."""
WINDOWS = "windows:"
"""A timed agent takes, where its text has ``windows:3x0.1``, three windows of a tenth of a second."""

_AGENT = '''"""Answers by rules, for tests."""

import asyncio
import os
import time
import uuid
from pathlib import Path

from smallmesh.agent import Agent, Model
from smallmesh_contracts import AgentRequest, AgentResult, ComplexityRequest, ComplexityResult, SummaryResult

GATES = Path({gates!r})
BEGUN = Path({begun!r})
ONE_AT_A_TIME = asyncio.Lock()


class Answered(AgentResult):
    """What it says."""

    said: str


async def gate(text: str) -> None:
    for name in (word.removeprefix("gate:") for word in text.split() if word.startswith("gate:")):
        (GATES / f"{{name}}.entered.{{uuid.uuid4().hex}}").touch()
        while not (GATES / f"{{name}}.open").exists():
            await asyncio.sleep(0.01)


def note(what: str, text: str) -> None:
    for task_id in (word.removeprefix("id:") for word in text.split() if word.startswith("id:")):
        with (BEGUN / str(os.getpid())).open("a", encoding="utf-8") as notes:
            notes.write(f"{{what}} {{time.monotonic()}} {name} {{task_id}}\\n")


async def windows(text: str) -> None:
    for count, _, seconds in (word.removeprefix("windows:").partition("x") for word in text.split() if word.startswith("windows:")):
        for _ in range(int(count)):
            await asyncio.sleep(float(seconds))


class Rules(Agent[{request}, {result}]):
    """Answers by rules."""

    name = "{name}"
    answer = "{answer}"
    description = "Answers by rules"
    request = {request}
    result = {result}

    async def respond(self, request: {request}, model: Model) -> {result}:
        """Answer."""
{respond}

    def marks(self, result: {result}) -> bool:
        """Mark what is complex."""
        return getattr(result, "verdict", None) == "complex"


AGENT = Rules()
'''
SAY = "return Answered(said=request.text.split()[0].upper(), confidence=0.9)"
GATED = f"await gate(request.text)\n{SAY}"
TIMED = f"""
note("came", request.text)
async with ONE_AT_A_TIME:  # as the one thread of a model
    note("began", request.text)
    await windows(request.text)
{SAY}
"""
_SUMMARY = 'return SummaryResult(summary=request.text[:40], method="extractive", sentences=1)'
_JUDGE = f"""
verdict = "complex" if "{HARD}" in f"{{request.instruction}} {{request.text}}" else "simple"
return ComplexityResult(verdict=verdict, probabilities={{verdict: 1.0}}, reasons=["a rule"], confidence=1.0)
"""


def write_agent(  # noqa: PLR0913 - most callers give the first three
    parent: Path, name: str, answer: str, respond: str = SAY, *, request: str = "AgentRequest", result: str = "Answered"
) -> None:
    """Write one agent's folder; ``respond`` is the body of its method."""
    folder = parent / name
    folder.mkdir(parents=True)
    body = indent(dedent(respond).strip(), " " * 8)
    gates, begun = str(_gates(parent)), str(Begun(parent).folder)
    source = _AGENT.format(name=name, answer=answer, respond=body, request=request, result=result, gates=gates, begun=begun)
    (folder / "agent.py").write_text(source, encoding="utf-8")


def write_town(parent: Path, services: Path) -> Path:
    """Write agents for the four default answers, and lend them the shipped escalation; return the folder.

    Sentiment's agent is gated, and so is a fifth one, ``patient``.
    """
    write_agent(parent, "sentiment", "sentiment", GATED)
    write_agent(parent, "patient", "patience", GATED)
    write_agent(parent, "ner", "entities")
    write_agent(parent, "summarizer", "summary", _SUMMARY, result="SummaryResult")
    write_agent(parent, "complexity_router", "complexity", _JUDGE, request="ComplexityRequest", result="ComplexityResult")
    (parent / "escalation").symlink_to(services / "escalation")
    return parent


def write_timed_town(parent: Path, services: Path) -> Path:
    """Write agents that take the time their text says and note what they begin, a router, and lend them the shipped escalation."""
    write_agent(parent, "sentiment", "sentiment", TIMED)
    write_agent(parent, "ner", "entities", TIMED)
    write_agent(parent, "complexity_router", "complexity", _JUDGE, request="ComplexityRequest", result="ComplexityResult")
    (parent / "escalation").symlink_to(services / "escalation")
    return parent


@dataclass(frozen=True, slots=True)
class Beginning:
    """One inference that was begun, or a step that came into an agent's hands, where another may be before it.

    Attributes:
        at: When, on this machine's monotonic clock, in seconds.
        pid: By which process.
        agent: Of which agent.
        task_id: Of which task.
    """

    at: float
    pid: int
    agent: str
    task_id: str


class Begun:
    """What timed agents have begun: they note it in files, which outlive them."""

    def __init__(self, parent: Path) -> None:
        """Read the notes of the agents in ``parent``."""
        self.folder = parent.with_name(f"{parent.name}-begun")
        self.folder.mkdir(exist_ok=True)

    def read(self, what: Literal["came", "began"] = "began") -> list[Beginning]:
        """Return every inference begun so far, or every step that came, oldest first."""
        found = [one for notes in self.folder.iterdir() for one in self.of(int(notes.name), what)]
        return sorted(found, key=lambda one: one.at)

    def of(self, pid: int, what: Literal["came", "began"] = "began") -> list[Beginning]:
        """Return what one process has begun, or what came to it."""
        notes = self.folder / str(pid)
        lines = (line.split() for line in notes.read_text(encoding="utf-8").splitlines()) if notes.exists() else ()
        return [Beginning(float(at), pid, agent, task_id) for kind, at, agent, task_id in lines if kind == what]


def _gates(parent: Path) -> Path:
    return parent.with_name(f"{parent.name}-gates")


class Gate:
    """Holds up every gated agent that reads its word."""

    def __init__(self, parent: Path, name: str) -> None:
        """Make the gate ``name`` for the agents in ``parent``; it is closed."""
        self.word = f"{GATE}{name}"
        self._folder = _gates(parent)
        self._folder.mkdir(exist_ok=True)
        self._name = name

    def open(self) -> None:
        """Let everybody through, now and later."""
        (self._folder / f"{self._name}.open").touch()

    @property
    def entered(self) -> int:
        """How many inferences have come to it."""
        return len(list(self._folder.glob(f"{self._name}.entered.*")))
