"""Ids on their way in, and requests to cancel them."""

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from smallmesh.bus import Bus
from smallmesh.cli.intake.records import json_lines
from smallmesh_contracts import (
    Address,
    CancelReply,
    CancelRequest,
    ContractError,
    DataClass,
    ErrorCode,
    ErrorInfo,
    Status,
    decode,
    is_subject_safe,
    subjects,
)

IN_HAND: Final = 32
"""Requests that are on their way at once."""
ANSWER_S = 10.0
RETRY_S = 3.0
"""As long as an orchestrator takes to be replaced; cancelling twice is cancelling once."""
RETRY_AFTER_S: Final = 0.5
_SHOWN: Final = 64


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of a request to cancel.

    Attributes:
        task_id: Which task, or what was given for one.
        data_class: Its class.
        status: How it ended, if it did.
        error: Why it was not cancelled, where it has not ended.
    """

    task_id: str
    data_class: DataClass
    status: Status | None = None
    error: ErrorInfo | None = None

    @property
    def word(self) -> str:
        """What became of it, in a word that can be counted."""
        if self.status is None:
            return "unknown" if self.error is not None and self.error.code is ErrorCode.INVALID_REQUEST else "failed"
        return "cancelled" if self.status is Status.CANCELLED else f"{self.status.value} before"


class _Named(BaseModel):
    id: str = Field(validation_alias=AliasChoices("id", "task_id"))
    data_class: DataClass | None = Field(default=None, validation_alias=AliasChoices("data_class", "class"))


@dataclass(frozen=True, slots=True)
class Wish:
    """A task that somebody wants cancelled; its id may be none."""

    task_id: str
    data_class: DataClass


def wishes_in(file: BinaryIO, data_class: DataClass) -> Iterator[Wish]:
    """Yield what the lines of a file name: an id each, or an object that has one, as ``submit`` and ``watch`` print them."""
    for record in json_lines(file):
        if isinstance(record.content, bytes):
            yield _wish(record.content.decode("utf-8", "replace").strip(), data_class)
        else:
            yield Wish(f"line {record.line}", data_class)


def _wish(given: str, data_class: DataClass) -> Wish:
    if not given.startswith("{"):
        return Wish(given, data_class)
    try:
        named = _Named.model_validate_json(given)
    except ValidationError:
        return Wish(given[:_SHOWN], data_class)
    return Wish(named.id, named.data_class or data_class)


async def cancel_all(bus: Bus, tenant: str, wishes: AsyncIterable[Wish], came: Callable[[Cancelled], None]) -> None:
    """Ask for each, some at once; ``came`` is told what became of it, as soon as that is known.

    Raises:
        ContractError: ``unavailable`` where nobody answers.
    """
    free = asyncio.Semaphore(IN_HAND)

    async def one(wish: Wish) -> None:
        try:
            came(await cancel(bus, tenant, wish))
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as asking:
            async for wish in wishes:
                await free.acquire()
                asking.create_task(one(wish))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def cancel(bus: Bus, tenant: str, wish: Wish) -> Cancelled:
    """Ask for one, again for a while where nobody answers."""
    if not is_subject_safe(wish.task_id):
        refused = ContractError(ErrorCode.INVALID_REQUEST, "no such task: an id matches [A-Za-z0-9_-]{1,64}")
        return Cancelled(wish.task_id, wish.data_class, error=refused.info)
    give_up = time.monotonic() + RETRY_S
    while True:
        reply = await _asked(bus, Address(tenant, wish.data_class, wish.task_id))
        if reply.error is None or not reply.error.retryable or time.monotonic() > give_up:
            break
        await asyncio.sleep(reply.error.retry_after_s or RETRY_AFTER_S)
    if reply.error is not None and reply.error.code is ErrorCode.UNAVAILABLE:
        raise ContractError(ErrorCode.UNAVAILABLE, reply.error.message)
    return Cancelled(wish.task_id, wish.data_class, reply.status, reply.error)


async def _asked(bus: Bus, address: Address) -> CancelReply:
    subject = subjects.cancel(address.tenant, address.data_class)
    try:
        message = await bus.request(subject, CancelRequest(task_id=address.task_id).to_bytes(), timeout_s=ANSWER_S)
        return decode(CancelReply, message.body)
    except ContractError as error:
        return CancelReply(task_id=address.task_id, error=_said_again(error, address).info)


def _said_again(error: ContractError, address: Address) -> ContractError:
    """Say what to do where no answer comes."""
    match error.info.code:
        case ErrorCode.UNAVAILABLE:
            start = f"start one with `smallmesh up` or `smallmesh serve orchestrator --classes {address.data_class.value}`"
            return ContractError(ErrorCode.UNAVAILABLE, f"no orchestrator of {address.data_class.value} tasks answers ({error}); {start}")
        case ErrorCode.EXPIRED:
            hint = "it may have been cancelled all the same: ask again"
            return ContractError(ErrorCode.EXPIRED, f"no answer within {ANSWER_S:.0f} s; {hint}")
    return error
