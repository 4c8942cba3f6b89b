"""Agents that do nothing, one for each answer that a task wants by default, as folders for a bench or a test."""

from pathlib import Path

ANSWERS = {"sentiment": "sentiment", "ner": "entities", "summarizer": "summary", "complexity_router": "complexity"}
_AGENT = '''"""Does nothing, to measure what surrounds it."""

from smallmesh.agent import Agent, Model
from smallmesh_contracts import AgentRequest, AgentResult


class Noop(Agent[AgentRequest, AgentResult]):
    """Answers without looking."""

    name = "{name}"
    answer = "{answer}"
    description = "Does nothing"
    request = AgentRequest
    result = AgentResult

    async def respond(self, request: AgentRequest, model: Model) -> AgentResult:
        """Return an empty result."""
        return AgentResult(confidence=1.0)


AGENT = Noop()
'''


def write_agents(folder: Path) -> Path:
    """Write the agents' folders into ``folder`` and return it."""
    for name, answer in ANSWERS.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "agent.py").write_text(_AGENT.format(name=name, answer=answer), encoding="utf-8")
    return folder
