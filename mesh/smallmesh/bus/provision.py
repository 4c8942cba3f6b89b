"""Streams and consumers as the broker keeps them: created or updated once, by whoever starts the mesh."""

from collections.abc import Iterable

import nats.errors
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from smallmesh.bus.layout import STREAMS, Consumer, Stream
from smallmesh_contracts import ContractError, ErrorCode

LEAST_DUPLICATE_WINDOW_S = 0.1
"""The window of ``Nats-Msg-Id`` is one for a whole stream, so one tenant's id could
swallow another's: where subjects are unique it is set to the least there is."""
LOG_DUPLICATE_WINDOW_S = 120.0
DEAD_LETTER_ROOM = 16 * 1024
"""A queue takes only what fits into a dead letter too, which adds its reason in headers."""


async def provision(js: JetStreamContext, consumers: Iterable[Consumer], *, max_payload: int, replicas: int = 1) -> None:
    """Create every stream and consumer, or bring it up to date. Safe to repeat and to run twice at once.

    Args:
        js: The broker's JetStream.
        consumers: Which consumers to make.
        max_payload: What the broker takes in one message, headers included, in bytes.
        replicas: How many brokers keep each stream.

    Raises:
        ContractError: ``unavailable`` where the broker does not answer or has no JetStream.
    """
    try:
        for stream in STREAMS:
            await _ensure_stream(js, stream_config(stream, max_payload, replicas))
        for consumer in consumers:
            await js.add_consumer(consumer.stream, consumer_config(consumer))
    except (nats.errors.Error, TimeoutError) as error:
        hint = "is JetStream enabled there (nats-server -js), and may this user manage streams?"
        raise ContractError(ErrorCode.UNAVAILABLE, f"cannot provision the broker: {error!r}; {hint}") from error


async def _ensure_stream(js: JetStreamContext, config: api.StreamConfig) -> None:
    try:
        await js.update_stream(config)
    except NotFoundError:
        try:
            await js.add_stream(config)
        except APIError:  # another process was faster
            await js.update_stream(config)


def stream_config(stream: Stream, max_payload: int, replicas: int) -> api.StreamConfig:
    """Return how the broker should keep a stream."""
    once = stream.kind != "log"
    return api.StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=api.RetentionPolicy.WORK_QUEUE if stream.kind == "queue" else api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.NEW,
        discard_new_per_subject=once,
        max_msgs_per_subject=1 if once else -1,
        max_age=stream.max_age_s,
        max_bytes=stream.max_bytes,
        max_msg_size=max_payload - DEAD_LETTER_ROOM if stream.kind == "queue" else -1,
        duplicate_window=LEAST_DUPLICATE_WINDOW_S if once else LOG_DUPLICATE_WINDOW_S,
        storage=api.StorageType.FILE,
        num_replicas=replicas,
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
