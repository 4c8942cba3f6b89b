"""Streams and consumers as the broker keeps them: created or updated once, by whoever starts the mesh."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal, ParamSpec, TypeVar

import nats.errors
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from smallmesh.bus.heads import HEADS
from smallmesh.bus.keeping import Keeping, differences, in_units
from smallmesh.bus.layout import STREAMS, Consumer, Stream
from smallmesh_contracts import ContractError, ErrorCode

P = ParamSpec("P")
T = TypeVar("T")
LEAST_DUPLICATE_WINDOW_S = 0.1
"""The window of ``Nats-Msg-Id`` is one for a whole stream, so one tenant's id could
swallow another's: where subjects are unique it is set to the least there is."""
LOG_DUPLICATE_WINDOW_S = 24 * 3600.0
"""A message may be given up twice for as long as its task's budget lasts, a day unless a task asks for more;
an id that is remembered costs the broker about 180 bytes."""
DEAD_LETTER_ROOM = 16 * 1024
"""A queue takes only what fits into a dead letter too, which adds its reason in headers."""
PATIENCE_S = 15.0
"""A cluster that has just started, or lost a broker, first elects who creates streams."""
GATHERING_S = 5.0
"""And so long it may take until its brokers have all found each other."""
_PAUSE_S = 0.2
ELECTING = 10008
NOT_IN_A_CLUSTER = 10074
TOO_FEW_BROKERS = 10005
HEAD_THERE_OR_FULL = frozenset({10071, 10077})
NO_ROOM = frozenset({10023, 10028, 10047})
"""The broker's, the account's, and one more of the broker's."""


Change = Literal["created", "updated", "as it was"]


