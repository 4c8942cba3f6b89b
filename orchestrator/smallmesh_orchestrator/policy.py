"""What may leave the house. The first of three fences; the broker and escalation have their own."""

from dataclasses import dataclass, field

from smallmesh.bus.layout import LEAVES_THE_HOUSE
from smallmesh_contracts import ContractError, DataClass, ErrorCode


@dataclass(frozen=True, slots=True)
class Policy:
    """Which data classes may be escalated to a frontier model.

    Attributes:
        escalated: These; restricted text can be allowed by nobody.
    """

    escalated: frozenset[DataClass] = field(default_factory=lambda: frozenset(LEAVES_THE_HOUSE))

    def check(self, data_class: DataClass) -> None:
        """Refuse a class that must stay.

        Raises:
            ContractError: ``class_forbidden``.
        """
        if data_class is DataClass.RESTRICTED or data_class not in self.escalated:
            raise ContractError(ErrorCode.CLASS_FORBIDDEN, f"{data_class.value} text does not leave this installation")
