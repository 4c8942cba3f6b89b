"""What a service is that is not an agent: no model of its own, no ask, the same chassis."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from pydantic import JsonValue

from smallmesh.frontier import Frontier
from smallmesh_contracts import Address, Answer, EscalationStep, Evidence, Lane, StepResult


@dataclass(frozen=True, slots=True)
class Escalation:
    """One answer wanted of a frontier model.

    Attributes:
        address: Of the task, from the subject.
        lane: From the subject.
        answer: Which answer is wanted, from the subject.
        step: The message's body.
        budget_s: Seconds that are left.
        waited_ms: Milliseconds since the broker took the message in.
        deliveries: How often the message was delivered, this time included.
    """

    address: Address
    lane: Lane
    answer: str
    step: EscalationStep
    budget_s: float
    waited_ms: float
    deliveries: int = 1


class Ports(Protocol):
    """What the chassis lends a service."""

    @property
    def frontier(self) -> Frontier:
        """The frontier model."""

    async def stored(self, address: Address, evidence: Evidence) -> StepResult | None:
        """Read one stored result of the task itself."""

    async def claim(self, asked: Escalation, for_s: float) -> None:
        """Claim a paid answer for this delivery, for as long as its call may take. The chassis lets go of it.

        Raises:
            NotYetError: Another delivery has it, or has answered just now.
        """

    async def audit(self, record: Mapping[str, JsonValue], *, record_id: str) -> None:
        """Write one record to the audit log. No text may be in it."""


class Service(ABC):
    """A service. ``service.py`` of its folder holds one instance, ``SERVICE``.

    Attributes:
        name: The folder's name.
        answer: The answer it gives, as clients name it in ``wanted``.
        description: One sentence for people.
    """

    name: ClassVar[str]
    answer: ClassVar[str]
    description: ClassVar[str]

    @abstractmethod
    async def respond(self, asked: Escalation, ports: Ports) -> Answer:
        """Answer, or say in the answer's error why not. A raised error is retried if its code is."""