class CannotKeepError(ContractError):
    """The broker cannot keep streams as the settings want them; the message says which setting, and to what."""


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What became of one stream.

    Attributes:
        name: Its name.
        change: What was done, or would be.
        max_bytes: The size at which it refuses more.
        max_age_s: How long it keeps a message; 0 is for ever.
        replicas: Brokers that keep it.
        messages: What it holds.
        held_bytes: How much that is.
    """

    name: str
    change: Change
    max_bytes: int
    max_age_s: float
    replicas: int
    messages: int = 0
    held_bytes: int = 0


async def provision(
    js: JetStreamContext, consumers: Iterable[Consumer], *, max_payload: int, keeping: Keeping | None = None, dry_run: bool = False
) -> tuple[Provisioned, ...]:
    """Create every stream and consumer, or bring it up to date. Safe to repeat and to run twice at once.

    Args:
        js: The broker's JetStream.
        consumers: Which consumers to make.
        max_payload: What the broker takes in one message, headers included, in bytes.
        keeping: On how many brokers, how much and how long; one broker and the layout's sizes unless given.
        dry_run: Change nothing, and tell what would be.

    Raises:
        CannotKeepError: There are not so many brokers, or there is not so much room.
        ContractError: ``unavailable`` where the broker does not answer or has no JetStream.
    """
    wanted = keeping or Keeping()
    try:
        done = [await _patiently(_provision_stream, js, stream_config(stream, max_payload, wanted), dry_run=dry_run) for stream in STREAMS]
        for head in () if dry_run else HEADS:
            await _patiently(_put_head, js, head)
        for consumer in () if dry_run else consumers:
            await _patiently(js.add_consumer, consumer.stream, consumer_config(consumer))
    except APIError as error:
        raise _refused(error, wanted) from error
    except (nats.errors.Error, TimeoutError) as error:
        raise _not_there(error) from error
    return tuple(done)


async def _provision_stream(js: JetStreamContext, config: api.StreamConfig, *, dry_run: bool) -> Provisioned:
    before = await _look(js, config)
    if before is None:
        return _told(config, "created", None if dry_run else await _create(js, config))
    if differences(config.as_dict(), before.config.as_dict()):
        return _told(config, "updated", before if dry_run else await js.update_stream(config))
    return _told(config, "as it was", before)


async def _look(js: JetStreamContext, config: api.StreamConfig) -> api.StreamInfo | None:
    try:
        return await js.stream_info(config.name or "")
    except NotFoundError:
        return None


async def _create(js: JetStreamContext, config: api.StreamConfig) -> api.StreamInfo:
    try:
        return await js.add_stream(config)
    except APIError:
        if await _look(js, config) is None:
            raise
        return await js.update_stream(config)  # another process was faster


async def _put_head(js: JetStreamContext, head: str) -> None:
    try:
        await js.publish(head, b"", headers={api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"})
    except APIError as error:
        if error.err_code not in HEAD_THERE_OR_FULL:
            raise


def _told(config: api.StreamConfig, change: Change, info: api.StreamInfo | None) -> Provisioned:
    heads = len(set(config.subjects or ()) & set(HEADS))
    held = (max(0, info.state.messages - heads), info.state.bytes) if info is not None else (0, 0)
    return Provisioned(config.name or "", change, config.max_bytes or -1, config.max_age or 0.0, config.num_replicas or 1, *held)


def _patience_s(error: Exception) -> float:
    """Return for how long to try again what failed so."""
    code = getattr(error, "err_code", None)
    if code == TOO_FEW_BROKERS:
        return GATHERING_S
    return PATIENCE_S if code == ELECTING or isinstance(error, nats.errors.TimeoutError | NoStreamResponseError) else 0.0


async def _patiently(call: Callable[P, Awaitable[T]], *given: P.args, **named: P.kwargs) -> T:
    began = time.monotonic()
    while True:
        try:
            return await call(*given, **named)
        except nats.errors.Error as error:
            if time.monotonic() - began >= _patience_s(error):
                raise
        await asyncio.sleep(_PAUSE_S)


def _refused(error: APIError, wanted: Keeping) -> ContractError:
    if error.err_code == NOT_IN_A_CLUSTER:
        hint = "this broker is not in a cluster; set SMALLMESH_STREAM_REPLICAS=1, or name the brokers of a cluster"
        return CannotKeepError(ErrorCode.INVALID_REQUEST, f"{wanted.replicas} replicas of a stream need as many brokers, and {hint}")
    if error.err_code == TOO_FEW_BROKERS:
        hint = f"on {wanted.replicas} brokers that are up, with JetStream and room for {in_units(wanted.store_bytes)} each"
        return CannotKeepError(ErrorCode.INVALID_REQUEST, f"the cluster cannot keep streams {hint}: {error.description}")
    if error.err_code in NO_ROOM:
        hint = "set SMALLMESH_STORE_SIZE to less, or give the broker a larger disk or max_file_store"
        size = in_units(wanted.store_bytes)
        return CannotKeepError(
            ErrorCode.INVALID_REQUEST, f"the broker has no room for streams of {size} in all: {hint} ({error.description})"
        )
    return _not_there(error)


def _not_there(error: Exception) -> ContractError:
    hint = "is JetStream enabled there (nats-server -js), and may this user manage streams?"
    return ContractError(ErrorCode.UNAVAILABLE, f"cannot provision the broker: {error!r}; {hint}")


def stream_config(stream: Stream, max_payload: int, keeping: Keeping) -> api.StreamConfig:
    """Return how the broker should keep a stream."""
    once = stream.kind != "log"
    max_age_s = keeping.age_of(stream)
    window_s = LEAST_DUPLICATE_WINDOW_S if once else LOG_DUPLICATE_WINDOW_S
    return api.StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=api.RetentionPolicy.WORK_QUEUE if stream.kind == "queue" else api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.NEW,
        discard_new_per_subject=once,
        max_msgs_per_subject=1 if once else -1,
        max_age=max_age_s,
        max_bytes=keeping.bytes_of(stream),
        max_msg_size=max_payload - DEAD_LETTER_ROOM if stream.kind == "queue" else -1,
        duplicate_window=min(window_s, max_age_s or window_s),
        storage=api.StorageType.FILE,
        num_replicas=keeping.replicas,
        allow_direct=True,
        allow_msg_ttl=stream.kind == "once",
        republish=api.RePublish(src=stream.announces[0], dest=stream.announces[1]) if stream.announces else None,
        deny_delete=stream.sealed_against_deletion,
        deny_purge=stream.sealed_against_deletion,
    )


def consumer_config(consumer: Consumer) -> api.ConsumerConfig:
    """Return how the broker should keep a consumer."""
    return api.ConsumerConfig(
        durable_name=consumer.name,
        filter_subject=consumer.subject,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=consumer.ack_wait_s,
        max_deliver=consumer.max_deliver,
        max_ack_pending=consumer.max_ack_pending,
        max_waiting=2048,
    )
