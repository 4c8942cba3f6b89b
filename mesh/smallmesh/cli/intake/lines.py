"""Documents into submissions, or into an error that names the line."""

import hashlib
import json
import uuid
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ConfigDict, Field, JsonValue, ValidationError

from smallmesh.cli.intake.choices import Ids
from smallmesh.cli.intake.records import Record
from smallmesh.cli.intake.seen import Place, Seen
from smallmesh_contracts import (
    Address,
    ContractError,
    DataClass,
    ErrorCode,
    ErrorInfo,
    Lane,
    Task,
    decode,
    decode_task,
    digest_of,
    is_subject_safe,
    limits,
)
from smallmesh_contracts.decode import explain

_FIELDS = set(Task.model_fields)
_SMALL = min(limits.INSTRUCTION_BYTES, limits.METADATA_BYTES) // 2
"""Bytes. A body that is smaller than this breaks no limit of size."""


class Line(Task):
    """One line of input: a task, and what of its address the line itself says."""

    model_config = ConfigDict(extra="allow")

    id: str | None = None
    data_class: DataClass | None = Field(default=None, strict=False)
    lane: Lane | None = Field(default=None, strict=False)

    def body(self) -> bytes:
        """Return the task as it is submitted: what the line gives, and nothing that it does not."""
        return self.model_dump_json(include=_FIELDS, exclude_unset=True).encode()


