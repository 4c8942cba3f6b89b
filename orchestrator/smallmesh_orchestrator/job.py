"""A task on its way through an orchestrator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from pydantic import JsonValue

from smallmesh_contracts import Address, Lane, StepInput, Task, Verdict, Wire, decode


class _Submitted(Wire):
    """What of a submission agents may read. A verdict is the router's to give: one that a client wrote there is not read."""

    text: str
    instruction: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a task while it is worked on.

    Attributes:
        address: Whose it is.
        lane: How urgent.
        body: As submitted. The text is read out of it when a step is published, so that it is in memory once.
        digest: Of the body.
        wanted: Names of the answers wanted.
        arrived_at: When the broker took it in, by the broker's clock.
        budget_s: Seconds it may take from then on.
        metadata: To be echoed.
        replay_of: To be echoed.
        sequence: Number of its submission; 0 for a run, which has none.
        seen_before: Whether an earlier delivery may have begun it.
        verdict: The router's, once it is known and decides which model of an agent answers.
    """

    address: Address
    lane: Lane
    body: bytes
    digest: str
    wanted: tuple[str, ...]
    arrived_at: float
    budget_s: float
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    replay_of: str | None = None
    sequence: int = 0
    seen_before: bool = False
    verdict: Verdict | None = None

    @classmethod
    def of(  # noqa: PLR0913 - what a task does not say of itself
        cls,
        task: Task,
        address: Address,
        lane: Lane,
        body: bytes,
        *,
        digest: str,
        arrived_at: float,
        sequence: int = 0,
        seen_before: bool = False,
    ) -> Self:
        """Return the job that a task makes."""
        return cls(
            address,
            lane,
            body,
            digest,
            task.wanted,
            arrived_at,
            task.budget_s(lane),
            task.metadata,
            task.replay_of,
            sequence,
            seen_before,
        )

    @property
    def deadline(self) -> float:
        """When its budget is used up, by the broker's clock."""
        return self.arrived_at + self.budget_s

    @property
    def is_run(self) -> bool:
        """Whether its caller waits, to whom a failure at once is worth more than an answer in the end."""
        return self.sequence == 0

    def input(self) -> StepInput:
        """Read what agents may read of it, with the verdict."""
        read = decode(_Submitted, self.body)
        if self.verdict is None:
            return StepInput(text=read.text, instruction=read.instruction)
        return StepInput(text=read.text, instruction=read.instruction, verdict=self.verdict)
