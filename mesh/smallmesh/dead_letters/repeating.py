"""What a dead letter becomes when it is replayed: pure, from what it says of itself."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from smallmesh.dead_letters.reading import Letter
from smallmesh_contracts import (
    Address,
    ContractError,
    ErrorCode,
    EscalationStep,
    Lane,
    Step,
    StepInput,
    Task,
    TaskResult,
    decode,
    decode_task,
    digest_of,
    subjects,
)

LONGEST_ID = 64
_MARK = 12
"""Hex digits that stand for the end of an id which was cut: two ids that begin alike stay two."""


def replay_id(task_id: str, number: int) -> str:
    """Return ``<id>-r<n>``; where that is longer than an id may be, the id's end becomes its hash."""
    suffix = f"-r{number}"
    if len(task_id) + len(suffix) <= LONGEST_ID:
        return task_id + suffix
    mark = hashlib.sha256(task_id.encode()).hexdigest()[:_MARK]
    return f"{task_id[: LONGEST_ID - len(suffix) - _MARK - 1]}-{mark}{suffix}"


@dataclass(frozen=True, slots=True)
class Submission:
    """A dead submission: it is submitted again as it was.

    Attributes:
        address: Whose it was.
        lane: In which lane.
        task: Its body.
    """

    address: Address
    lane: Lane
    task: dict[str, Any]

    @property
    def wanted(self) -> tuple[str, ...]:
        """The answers that its task wants."""
        return decode(Task, _as_bytes(self.task)).wanted

    def body(self, address: Address) -> bytes:
        """Return the body of a replay under an address, where the body names the id under that one too."""
        named = {"id": address.task_id} if "id" in self.task else {}
        return _as_bytes({**self.task, **named, "replay_of": self.address.task_id})

    def is_in(self, submitted: bytes, address: Address) -> bool:
        """Tell whether a body that was submitted under an address is this replay."""
        return digest_of(submitted) == digest_of(self.body(address))

    def is_done_by(self, result: TaskResult, address: Address) -> bool:
        """Tell whether a task that ended under an address was this replay."""
        return result.digest == digest_of(self.body(address))

    def fingerprint(self) -> str:
        """Return what two letters have in common that are one: what the same replay answers."""
        return digest_of(_as_bytes(self.task))


@dataclass(frozen=True, slots=True)
class Steps:
    """Dead steps of one task: they become one task that wants their answers.

    Attributes:
        address: Whose they were.
        lane: In which lane.
        request: What agents may read.
        wanted: The answers, sorted, so that the order of letters changes nothing.
    """

    address: Address
    lane: Lane
    request: StepInput
    wanted: tuple[str, ...]

    def body(self, address: Address) -> bytes:  # noqa: ARG002 - one form for both kinds
        """Return the body of a replay."""
        return self._wanting(self.wanted)

    def is_in(self, submitted: bytes, address: Address) -> bool:  # noqa: ARG002 - one form for both kinds
        """Tell whether a body that was submitted is this replay, or one that gives its answers and more."""
        try:
            return self._is_covered(decode(Task, submitted).wanted, digest_of(submitted))
        except ContractError:
            return False

    def is_done_by(self, result: TaskResult, address: Address) -> bool:  # noqa: ARG002 - one form for both kinds
        """Tell whether a task that ended was this replay, or one that gave its answers and more."""
        return self._is_covered(result.answers or self.wanted, result.digest)

    def _is_covered(self, answers: Iterable[str], digest: str) -> bool:
        given = tuple(sorted(answers))
        return set(self.wanted) <= set(given) and digest_of(self._wanting(given)) == digest

    def fingerprint(self) -> str:
        """Return what steps of one task have in common."""
        return hashlib.sha256(self.request.to_bytes()).hexdigest()

    def wanting(self, answers: Iterable[str]) -> Self:
        """Return the same with other answers wanted."""
        return replace(self, wanted=tuple(sorted(set(answers))))

    def _wanting(self, answers: tuple[str, ...]) -> bytes:
        told = {"instruction": self.request.instruction} if self.request.instruction is not None else {}
        return _as_bytes({"text": self.request.text, "wanted": answers, **told, "replay_of": self.address.task_id})


Source = Submission | Steps


def agent_of(letter: Letter) -> str | None:
    """Return the agent whose step a letter was; None for any other letter."""
    kind, who = _kind_of(letter)
    return who if kind == "work" else None


def source_of(letter: Letter, payload: bytes, answer: str | None = None) -> Source:
    """Return what a replay of a letter repeats.

    Args:
        letter: The letter.
        payload: Its payload.
        answer: What :func:`agent_of` gives, for a step of an agent.

    Raises:
        ContractError: It cannot be replayed; the error says why.
    """
    if letter.address is None or letter.lane is None:
        raise ContractError(ErrorCode.INVALID_REQUEST, "it does not say which task it was part of")
    if not letter.address.is_valid():
        raise ContractError(ErrorCode.INVALID_REQUEST, "its tenant or its task's id is none that a task may have")
    kind, who = _kind_of(letter)
    match kind:
        case "submit":
            source: Source = Submission(letter.address, letter.lane, _task_in(letter.address, letter.lane, payload))
        case "work":
            source = Steps(letter.address, letter.lane, decode(Step, payload).request, (answer or "",))
        case "escalate":
            source = Steps(letter.address, letter.lane, decode(EscalationStep, payload).request, (who,))
        case _:
            raise ContractError(ErrorCode.INVALID_REQUEST, f"it was no submission and no step, but a {kind}")
    again = replace(letter.address, task_id=replay_id(letter.address.task_id, 1))
    decode_task(source.body(again), again, letter.lane)
    return source


def _kind_of(letter: Letter) -> tuple[str, str]:
    """Return what a letter was, and the agent of a work message or the answer of an escalation."""
    kind, *tokens = letter.subject.removeprefix(f"{subjects.ROOT}.").split(".")
    return kind, tokens[-1 if kind == "escalate" else 0] if tokens else ""


def _task_in(address: Address, lane: Lane, payload: bytes) -> dict[str, Any]:
    decode_task(payload, address, lane)
    try:
        told = json.loads(payload)
        _as_bytes(told)
    except (ValueError, RecursionError):
        raise ContractError(ErrorCode.INVALID_REQUEST, "it holds something that JSON has not, in a field that no task has") from None
    return dict(told)


def _as_bytes(told: dict[str, Any]) -> bytes:
    return json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
