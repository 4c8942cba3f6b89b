"""A client for Python backends: submit, result, cancel, ask, run.

It needs nats-py, as ``pip install 'smallmesh-contracts[client]'`` brings it.
"""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

try:
    import nats.errors
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("the client needs nats-py: pip install 'smallmesh-contracts[client]'", name="nats") from missing
from nats.aio.client import Client as Connection
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from smallmesh_contracts import subjects
from smallmesh_contracts.address import Address, DataClass, Lane
from smallmesh_contracts.agents import AgentRequest
from smallmesh_contracts.answers import Answer, TaskResult
from smallmesh_contracts.cancel import CancelReply, CancelRequest
from smallmesh_contracts.decode import decode
from smallmesh_contracts.delta import Delta
from smallmesh_contracts.digest import digest_of
from smallmesh_contracts.errors import ContractError, ErrorCode
from smallmesh_contracts.headers import size_of
from smallmesh_contracts.limits import TIMEOUT_S
from smallmesh_contracts.task import Task, decode_task

__all__ = ["Client", "Submission"]

ALREADY_THERE = 10071
BEING_STORED = 10164
"""Only brokers in a cluster say so: another message of this subject is on its way, and may yet fail."""
RETRY_S = 20.0
"""A cluster that loses a leader stalls for up to eight seconds; a submission outlasts that, and a first try that timed out."""
CONNECT_WITHIN_S = 5.0
RUN_GRACE_S = 2.0
"""A run answers ``expired`` by itself: the caller waits a little longer than the task may take."""
LOOK_S = 2.0
"""An announcement can be missed while the connection is away, so a waiting client also looks by itself."""
_SOON_S = 0.01
_FOR_NOW = 503
_RESULTS = "SLM_DONE"
_FIRST_ONLY = {api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}


@dataclass(frozen=True, slots=True)
class Submission:
    """A task that the broker has taken.

    Attributes:
        task_id: Under which it was submitted, and may be submitted again.
        digest: Of its body; a result with another one is about another text.
    """

    task_id: str
    digest: str


