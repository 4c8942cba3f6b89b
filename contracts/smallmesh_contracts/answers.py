"""What comes back: an answer a step, and one terminal result a task."""

import json
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import Field, JsonValue

from smallmesh_contracts._base import Wire, unknown_as
from smallmesh_contracts.address import DataClass
from smallmesh_contracts.decode import decode
from smallmesh_contracts.errors import ErrorInfo
from smallmesh_contracts.subjects import MAJOR

W = TypeVar("W", bound=Wire)


class Status(StrEnum):
    """How a task ended. A value that a reader does not know is ``other`` to it; no task ends so."""

    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    OTHER = "other"


class Provenance(Wire):
    """Where an answer comes from and what it took.

    Attributes:
        model_id: Which model answered.
        sha256: Of the model's file; absent for a model that is not a file here.
        tier: Which of the agent's models that is: ``embedded``, or a larger one, as ``small`` or ``medium``; absent where no model of
            the agent's answered.
        prompt_version: Hash of what turns a text into an answer besides the weights.
        confidence: Calibrated, 0 to 1; absent where the method has none.
        language: ISO 639-1, or ``und`` where it was not detected.
        answered_by: The agent or service that answered.
        windows: How many windows of the text the model read.
        waited_ms: Milliseconds between the broker's arrival time and the start of work.
        worked_ms: Milliseconds of work.
    """

    model_id: str
    sha256: str | None = None
    tier: str | None = None
    prompt_version: str
    confidence: float | None = None
    language: str = "und"
    answered_by: str
    windows: int = 1
    waited_ms: float
    worked_ms: float


class Answer(Wire):
    """One answer: its value or its error.

    Attributes:
        value: The agent's result, by the schema that it publishes.
        error: Why there is no value.
        marked: Whether this answer marks the request complex: verdict complex,
            or a confidence under the agent's calibrated threshold.
        provenance: Absent where nothing answered.
    """

    value: dict[str, JsonValue] | None = None
    error: ErrorInfo | None = None
    marked: bool = False
    provenance: Provenance | None = None

    def value_as(self, result: type[W]) -> W:
        """Return the value as an agent's result.

        Raises:
            ContractError: ``invalid_request``: there is no such value. Look at ``error`` first.
        """
        return decode(result, json.dumps(self.value).encode())


class StepResult(Wire):
    """The stored outcome of one step; whose it is stands in its subject.

    Attributes:
        digest: Of the submitted body; a result with another digest is never used.
        answer: What the step gave.
    """

    digest: str
    answer: Answer


class TaskResult(Wire):
    """The one terminal result of a task.

    Attributes:
        task_id: The client's id.
        tenant: Whose task it was.
        data_class: Its class.
        status: How it ended.
        answers: Keyed by what was wanted.
        error: Why the task as a whole failed, where it did.
        metadata: As submitted.
        replay_of: The id of the task that this one repeats, where it is a replay.
        digest: Of the submitted body.
        took_ms: Milliseconds from the broker's arrival time to this result.
        version: Contract version.
    """

    task_id: str
    tenant: str
    data_class: DataClass = Field(strict=False)
    status: Annotated[Status, Field(strict=False), unknown_as(Status.OTHER)]
    answers: dict[str, Answer] = Field(default_factory=dict)
    error: ErrorInfo | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    replay_of: str | None = None
    digest: str
    took_ms: float
    version: str = f"{MAJOR}.0"
