"""What streams keep, looked through from outside any consumer."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from smallmesh.bus.layout import stream_of
from smallmesh.bus.nats_requests import PublishDeniedError, Requests
from smallmesh.bus.port import Entry, Message
from smallmesh_contracts import ContractError, ErrorCode

REPLY_S = 5.0
BATCH = 256
BATCH_BYTES = 4 * 1024**2
"""A batch of long texts would be more than this process wants to hold, and than the broker sends in one go."""
_END, _NOTHING, _NOBODY = "204", "404", "503"


async def entries(client: Client, subject: str, after: int) -> AsyncIterator[Entry]:
    """Give what a stream keeps under a subject, a batch a request."""
    stream = stream_of(subject).name
    while True:
        request = {"seq": after + 1, "next_by_subj": subject, "batch": BATCH, "max_bytes": BATCH_BYTES}
        batch, left = await _direct(client, stream, request)
        for msg in batch:
            found = _entry(msg)
            after = found.sequence
            yield found
        if not batch or not left:
            return


async def last(requests: Requests, subject: str) -> Message | None:
    """Return what is stored under exactly this subject."""
    found = await _asked(requests, f"DIRECT.GET.{stream_of(subject).name}.{subject}", None)
    if _is_absent(found):
        return None
    headers = found.headers or {}
    stored_at = datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp()
    return Message(subject, found.data, headers, int(headers["Nats-Sequence"]), stored_at)


async def entry(requests: Requests, stream: str, sequence: int) -> Entry | None:
    """Return one message of a stream by its number."""
    found = await _asked(requests, f"DIRECT.GET.{stream}", {"seq": sequence})
    return None if _is_absent(found) else _entry(found)


async def remove(requests: Requests, stream: str, sequence: int) -> bool:
    """Delete one message of a stream."""
    told = await manage(requests, f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
    return bool(told.get("success"))


async def manage(requests: Requests, what: str, request: dict[str, Any]) -> dict[str, Any]:
    """Ask JetStream's own interface; its refusals are part of what it tells.

    Raises:
        ContractError: ``unavailable`` where it does not answer, ``unauthorized`` where it may not be asked.
    """
    told: dict[str, Any] = json.loads((await _asked(requests, what, request)).data)
    return told


async def _asked(requests: Requests, what: str, request: dict[str, Any] | None) -> Msg:
    body = b"" if request is None else json.dumps(request).encode()
    try:
        return await requests.send(f"$JS.API.{what}", body, None, REPLY_S)
    except PublishDeniedError as error:
        raise ContractError(ErrorCode.UNAUTHORIZED, f"{error}: ask whoever runs the broker for the right") from error
    except nats.errors.NoRespondersError as error:
        hint = "is the broker provisioned (smallmesh provision, which `up` does by itself)?"
        raise ContractError(ErrorCode.UNAVAILABLE, f"nobody answers {what}; {hint}") from error
    except nats.errors.Error as error:
        raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not answer {what}: {error!r}") from error


def _is_absent(found: Msg) -> bool:
    """Tell whether a direct get found nothing.

    Raises:
        ContractError: ``unavailable``: it found something to complain of.
    """
    status = _status(found)
    if status not in (None, _NOTHING):
        raise ContractError(ErrorCode.UNAVAILABLE, f"cannot be read just now: {status} {found.headers}")
    return status is not None


def _status(msg: Msg) -> str | None:
    """Return the broker's word; None for a kept message, which may have such a header of its own."""
    headers = msg.headers or {}
    return headers.get("Status") if "Nats-Sequence" not in headers else None


async def _direct(client: Client, stream: str, request: dict[str, Any]) -> tuple[list[Msg], int]:
    """Return the messages of one direct get of several, whose end is a message of its own, and how many more there are."""
    came: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = client.new_inbox()
    found: list[Msg] = []
    try:
        subscription = await client.subscribe(inbox, cb=came.put)
        try:
            await client.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox)
            while True:
                async with asyncio.timeout(REPLY_S):
                    msg = await came.get()
                status = _status(msg)
                if status in (_END, _NOTHING):
                    return found, int((msg.headers or {}).get("Nats-Num-Pending", 0))
                if status == _NOBODY:
                    hint = "is the broker provisioned (smallmesh provision, which `up` does by itself)?"
                    raise ContractError(ErrorCode.UNAVAILABLE, f"nobody gives out what {stream} keeps; {hint}")
                if status is not None:
                    raise ContractError(ErrorCode.UNAVAILABLE, f"{stream} cannot be read just now: {status} {msg.headers}")
                found.append(msg)
        finally:
            await subscription.unsubscribe()
    except (nats.errors.Error, TimeoutError) as error:
        raise ContractError(ErrorCode.UNAVAILABLE, f"cannot read {stream}: {error!r}") from error


def _entry(msg: Msg) -> Entry:
    headers = dict(msg.headers or {})
    subject = headers.pop("Nats-Subject")
    stored_at = datetime.fromisoformat(headers.pop("Nats-Time-Stamp")).timestamp()
    sequence = int(headers.pop("Nats-Sequence"))
    for added in ("Nats-Stream", "Nats-Num-Pending", "Nats-Last-Sequence", "Nats-UpTo-Sequence"):
        headers.pop(added, None)
    return Entry(sequence, stored_at, Message(subject, msg.data, headers))