@dataclass(frozen=True, slots=True)
class Submission:
    """One task, ready to be published.

    Attributes:
        line: Where it stands in its file.
        address: Whose it is, and its id.
        lane: Where it goes.
        body: What is published; empty once the broker has it.
        digest: Of the body.
        file: Which file, where there are several.
    """

    line: int
    address: Address
    lane: Lane
    body: bytes
    digest: str
    file: str = ""

    def sent(self) -> "Submission":
        """Return what is still needed of it when the broker has it: not the text."""
        return Submission(self.line, self.address, self.lane, b"", self.digest, self.file)


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line that is not a task; ``task_id`` is what it says its id is, where that is one."""

    line: int
    error: ErrorInfo
    file: str = ""
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """One line that needs no work: its task stands above, or ended in an earlier run.

    Attributes:
        line: Where it stands in its file.
        file: Which file, where there are several.
        before: Whether it ended in an earlier run.
        failed: Whether it ended badly then.
    """

    line: int
    file: str = ""
    before: bool = False
    failed: bool = False


Read = Submission | BadLine | Skipped


@dataclass
class LineReader:
    """Reads records with defaults for what they leave out.

    Attributes:
        tenant: Whose tasks they are.
        data_class: Of records that name none.
        lane: Of records that name none.
        defaults: Fields of a task, for records that have them not.
        ids: Where the ids of records come from that have none.
        ended: What ended in an earlier run, and is not to be done again.
        ignored: Names of fields that some line had and no task has.
    """

    tenant: str
    data_class: DataClass
    lane: Lane
    defaults: Mapping[str, object] = field(default_factory=dict)
    ids: Ids = Ids.CONTENT
    ended: "Ended | None" = None
    ignored: set[str] = field(default_factory=set)
    _seen: Seen = field(default_factory=Seen)
    _files: list[str] = field(default_factory=list)

    def read(self, number: int, raw: bytes) -> Read | None:
        """Read one line of JSON; None for an empty one."""
        return self.take(Record(number, raw)) if raw.strip() else None

    def take(self, record: Record) -> Read:
        """Read one record."""
        read = self._read(record)
        if self.ended is not None and not isinstance(read, Skipped):
            return self.ended.without(read)
        return read

    def _read(self, record: Record) -> Read:
        if isinstance(record.content, ErrorInfo):
            return BadLine(record.line, record.content, record.file)
        try:
            line = _line_of(record.content)
        except ContractError as error:
            return BadLine(record.line, error.info, record.file)
        self.ignored |= (line.model_extra or {}).keys()
        try:
            return self._submission(record, self._with_defaults(line))
        except ContractError as error:
            said = line.id if line.id and is_subject_safe(line.id) else None
            return BadLine(record.line, error.info, record.file, said)

    def _with_defaults(self, line: Line) -> Line:
        left_out = {name: value for name, value in self.defaults.items() if name not in line.model_fields_set}
        return line.model_copy(update=left_out) if left_out else line

    def _submission(self, record: Record, line: Line) -> Submission | Skipped:
        data_class, lane = line.data_class or self.data_class, line.lane or self.lane
        body = line.body()
        _check_numbers(line, body)
        digest = digest_of(body)
        address = Address(self.tenant, data_class, line.id or self._new_id(data_class, digest))
        if len(body) >= _SMALL or "version" in line.model_fields_set or not address.is_valid():
            decode_task(body, address, lane)  # which says what is wrong, if anything is
        submission = Submission(record.line, address, lane, body, digest, record.file)
        return self._repeated(submission) or submission

    def _new_id(self, data_class: DataClass, digest: str) -> str:
        if self.ids is Ids.RANDOM:
            return str(uuid.uuid4())
        return hashlib.sha256(f"{self.tenant}.{data_class.value}.{digest}".encode()).hexdigest()[:32]

    def _repeated(self, submission: Submission) -> Skipped | None:
        if not self._files or self._files[-1] != submission.file:
            self._files.append(submission.file)
        place = Place(len(self._files) - 1, submission.line, int(submission.digest[:8], 16))
        first = self._seen.add(str(submission.address), place)
        if first is None:
            return None
        if first.digest == place.digest:
            return Skipped(submission.line, submission.file)
        where = f"{self._files[first.file]} line {first.line}".strip()
        raise ContractError(ErrorCode.ID_CONFLICT, f"the id is {where}'s already, in the same class, with something else in it")


class Ended:
    """What ended in an earlier run: tasks, and lines that are not tasks."""

    def __init__(self) -> None:
        """Nothing did yet."""
        self._seen = Seen()
        self.met = 0

    def __len__(self) -> int:
        return len(self._seen)

    def task(self, address: Address, digest: str = "", *, failed: bool = False) -> bool:
        """Take in that a task ended; tell whether that was new."""
        return self._seen.add(str(address), Place(int(failed), 0, int(digest[:8] or "0", 16))) is None

    def bad_line(self, file: str, line: int) -> bool:
        """Take in that a line was reported as bad; tell whether that was new."""
        return self._seen.add(_place_name(file, line), Place(1, 0)) is None

    def without(self, read: Submission | BadLine) -> Read:
        """Return what was read, or that nothing is left to do for it."""
        name = str(read.address) if isinstance(read, Submission) else _place_name(read.file, read.line)
        ended = self._seen.find(name)
        if ended is None:
            return read
        self.met += 1
        if isinstance(read, Submission) and ended.digest not in (0, int(read.digest[:8], 16)):
            error = ContractError(ErrorCode.ID_CONFLICT, "an earlier run got the result of something else under this id; choose another id")
            return self.without(BadLine(read.line, error.info, read.file, read.address.task_id))
        return Skipped(read.line, read.file, before=True, failed=bool(ended.file))


def _place_name(file: str, line: int) -> str:
    return f"line {line} {file}"


def _check_numbers(line: Line, body: bytes) -> None:
    """Refuse what JSON cannot hold: it would be submitted as null."""
    if line.metadata and b"null" in body:
        try:
            json.dumps(line.metadata, allow_nan=False)
        except ValueError:
            raise ContractError(ErrorCode.INVALID_REQUEST, "metadata holds NaN or an infinity, which JSON has not") from None


def _line_of(content: bytes | Mapping[str, JsonValue]) -> Line:
    if isinstance(content, bytes):
        return decode(Line, content.removeprefix(BOM_UTF8))
    try:
        return Line.model_validate(content)
    except ValidationError as error:
        raise ContractError(ErrorCode.INVALID_REQUEST, explain(error)) from None
