"""Lines of JSON into submissions, or into an error that names the line."""

import asyncio
import uuid
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from threading import Thread
from typing import BinaryIO

from pydantic import ConfigDict, Field

from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, ErrorInfo, Lane, Task, decode, decode_task

_AHEAD = 64
"""Lines that are read before they are wanted."""


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


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line that is not a task."""

    line: int
    error: ErrorInfo


@dataclass
class LineReader:
    """Reads lines with defaults for what they leave out.

    Attributes:
        tenant: Whose tasks they are.
        data_class: Of lines that name none.
        lane: Of lines that name none.
        ignored: Names of fields that some line had and no task has.
    """

    tenant: str
    data_class: DataClass
    lane: Lane
    ignored: set[str] = field(default_factory=set)
    _seen: dict[Address, int] = field(default_factory=dict)

    def read(self, number: int, raw: bytes) -> Submission | BadLine | None:
        """Read one line; None for an empty one."""
        if not raw.strip():
            return None
        try:
            return self._submission(number, raw)
        except ContractError as error:
            return BadLine(number, error.info)

    def _submission(self, number: int, raw: bytes) -> Submission:
        line = decode(Line, raw.removeprefix(BOM_UTF8))
        self.ignored |= (line.model_extra or {}).keys()
        address = Address(self.tenant, line.data_class or self.data_class, line.id or str(uuid.uuid4()))
        lane = line.lane or self.lane
        body = line.body()
        decode_task(body, address, lane)
        first = self._seen.setdefault(address, number)
        if first != number:
            raise ContractError(ErrorCode.ID_CONFLICT, f"the id is line {first}'s already, in the same class")
        return Submission(number, address, lane, body)


async def stream_lines(file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield lines as they come. A thread reads, which nobody waits for when the program ends."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)

    def put(line: bytes | None) -> None:
        asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()

    def read() -> None:
        try:
            for line in file:
                put(line)
            put(None)
        except Exception:  # noqa: BLE001, S110 - the loop has ended, and nobody wants more lines
            pass

    Thread(target=read, name="lines", daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line


def count_lines(file: Iterator[bytes]) -> int:
    """Return how many lines have something in them."""
    return sum(1 for line in file if line.strip())