class Client:
    """A backend of one tenant that sends texts of one data class.

    Errors of a task are values: look at ``status`` and ``error`` of what comes
    back. What the bus itself cannot do is raised as :class:`ContractError`.
    """

    def __init__(self, connection: Connection, tenant: str, data_class: DataClass = DataClass.RESTRICTED) -> None:
        """Use a connection that somebody else opened and closes; see :meth:`connect`."""
        self._connection = connection
        self._js = connection.jetstream()
        self._tenant = tenant
        self._class = data_class

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, tenant: str, data_class: DataClass = DataClass.RESTRICTED, **options: Any) -> AsyncIterator[Self]:
        """Open a connection, and close it at the end. In between it comes back by itself.

        Args:
            url: Where the broker is, or several of a cluster with commas between them.
            tenant: Whose the tasks are.
            data_class: How far their texts may travel.
            options: More of what ``nats.connect`` takes, such as ``user_credentials`` or ``tls``.

        Raises:
            ContractError: ``unavailable``.
        """
        options = {"name": f"smallmesh-{tenant}", "max_reconnect_attempts": -1, "connect_timeout": 2, **options}
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                connection = await nats.connect([one.strip() for one in url.split(",")], **options)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            shown = ", ".join(one.rpartition("@")[2] for one in url.split(","))
            raise ContractError(ErrorCode.UNAVAILABLE, f"no NATS broker at {shown}: {str(error) or type(error).__name__}") from error
        try:
            yield cls(connection, tenant, data_class)
        finally:
            await connection.close()

    async def submit(
        self, task: Task | str, *, task_id: str | None = None, lane: Lane = Lane.INTERACTIVE, traceparent: str | None = None
    ) -> Submission:
        """Submit a task, or a text for the default answers; return when the broker keeps it.

        Repeating it under the same id is harmless, and done here for 20 seconds where the broker is busy or away.

        Args:
            task: What is wanted of which text.
            task_id: Your own id, unique per tenant and class; made here where you give none.
            lane: Whether somebody waits.
            traceparent: The trace that it belongs to, as W3C Trace Context writes it.

        Raises:
            ContractError: What is wrong with the task, before it is sent; ``overloaded``
                or ``unavailable``, after the retries.
        """
        address = Address(self._tenant, self._class, task_id or uuid.uuid4().hex)
        headers = {**_FIRST_ONLY, **_headers(traceparent)}
        body = self._body(task, headers)
        decode_task(body, address, lane)
        await self._store(subjects.submit(lane, address), body, headers)
        return Submission(address.task_id, digest_of(body))

    async def result(
        self, task: Submission | str, *, timeout_s: float = 60.0, on_delta: Callable[[Delta], None] | None = None
    ) -> TaskResult:
        """Wait for the terminal result of a task, however long ago it was submitted; results are kept for a day.

        Args:
            task: What :meth:`submit` returned, or a task's id.
            timeout_s: How long to wait, in seconds.
            on_delta: Called with each part of a text that is written meanwhile. Parts can be missed; the result has all of it.

        Raises:
            ContractError: ``expired`` where it has not come yet, which says nothing about the task;
                ``id_conflict`` where it is about another text; ``unavailable``.
        """
        task_id, digest = (task, None) if isinstance(task, str) else (task.task_id, task.digest)
        address = Address(self._tenant, self._class, task_id)
        async with AsyncExitStack() as stack:
            if on_delta is not None:
                with _telling(subjects.delta(address)):
                    await stack.enter_async_context(self._listening(subjects.delta(address), _deltas(on_delta)))
            body = await self._stored(subjects.done(address), timeout_s)
        if body is None:
            raise ContractError(ErrorCode.EXPIRED, f"no result of {task_id} within {timeout_s:g} s: ask for it again later")
        result = decode(TaskResult, body)
        if digest not in (None, result.digest):
            raise ContractError(ErrorCode.ID_CONFLICT, f"another text was submitted as {task_id} before: choose another id")
        return result

    async def cancel(self, task: Submission | str, *, timeout_s: float = 10.0) -> CancelReply:
        """Cancel a task, unless it has ended; repeating it is harmless.

        Look at what comes back: ``status`` is how the task has ended, ``cancelled`` or the status of a result that
        came first. Where it has not ended, ``error`` says why: ``invalid_request`` for a task that is not in this mesh.

        Args:
            task: What :meth:`submit` returned, or a task's id.
            timeout_s: How long to wait for the reply, in seconds.

        Raises:
            ContractError: ``invalid_request`` for what is no id; ``unavailable`` where no orchestrator answers;
                ``expired`` where no reply came, and the task may be cancelled all the same.
        """
        body = json.dumps({"task_id": task if isinstance(task, str) else task.task_id}).encode()
        decode(CancelRequest, body)
        return decode(CancelReply, await self._call(subjects.cancel(self._tenant, self._class), body, timeout_s, {}))

    async def ask(
        self, agent: str, request: AgentRequest | str, *, timeout_s: float = TIMEOUT_S[Lane.INTERACTIVE], traceparent: str | None = None
    ) -> Answer:
        """Ask one agent, by its name, about a text.

        Raises:
            ContractError: ``invalid_request`` for a text with nothing in it; ``unavailable``
                where nobody answers, ``expired`` where it took longer than ``timeout_s`` seconds.
        """
        headers = _headers(traceparent)
        body = self._body(request, headers)
        decode(AgentRequest, body)
        return decode(Answer, await self._call(subjects.ask(agent), body, timeout_s, headers))

    async def run(self, task: Task | str, *, traceparent: str | None = None) -> TaskResult:
        """Run a whole task while the caller waits. Nothing is stored or tried again.

        Raises:
            ContractError: What is wrong with the task, before it is sent; ``unavailable`` where nobody answers.
        """
        headers = _headers(traceparent)
        body = self._body(task, headers)
        checked = decode_task(body, Address(self._tenant, self._class, "run"), Lane.INTERACTIVE, names_id=False)
        timeout_s = checked.budget_s(Lane.INTERACTIVE) + RUN_GRACE_S
        return decode(TaskResult, await self._call(subjects.run(self._tenant, self._class), body, timeout_s, headers))

    async def _store(self, subject: str, body: bytes, headers: dict[str, str]) -> None:
        give_up = time.monotonic() + RETRY_S
        while True:
            try:
                await self._js.publish(subject, body, headers=headers)
            except (nats.errors.Error, OSError) as error:
                if isinstance(error, APIError) and error.err_code == ALREADY_THERE:
                    return  # an earlier try, whose acknowledgement was lost
                if not _may_pass(error) or time.monotonic() > give_up:
                    raise _told(error, subject) from error
                await asyncio.sleep(0.25)
            else:
                return

    async def _stored(self, subject: str, timeout_s: float) -> bytes | None:
        came = asyncio.Event()
        with _telling(subject):
            async with self._listening(subject, lambda _: came.set()):
                return await self._look(subject, came, time.monotonic() + timeout_s)

    @asynccontextmanager
    async def _listening(self, subject: str, heard: Callable[[Msg], None]) -> AsyncIterator[None]:
        async def hear(message: Msg) -> None:
            heard(message)

        listening = await self._connection.subscribe(subject, cb=hear)
        try:
            yield
        finally:
            with contextlib.suppress(nats.errors.Error):
                await listening.unsubscribe()

    async def _look(self, subject: str, came: asyncio.Event, deadline: float) -> bytes | None:
        """Read until it is there: at once, when it is announced, which is a moment before it is stored, and now and then."""
        pause_s = _SOON_S
        while True:
            with contextlib.suppress(NotFoundError, nats.errors.NoRespondersError, nats.errors.TimeoutError):
                return (await self._js.get_last_msg(_RESULTS, subject, direct=True)).data or b""
            if (left_s := deadline - time.monotonic()) <= 0:
                return None
            if came.is_set():
                await asyncio.sleep(min(pause_s, left_s))
                pause_s = min(2 * pause_s, LOOK_S)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(came.wait(), min(LOOK_S, left_s))

    async def _call(self, subject: str, body: bytes, timeout_s: float, headers: dict[str, str]) -> bytes:
        with _telling(subject):
            try:
                return (await self._connection.request(subject, body, timeout=timeout_s, headers=headers or None)).data
            except nats.errors.TimeoutError as error:
                raise ContractError(ErrorCode.EXPIRED, f"no answer from {subject} within {timeout_s:g} s") from error

    def _body(self, said: Task | AgentRequest | str, headers: dict[str, str]) -> bytes:
        """Return what is sent; what is larger than the broker takes is refused before anybody reads it: it would close the connection."""
        body = json.dumps({"text": said}).encode() if isinstance(said, str) else said.to_bytes()
        if len(body) + size_of(headers) > self._connection.max_payload:
            raise ContractError(ErrorCode.TOO_LONG, "more than the broker takes in one message")
        return body


