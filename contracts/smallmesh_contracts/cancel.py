"""Cancelling a task: a request, because only one of a result and a cancellation may come first."""

from typing import Annotated

from pydantic import Field

from smallmesh_contracts._base import Wire, unknown_as
from smallmesh_contracts.answers import Status
from smallmesh_contracts.errors import ErrorInfo


class CancelRequest(Wire):
    """Which task to cancel; tenant and class stand in the subject.

    Attributes:
        task_id: The client's id.
    """

    task_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class CancelReply(Wire):
    """What became of a request to cancel.

    Attributes:
        task_id: The client's id, where the request said one.
        status: How the task has ended: ``cancelled``, now or before, or the status of a result that came first.
        error: Why nothing was cancelled, where the task has not ended: it is not in this mesh, or the broker is away.
    """

    task_id: str | None = None
    status: Annotated[Status, Field(strict=False), unknown_as(Status.OTHER)] | None = None
    error: ErrorInfo | None = None
