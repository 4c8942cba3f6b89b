"""Finding facts out: over the bus, which may refuse any question, and on this machine."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smallmesh.bus import STREAMS, Bus, Consumer, Stream
from smallmesh.bus.keeping import Keeping
from smallmesh.bus.layout import DEAD
from smallmesh.bus.provision import consumer_config, stream_config
from smallmesh.bus.replicas import all_replicas
from smallmesh.doctor.facts import Broker, ConsumerFacts, Permissions, StreamFacts
from smallmesh_contracts import ContractError, ErrorCode

WITHIN_S = 2.0
"""A question that the broker refuses is never answered: this is how long a refusal takes to be believed."""
_SILENT = (ErrorCode.EXPIRED, ErrorCode.UNAVAILABLE, ErrorCode.UNAUTHORIZED)


@dataclass(frozen=True, slots=True)
class Connection:
    """What only the connection's own adapter knows.

    Attributes:
        bus: The connection.
        max_payload: Bytes the broker takes in one message.
        denied: Filled by the connection with what the broker refuses, in its own words.
    """

    bus: Bus
    max_payload: int = 0
    denied: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """How things should be, by the settings here.

    Attributes:
        consumers: Those that there should be.
        keeping: How streams should be kept.
        unsaid: What of a stream's configuration nobody has decided here, so that any value is right.
    """

    consumers: Iterable[Consumer] = ()
    keeping: Keeping = field(default_factory=Keeping)
    unsaid: Collection[str] = ()


async def ask_broker(connection: Connection, wanted: Wanted, wait_s: float = 0.5) -> Broker:
    """Ask a broker everything that checks want to know.

    Args:
        connection: To the broker.
        wanted: How it should be.
        wait_s: How long to wait for the first process to answer.
    """
    bus = connection.bus
    began = time.perf_counter()
    user = await _api(bus, "$SYS.REQ.USER.INFO")
    took_ms = (time.perf_counter() - began) * 1000
    account, streams, taking, letters, replicas = await asyncio.gather(
        _api(bus, "$JS.API.INFO"),
        asyncio.gather(*(_stream(bus, stream, connection.max_payload, wanted) for stream in STREAMS)),
        asyncio.gather(*(_consumer(bus, consumer) for consumer in wanted.consumers)),
        _dead_letters(bus),
        all_replicas(bus, wait_s),
    )
    return Broker(
        version=str(((user or {}).get("server") or {}).get("ver", "")),
        user=str(((user or {}).get("data") or {}).get("user", "")),
        round_trip_ms=took_ms if user else 0.0,
        max_payload=connection.max_payload,
        jetstream=None if account is None else "error" not in account,
        permissions=_permissions(user),
        streams=_all(streams),
        consumers=_all(taking),
        dead_letters=letters,
        replicas=replicas,
        denied=tuple(dict.fromkeys(connection.denied)),
    )


async def _api(bus: Bus, subject: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
    """Ask the broker itself; None where it does not say."""
    try:
        reply = await bus.request(subject, json.dumps(body).encode() if body else b"", timeout_s=WITHIN_S)
    except ContractError as error:
        if error.info.code not in _SILENT:
            raise
        return None
    told = json.loads(reply.body)
    return told if isinstance(told, dict) else None


async def _stream(bus: Bus, stream: Stream, max_payload: int, wanted: Wanted) -> StreamFacts | None:
    told = await _api(bus, f"$JS.API.STREAM.INFO.{stream.name}")
    if told is None:
        return None
    expected = stream_config(stream, max_payload, wanted.keeping).as_dict()
    decided = {name: value for name, value in expected.items() if name not in wanted.unsaid}
    return StreamFacts(stream.name, decided, told.get("config"), told.get("state") or {}, told.get("cluster") or {})


async def _consumer(bus: Bus, consumer: Consumer) -> ConsumerFacts | None:
    told = await _api(bus, f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    if told is None:
        return None
    counts = (int(told.get(name, 0)) for name in ("num_pending", "num_ack_pending", "num_waiting"))
    return ConsumerFacts(consumer.stream, consumer.name, consumer_config(consumer).as_dict(), told.get("config"), *counts)


async def _dead_letters(bus: Bus) -> Mapping[str, int] | None:
    told = await _api(bus, f"$JS.API.STREAM.INFO.{DEAD.name}", {"subjects_filter": ">"})
    if told is None:
        return None
    counts: Counter[str] = Counter()
    for subject, number in ((told.get("state") or {}).get("subjects") or {}).items():
        counts[" ".join(subject.split(".")[-2:])] += int(number)
    return counts


def _all(found: Sequence[Any | None]) -> tuple[Any, ...] | None:
    """Return all; None where one question was not answered, for then nothing can be said of the whole."""
    return None if any(one is None for one in found) else tuple(found)


def _permissions(user: Mapping[str, Any] | None) -> Permissions | None:
    """Return what the broker says of this connection. A user without any is told as nothing, and may do all."""
    if user is None or not isinstance(user.get("data"), dict):
        return None
    told = user["data"].get("permissions") or {}
    publish, subscribe = told.get("publish") or {}, told.get("subscribe") or {}
    return Permissions(
        _patterns(publish.get("allow")),
        _patterns(publish.get("deny")) or (),
        _patterns(subscribe.get("allow")),
        _patterns(subscribe.get("deny")) or (),
    )


def _patterns(told: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return patterns of subjects; a queue's name after one is left out."""
    return tuple(one.split(" ")[0] for one in told) if told else None