def _deltas(on_delta: Callable[[Delta], None]) -> Callable[[Msg], None]:
    def heard(message: Msg) -> None:
        with contextlib.suppress(ContractError):  # of a later contract
            on_delta(decode(Delta, message.data))

    return heard


def _headers(traceparent: str | None) -> dict[str, str]:
    return {} if traceparent is None else {"traceparent": traceparent}


def _may_pass(error: Exception) -> bool:
    """Tell whether the broker may take it in a moment: a stream without a leader looks like no stream at all."""
    if isinstance(error, APIError):
        return error.err_code == BEING_STORED or error.code == _FOR_NOW
    return isinstance(error, NoStreamResponseError | nats.errors.TimeoutError | nats.errors.OutboundBufferLimitError)


@contextlib.contextmanager
def _telling(subject: str) -> Iterator[None]:
    try:
        yield
    except (nats.errors.Error, OSError) as error:
        raise _told(error, subject) from error


def _told(error: Exception, subject: str) -> ContractError:
    """Return what the bus could not do, as an error of the closed list."""
    match error:
        case APIError(err_code=10077):  # maximum messages or bytes exceeded
            return ContractError(ErrorCode.OVERLOADED, "the broker's stream is full", retry_after_s=5.0)
        case APIError(err_code=10054) | nats.errors.MaxPayloadError():  # message size exceeds maximum allowed
            return ContractError(ErrorCode.TOO_LONG, "more than the broker takes in one message")
        case NoStreamResponseError():
            return ContractError(ErrorCode.UNAVAILABLE, f"no stream takes {subject}: is a mesh set up at this broker?")
        case nats.errors.NoRespondersError():
            return ContractError(ErrorCode.UNAVAILABLE, f"nobody answers {subject}", retry_after_s=1.0)
    return ContractError(ErrorCode.UNAVAILABLE, f"the broker does not do it for {subject}: {error!r}")
