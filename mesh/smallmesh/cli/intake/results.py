"""Results and errors as they are written: one JSON object a line."""

import json
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from smallmesh.cli.intake.lines import BadLine, Submission
from smallmesh.cli.intake.outcomes import Outcome
from smallmesh_contracts import ContractError, ErrorCode, ErrorInfo, Status, TaskResult, decode

_WORKED = (Status.COMPLETED, Status.PARTIAL)
"""A task with another status was not done, though some of its answers may be there."""
_CODES = {Status.EXPIRED: ErrorCode.EXPIRED, Status.CANCELLED: ErrorCode.CANCELLED}


class Results:
    """Writes results, and errors where there is a file for them.

    What cannot be written is raised as a ``ContractError``; a pipe that nobody reads any more as ``BrokenPipeError``.
    """

    def __init__(self, out: BinaryIO, errors: BinaryIO | None = None) -> None:
        """Write to open files."""
        self._out = out
        self._errors = errors

    def result(self, outcome: Outcome) -> None:
        """Write a result: of a task that was not done, with the errors, if there is a file for them."""
        if self._errors is None or outcome.status in _WORKED:
            _try(self._out.write, _result_line(outcome))
        else:
            self.error({**error_of(outcome.submission, _why(outcome)), "result": json.loads(outcome.body)})

    def error(self, told: Mapping[str, Any]) -> bool:
        """Write an error; False where there is no file for it."""
        if self._errors is None:
            return False
        _try(self._errors.write, _json_line(told))
        return True

    def known(self, submission: Submission) -> None:
        """Write under which id a document would be submitted."""
        address = submission.address
        told = {"id": address.task_id, "data_class": address.data_class.value, "lane": submission.lane.value}
        _try(self._out.write, _json_line({**_place(submission), **told}))

    def flush(self) -> None:
        """Hand everything over to the operating system."""
        _try(self._out.flush)
        if self._errors is not None:
            _try(self._errors.flush)


def _try(write: Callable[..., object], *line: bytes) -> None:
    try:
        write(*line)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ContractError(ErrorCode.INTERNAL, f"results cannot be written: {error.strerror}") from error


def error_of(where: Submission | BadLine, error: ErrorInfo) -> dict[str, Any]:
    """Return what is told of an error: where, whose and what. The class is told of a task only, not of a line that is none."""
    if isinstance(where, Submission):
        whose: dict[str, str | None] = {"id": where.address.task_id, "data_class": where.address.data_class.value}
    else:
        whose = {"id": where.task_id}
    return {**_place(where), **whose, "error": error.model_dump(mode="json", exclude_none=True)}


def _place(where: Submission | BadLine) -> dict[str, Any]:
    return {"file": where.file, "line": where.line} if where.file else {"line": where.line}


def _why(outcome: Outcome) -> ErrorInfo:
    """Return why a task was not done: its own error, else the first of its answers'."""
    status = outcome.status or Status.OTHER
    try:
        result = decode(TaskResult, outcome.body)
    except ContractError as error:
        return error.info
    errors = (result.error, *(answer.error for _, answer in sorted(result.answers.items())))
    unsaid = ErrorInfo(code=_CODES.get(status, ErrorCode.INTERNAL), message=f"the task is {status.value}")
    return next((error for error in errors if error is not None), unsaid)


def _result_line(outcome: Outcome) -> bytes:
    """Return a result as the mesh keeps it, with where its document stands before it."""
    sent, body = outcome.submission, outcome.body
    if not body.startswith(b'{"') or b"\n" in body:  # it is JSON, in a form that our own orchestrator does not write
        body = json.dumps(json.loads(body), ensure_ascii=False).encode()
    file = f'"file":{json.dumps(sent.file)},' if sent.file else ""
    return b'{%b"line":%d,%b\n' % (file.encode(), sent.line, body[1:])


def _json_line(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
