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


async def entry(client: Client, stream: str, sequence: int) -> Entry | None:
    """Return one message of a stream by its number."""
    found, _ = await _direct(client, stream, {"seq": sequence, "batch": 1})
    return next((e for e in map(_entry, found) if e.sequence == sequence), None)


async def remove(client: Client, stream: str, sequence: int) -> bool:
    """Delete one message of a stream."""
    told = await manage(client, f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
    return bool(told.get("success"))


async def manage(client: Client, what: str, request: dict[str, Any]) -> dict[str, Any]:
    """Ask JetStream's own interface; its refusals are part of what it tells.

    Raises:
        ContractError: ``unavailable`` where it does not answer.
    """
    try:
        reply = await client.request(f"$JS.API.{what}", json.dumps(request).encode(), timeout=REPLY_S)
    except (nats.errors.Error, TimeoutError) as error:
        raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not answer {what}: {error!r}") from error
    told: dict[str, Any] = json.loads(reply.data)
    return told


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
                told = msg.headers or {}
                status = told.get("Status")
                if status in (_END, _NOTHING):
                    return found, int(told.get("Nats-Num-Pending", 0))
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
