"""The closed list of errors, and the exception that carries one."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from smallmesh_contracts._base import Wire, unknown_as


class ErrorCode(StrEnum):
    """Why something was not answered. A value that a reader does not know is ``internal`` to it."""

    INVALID_REQUEST = "invalid_request"
    ID_CONFLICT = "id_conflict"
    TOO_LONG = "too_long"
    UNSUPPORTED_VERSION = "unsupported_version"
    UNSUPPORTED_LANGUAGE = "unsupported_language"
    UNKNOWN_ANSWER = "unknown_answer"
    UNAUTHORIZED = "unauthorized"
    OVERLOADED = "overloaded"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    MODEL_FAILED = "model_failed"
    INVALID_OUTPUT = "invalid_output"
    NOT_MARKED = "not_marked"
    CLASS_FORBIDDEN = "class_forbidden"
    BUDGET_EXHAUSTED = "budget_exhausted"
    UNAVAILABLE = "unavailable"
    FRONTIER_REFUSED = "frontier_refused"
    FRONTIER_FAILED = "frontier_failed"
    INTERNAL = "internal"


RETRYABLE = frozenset({ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL, ErrorCode.FRONTIER_FAILED})
"""Codes for which the same request may succeed later."""


class ErrorInfo(Wire):
    """One error, for a program and for a person.

    Attributes:
        code: Which of the closed list.
        message: What is wrong and what to do, without the text of the task.
        retryable: Whether the same request may succeed later.
        retry_after_s: When to try again, in seconds, where that is known.
        step: The agent whose step failed, where one did.
    """

    code: Annotated[ErrorCode, Field(strict=False), unknown_as(ErrorCode.INTERNAL)]
    message: str
    retryable: bool = False
    retry_after_s: float | None = None
    step: str | None = None


class ContractError(ValueError):
    """Something on the wire breaks the contract, or could not be done."""

    def __init__(self, code: ErrorCode, message: str, *, retry_after_s: float | None = None, step: str | None = None) -> None:
        """Make an error of the closed list; whether it is retryable follows from its code."""
        super().__init__(message)
        self.info = ErrorInfo(code=code, message=message, retryable=code in RETRYABLE, retry_after_s=retry_after_s, step=step)
