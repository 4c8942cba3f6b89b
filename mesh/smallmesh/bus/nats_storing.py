"""What the broker says to a message for a stream, and what follows from it."""

import json
from collections.abc import Mapping

import nats.errors
import stamina
from nats.js import api
from nats.js.errors import APIError, NoStreamResponseError

from smallmesh.bus.layout import stream_of
from smallmesh.bus.nats_requests import PublishDeniedError, Requests
from smallmesh_contracts import ContractError, ErrorCode

ALREADY_THERE = 10071
BEING_STORED = 10164
"""What a cluster says while it stores another message under the subject: soon it is there, or it is not."""
FULL_OR_REFUSED = 10077
TOO_LARGE = 10054
PUBLISH_RETRY_S = 15.0
"""Three brokers that lose their leader stall for up to eight seconds; a publisher outlasts that."""
REPLY_S = 5.0
FULL_RETRY_S = 5.0
"""When to try again where a stream is full, in seconds: what fills it is not worked off sooner."""
_FIRST_ONLY = {api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}


async def store(requests: Requests, subject: str, body: bytes, headers: Mapping[str, str], ttl_s: float | None) -> bool | None:
    """Store the first message of a subject.

    Returns:
        Whether it was this one; None where the broker's word may mean that another is there, or that the stream is full.

    Raises:
        ContractError: ``too_long``, ``unauthorized`` or ``unavailable``.
    """
    expiring = {api.Header.MSG_TTL.value: str(max(1, int(ttl_s)))} if ttl_s is not None else {}
    try:
        await _publish(requests, subject, body, {**headers, **_FIRST_ONLY, **expiring})
    except APIError as error:
        if error.err_code == ALREADY_THERE:
            return False
        if error.err_code == FULL_OR_REFUSED:
            return None
        if error.err_code == TOO_LARGE:
            raise ContractError(ErrorCode.TOO_LONG, f"{len(body)} bytes are more than {stream_of(subject).name} takes") from error
        raise refused(subject, error) from error
    return True


async def append(requests: Requests, subject: str, body: bytes, headers: Mapping[str, str], message_id: str) -> None:
    """Add to a log; the same id twice is one entry.

    Raises:
        ContractError: ``overloaded`` where the log is full, ``too_long``, ``unauthorized`` or ``unavailable``.
    """
    try:
        await _publish(requests, subject, body, {**headers, api.Header.MSG_ID.value: message_id})
    except APIError as error:
        if error.err_code == FULL_OR_REFUSED:
            raise full(subject) from error
        raise refused(subject, error) from error


def full(subject: str) -> ContractError:
    """Return what a publisher is told whose stream takes no more."""
    return ContractError(ErrorCode.OVERLOADED, f"{stream_of(subject).name} is full", retry_after_s=FULL_RETRY_S)


def refused(subject: str, error: Exception) -> ContractError:
    """Return what a publisher is told whom the broker refused for a reason that has no code of its own."""
    return ContractError(ErrorCode.UNAVAILABLE, f"the broker refused {subject}: {error}")


def _passes(error: Exception) -> bool:
    """Whether it is what a stream without a leader looks like, or one that is storing the same subject just now."""
    return isinstance(error, NoStreamResponseError | nats.errors.TimeoutError) or getattr(error, "err_code", None) == BEING_STORED


async def _publish(requests: Requests, subject: str, body: bytes, headers: dict[str, str]) -> None:
    try:
        try:
            await _once(requests, subject, body, headers)
        except nats.errors.Error as error:
            if not _passes(error):
                raise
            async for attempt in stamina.retry_context(on=_passes, timeout=PUBLISH_RETRY_S, attempts=None, wait_initial=0.1, wait_max=1.0):
                with attempt:
                    await _once(requests, subject, body, headers)
    except NoStreamResponseError as error:
        hint = "is the broker provisioned (smallmesh provision, which `up` does by itself)?"
        raise ContractError(ErrorCode.UNAVAILABLE, f"no stream takes {subject}; {hint}") from error
    except nats.errors.MaxPayloadError as error:
        raise ContractError(ErrorCode.TOO_LONG, f"{len(body)} bytes are more than the broker takes in one message") from error
    except PublishDeniedError as error:
        raise ContractError(ErrorCode.UNAUTHORIZED, f"{error}: ask whoever runs the broker for the right") from error
    except APIError:
        raise
    except (nats.errors.Error, TimeoutError) as error:
        raise ContractError(ErrorCode.UNAVAILABLE, f"the broker does not answer: {error!r}") from error


async def _once(requests: Requests, subject: str, body: bytes, headers: dict[str, str]) -> None:
    try:
        told = (await requests.send(subject, body, headers, REPLY_S)).data
    except nats.errors.NoRespondersError:
        raise NoStreamResponseError from None
    if b'"error"' in told:
        raise APIError.from_error(json.loads(told)["error"])
