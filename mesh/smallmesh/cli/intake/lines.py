"""Documents into submissions, or into an error that names the line."""

import asyncio
import contextlib
import uuid
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Thread
from typing import TypeVar

from pydantic import ConfigDict, Field, JsonValue, ValidationError

from smallmesh.cli.intake.records import Record
from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, ErrorInfo, Lane, Task, decode, decode_task
from smallmesh_contracts.decode import explain

T = TypeVar("T")
_AHEAD = 64
"""Records that are read before they are wanted."""


class Line(Task):
    """One line of input: a task, and what of its address the line itself says."""

    model_config = ConfigDict(extra="allow")

    id: str | None = None
    data_class: DataClass | None = Field(default=None, strict=False)
    lane: Lane | None = Field(default=None, strict=False)

    def body(self) -> bytes:
        """Return the task as it is submitted: what the line gives, and nothing that it does not."""
        return self.model_dump_json(include=set(Task.model_fields), exclude_unset=True).encode()


@dataclass(frozen=True, slots=True)
class Submission:
    """One task, ready to be published."""

    line: int
    address: Address
    lane: Lane
    body: bytes
    file: str = ""


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line that is not a task."""

    line: int
    error: ErrorInfo
    file: str = ""


@dataclass
class LineReader:
    """Reads records with defaults for what they leave out.

    Attributes:
        tenant: Whose tasks they are.
        data_class: Of records that name none.
        lane: Of records that name none.
        defaults: Fields of a task, for records that have them not.
        ignored: Names of fields that some line had and no task has.
    """

    tenant: str
    data_class: DataClass
    lane: Lane
    defaults: Mapping[str, object] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)
    _seen: dict[Address, str] = field(default_factory=dict)

    def read(self, number: int, raw: bytes) -> Submission | BadLine | None:
        """Read one line of JSON; None for an empty one."""
        return self.take(Record(number, raw)) if raw.strip() else None

    def take(self, record: Record) -> Submission | BadLine:
        """Read one record."""
        if isinstance(record.content, ErrorInfo):
            return BadLine(record.line, record.content, record.file)
        try:
            return self._submission(record, _line_of(record.content))
        except ContractError as error:
            return BadLine(record.line, error.info, record.file)

    def _submission(self, record: Record, line: Line) -> Submission:
        self.ignored |= (line.model_extra or {}).keys()
        address = Address(self.tenant, line.data_class or self.data_class, line.id or str(uuid.uuid4()))
        lane = line.lane or self.lane
        body = self._with_defaults(line).body()
        decode_task(body, address, lane)
        if line.id:
            self._claim(address, f"{record.file} line {record.line}".strip())
        return Submission(record.line, address, lane, body, record.file)

    def _with_defaults(self, line: Line) -> Line:
        left_out = {name: value for name, value in self.defaults.items() if name not in line.model_fields_set}
        return line.model_copy(update=left_out) if left_out else line

    def _claim(self, address: Address, place: str) -> None:
        first = self._seen.setdefault(address, place)
        if first != place:
            raise ContractError(ErrorCode.ID_CONFLICT, f"the id is {first}'s already, in the same class")


def _line_of(content: bytes | Mapping[str, JsonValue]) -> Line:
    if isinstance(content, bytes):
        return decode(Line, content.removeprefix(BOM_UTF8))
    try:
        return Line.model_validate(content)
    except ValidationError as error:
        raise ContractError(ErrorCode.INVALID_REQUEST, explain(error)) from None


async def stream(records: Iterable[T]) -> AsyncIterator[T]:
    """Yield records as they come. A thread reads, which nobody waits for when the program ends.

    Raises:
        Exception: What reading raised, after all that was read before it.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Queue[T | None] = asyncio.Queue(_AHEAD)
    failed: list[Exception] = []

    def put(record: T | None) -> None:
        asyncio.run_coroutine_threadsafe(ready.put(record), loop).result()

    def read() -> None:
        try:
            for record in records:
                put(record)
        except Exception as error:  # noqa: BLE001 - raised where somebody can hear it
            failed.append(error)
        with contextlib.suppress(Exception):  # the loop has ended, and nobody wants more
            put(None)

    Thread(target=read, name="records", daemon=True).start()
    while (record := await ready.get()) is not None:
        yield record
    for error in failed:
        raise error
