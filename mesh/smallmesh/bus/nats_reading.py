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
_END, _NOTHING = "204", "404"


async def entries(client: Client, subject: str, after: int) -> AsyncIterator[Entry]:
    """Give what a stream keeps under a subject, a batch a request."""
    stream = stream_of(subject).name
    while True:
        batch = await _direct(client, stream, {"seq": after + 1, "next_by_subj": subject, "batch": BATCH})
        for msg in batch:
            found = _entry(msg)
            after = found.sequence
            yield found
        if len(batch) < BATCH:
            return


async def entry(client: Client, stream: str, sequence: int) -> Entry | None:
    """Return one message of a stream by its number."""
    found = await _direct(client, stream, {"seq": sequence, "batch": 1})
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


async def _direct(client: Client, stream: str, request: dict[str, Any]) -> list[Msg]:
    """Return the messages of one direct get of several, whose end is a message of its own."""
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
                status = (msg.headers or {}).get("Status")
                if status in (_END, _NOTHING):
                    return found
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
