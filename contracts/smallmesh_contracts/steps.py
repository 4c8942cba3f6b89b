"""What the orchestrator hands on: one step for an agent, one question for escalation."""

from smallmesh_contracts._base import Wire
from smallmesh_contracts.agents import Judged


class StepInput(Wire):
    """What every agent may read of a task; its own request type takes what it needs.

    Attributes:
        text: The task's.
        instruction: The task's, where it has one.
        verdict: The router's, where it was known before this step was published.
    """

    text: str
    instruction: str | None = None
    verdict: Judged = None


class Step(Wire):
    """One step: the body of a work message.

    Attributes:
        digest: Of the submitted body.
        timeout_s: What is left of the budget, in seconds from this message's arrival.
        request: The input.
    """

    digest: str
    timeout_s: float
    request: StepInput


class Evidence(Wire):
    """Which stored result marked a request complex."""

    agent: str
    answer: str


class EscalationStep(Wire):
    """One answer wanted of a frontier model.

    The evidence is a pointer only: escalation reads the stored result itself.
    """

    digest: str
    timeout_s: float
    request: StepInput
    evidence: Evidence
