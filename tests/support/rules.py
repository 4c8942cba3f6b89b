"""Agents of rules: folders with no model, whose behaviour a test can foresee and hold up."""

from pathlib import Path
from textwrap import dedent, indent

HARD = "HARD"
"""A request with this word in it is complex."""
GATE = "gate:"
"""A gated agent waits where its text has ``gate:NAME``, until :class:`Gate` NAME is opened."""

_AGENT = '''"""Answers by rules, for tests."""

import asyncio
import uuid
from pathlib import Path

from smallmesh.agent import Agent, Model
from smallmesh_contracts import AgentRequest, AgentResult, ComplexityRequest, ComplexityResult, SummaryResult

GATES = Path({gates!r})


class Answered(AgentResult):
    """What it says."""

    said: str


async def gate(text: str) -> None:
    for name in (word.removeprefix("gate:") for word in text.split() if word.startswith("gate:")):
        (GATES / f"{{name}}.entered.{{uuid.uuid4().hex}}").touch()
        while not (GATES / f"{{name}}.open").exists():
            await asyncio.sleep(0.01)


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
    gates = str(parent.with_name(f"{parent.name}-gates"))
    source = _AGENT.format(name=name, answer=answer, respond=body, request=request, result=result, gates=gates)
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


class Gate:
    """Holds up every gated agent that reads its word."""

    def __init__(self, parent: Path, name: str) -> None:
        """Make the gate ``name`` for the agents in ``parent``; it is closed."""
        self.word = f"{GATE}{name}"
        self._folder = parent.with_name(f"{parent.name}-gates")
        self._folder.mkdir(exist_ok=True)
        self._name = name

    def open(self) -> None:
        """Let everybody through, now and later."""
        (self._folder / f"{self._name}.open").touch()

    @property
    def entered(self) -> int:
        """How many inferences have come to it."""
        return len(list(self._folder.glob(f"{self._name}.entered.*")))
