"""A task as a backend submits it."""

import json
import re
from typing import Annotated

from pydantic import Field, JsonValue, ValidationError, field_validator

from smallmesh_contracts._base import Text, Wire
from smallmesh_contracts.address import Address, DataClass, Lane
from smallmesh_contracts.decode import decode
from smallmesh_contracts.errors import ContractError, ErrorCode
from smallmesh_contracts.limits import INSTRUCTION_BYTES, MAX_TIMEOUT_S, METADATA_BYTES, TEXT_BYTES, TIMEOUT_S
from smallmesh_contracts.parts import MOST_PARTS, too_many_parts
from smallmesh_contracts.subjects import MAJOR

DEFAULT_WANTED = ("sentiment", "entities", "summary", "complexity")
_MAJOR = re.compile(r"[0-9]{1,4}(?![^.])")
AnswerName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Task(Wire):
    """One document and what is wanted of it: the body of a submission.

    Id, tenant, data class and lane are not part of the body: they stand in the
    subject, where the broker can check them. A body that names them anyway must
    agree with its subject.

    Attributes:
        text: The document: at most 32 KiB in UTF-8, in the bulk lane 512 KiB.
        wanted: Names of the answers wanted; each agent gives one.
        instruction: What the analysis should do with the text, at most 8 KiB in UTF-8.
        timeout_s: Budget in seconds from the broker's arrival time; without it 30 s, in the bulk lane a day.
        metadata: Anything the client wants echoed in the result, up to 8 KiB of JSON.
        replay_of: The id of the task that this one repeats, where an operator replayed a dead letter.
        version: Contract version, ``major.minor``.
    """

    text: Text
    wanted: Annotated[tuple[AnswerName, ...], Field(min_length=1, max_length=64, strict=False)] = DEFAULT_WANTED
    instruction: str | None = None
    timeout_s: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)] | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    replay_of: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    version: Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4})?$")] = f"{MAJOR}.0"

    @field_validator("wanted")
    @classmethod
    def _each_once(cls, wanted: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(wanted))

    def budget_s(self, lane: Lane) -> float:
        """Return the seconds this task may take in a lane."""
        return TIMEOUT_S[lane] if self.timeout_s is None else self.timeout_s


class _Version(Wire):
    version: str = f"{MAJOR}.0"


class AddressInBody(Wire):
    """What a body says of its own address; none of it is needed."""

    id: str | None = None
    tenant: str | None = None
    data_class: DataClass | None = Field(default=None, strict=False)
    lane: Lane | None = Field(default=None, strict=False)


def decode_task(body: bytes, address: Address, lane: Lane, *, names_id: bool = True) -> Task:
    """Validate a submitted body against its own rules and against its subject.

    Args:
        body: The bytes.
        address: From the subject.
        lane: From the subject.
        names_id: Whether the subject holds the task's id; a run's does not, and an id in its body says nothing.

    Raises:
        ContractError: ``unsupported_version``, ``too_long`` or ``invalid_request``.
    """
    if too_many_parts(body):
        raise ContractError(ErrorCode.TOO_LONG, f"more than {MOST_PARTS} strings, or elements of lists and objects: no task has so many")
    _check_version(body)
    if not address.is_valid():
        raise ContractError(ErrorCode.INVALID_REQUEST, "tenant and task id must match [A-Za-z0-9_-]{1,64}")
    task = decode(Task, body)
    claims = decode(AddressInBody, body)
    _check_claims(claims if names_id else claims.model_copy(update={"id": None}), address, lane)
    check_size("text", task.text, TEXT_BYTES[lane])
    check_size("instruction", task.instruction or "", INSTRUCTION_BYTES)
    check_size("metadata", _as_json(task.metadata), METADATA_BYTES)
    return task


def check_size(field: str, value: str, limit: int) -> None:
    """Refuse a value of more than ``limit`` UTF-8 bytes as ``too_long``."""
    size = len(value.encode())
    if size > limit:
        raise ContractError(ErrorCode.TOO_LONG, f"{field} has {size} bytes, the limit here is {limit}")


def _as_json(metadata: dict[str, JsonValue]) -> str:
    try:
        return json.dumps(metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise ContractError(ErrorCode.INVALID_REQUEST, "metadata holds NaN or an infinity, which JSON has not") from None


def _check_version(body: bytes) -> None:
    try:
        version = _Version.model_validate_json(body).version
    except ValidationError:
        return  # not an object with a readable version: the task's own validation says what is wrong
    major = _MAJOR.match(version)  # a version of another form is private text, for all we know: it is not repeated
    if major and major[0] != str(MAJOR):
        raise ContractError(ErrorCode.UNSUPPORTED_VERSION, f"contract version {major[0]}.x, this mesh speaks {MAJOR}.x")


def _check_claims(claims: AddressInBody, address: Address, lane: Lane) -> None:
    subject = {"id": address.task_id, "tenant": address.tenant, "data_class": address.data_class, "lane": lane}
    for name, value in claims.model_dump(exclude_none=True).items():
        if value != subject[name]:
            raise ContractError(ErrorCode.INVALID_REQUEST, f"{name} in the body disagrees with the subject")
