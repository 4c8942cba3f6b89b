"""What became of a submission."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from smallmesh.cli.intake.lines import Submission
from smallmesh_contracts import ContractError, ErrorCode, ErrorInfo, Status, TaskResult, decode
from smallmesh_contracts.decode import explain

_STATUSES = {status.value: status for status in Status}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A submission's result, or why there is none.

    Attributes:
        submission: Without its text.
        body: The result as the mesh keeps it.
        status: How the task ended; None where it has no result.
        error: Why there is no result.
        is_final: Whether nothing else can become of it.
    """

    submission: Submission
    body: bytes = b""
    status: Status | None = None
    error: ErrorInfo | None = None
    is_final: bool = True

    @property
    def ok(self) -> bool:
        """Whether every answer has its value."""
        return self.status is Status.COMPLETED

    @property
    def result(self) -> TaskResult | None:
        """The result, read."""
        return decode(TaskResult, self.body) if self.body else None


class _Head(BaseModel):
    """What of a result is looked at before it is passed on."""

    model_config = ConfigDict(strict=True)

    status: str
    digest: str


def status_of(result: bytes, digest: str) -> Status:
    """Return how a task ended; a status that this version does not know is another.

    Raises:
        ContractError: It is no result, or the result of something else.
    """
    try:
        head = _Head.model_validate_json(result)
    except ValidationError as error:
        raise ContractError(ErrorCode.INVALID_OUTPUT, f"what came is no result: {explain(error)}") from None
    if head.digest != digest:
        raise ContractError(ErrorCode.ID_CONFLICT, "something else was submitted under this id, and its result is kept: choose another id")
    return _STATUSES.get(head.status, Status.OTHER)
