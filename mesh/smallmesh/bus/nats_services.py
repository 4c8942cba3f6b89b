"""The NATS Services API: what a process answers, and who else is there."""

import asyncio
import contextlib

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.micro import add_service
from nats.micro.request import ERROR_CODE_HEADER, ERROR_HEADER, Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig
from pydantic import BaseModel, ValidationError

from smallmesh.bus.port import Call, Endpoint, Reply, ServiceInfo, ServiceSpec, overloaded, stopped
from smallmesh.tasks import wind_up

INFO_SUBJECT = "$SRV.INFO"
STOP_GRACE_S = 2.0
"""A run may take as long as its caller asks for: a stop does not wait for it."""
_QUIET_S = 0.15


class NatsService:
    """One replica of a service.

    nats-py awaits one handler after another; calls are therefore answered in
    tasks of their own, at most ``slots`` at once.
    """

    def __init__(self, client: Client, spec: ServiceSpec) -> None:
        """Prepare; nothing is answered before :meth:`start`."""
        self._client = client
        self._spec = spec
        self._calls: set[asyncio.Task[None]] = set()
        self._service: Service | None = None

    async def start(self) -> None:
        """Announce the service and answer."""
        spec = self._spec
        config = ServiceConfig(name=spec.name, version=spec.version, description=spec.description, metadata=dict(spec.metadata))
        self._service = await add_service(self._client, config)
        for endpoint in spec.endpoints:
            await self._service.add_endpoint(self._endpoint(endpoint))
        await subscribed(self._client)

    def _endpoint(self, endpoint: Endpoint) -> EndpointConfig:
        async def received(request: Request) -> None:
            if len(self._calls) >= self._spec.slots:
                await _respond(request, endpoint.refused(_call(request), overloaded()))
                return
            task = asyncio.create_task(self._answer(endpoint, request))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

        return EndpointConfig(name=endpoint.name, handler=received, subject=endpoint.subject, metadata=dict(endpoint.metadata))

    async def _answer(self, endpoint: Endpoint, request: Request) -> None:
        call = _call(request)
        try:
            reply = await endpoint.handler(call)
        except asyncio.CancelledError:  # this process is stopping
            await _respond(request, endpoint.refused(call, stopped()))
            raise
        except Exception as error:  # noqa: BLE001 - whoever asked gets every failure as a typed error
            reply = endpoint.refused(call, error)
        await _respond(request, reply)

    async def stop(self) -> None:
        """Answer nothing new; calls in hand may end within a moment, and are told so if they do not.

        A call that the broker has sent before it knew is answered too: the client library's own stop would throw it away.
        """
        service, self._service = self._service, None
        if service is not None:
            await run_dry(self._client, *(one._subscription for one in service._endpoints if one._subscription))  # noqa: SLF001 - the library has no way to ask for them
            with contextlib.suppress(nats.errors.Error):
                await service.stop()
        await wind_up(self._calls, STOP_GRACE_S if self._spec.grace_s is None else self._spec.grace_s)


async def run_dry(client: Client, *subscriptions: Subscription) -> None:
    """Let nothing more come to some subscriptions, and see that what has come was seen; then they can be unsubscribed.

    The client library's own draining asks the broker for a sign of life before it has told it to send no more, so that
    what is on its way just then is lost.
    """
    with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
        if client.is_connected:
            for subscription in subscriptions:
                await client._send_unsubscribe(subscription._id)  # noqa: SLF001 - see above
            await subscribed(client)
            await asyncio.gather(*(subscription._pending_queue.join() for subscription in subscriptions))  # noqa: SLF001 - see above


async def subscribed(client: Client) -> None:
    """Wait until the broker knows of every subscription.

    nats-py 2.16 writes a flush's PING before what is pending, so one flush proves nothing; behind its PONG the second does.
    """
    await client.flush()
    await client.flush()


def _call(request: Request) -> Call:
    return Call(request.subject, request.data, request.headers or {})


async def _respond(request: Request, reply: Reply) -> None:
    headers = {ERROR_CODE_HEADER: reply.error, ERROR_HEADER: reply.error} if reply.error else None
    with contextlib.suppress(ValueError, nats.errors.Error):  # nobody waits any more
        await request.respond(reply.body, headers=headers)


async def collect(client: Client, wait_s: float) -> list[ServiceInfo]:
    """Ask all services who they are; return what came within ``wait_s`` or until it has been quiet for a while."""
    inbox = client.new_inbox()
    found: list[ServiceInfo] = []
    came = asyncio.Event()

    async def received(msg: Msg) -> None:
        with contextlib.suppress(ValidationError):
            found.append(_info(msg.data))
        came.set()

    subscription = await client.subscribe(inbox, cb=received)
    try:
        await client.publish(INFO_SUBJECT, b"", reply=inbox)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await came.wait()
            while True:
                came.clear()
                async with asyncio.timeout(min(wait_s, _QUIET_S)):
                    await came.wait()
    finally:
        await subscription.unsubscribe()
    return sorted(found, key=lambda s: (s.name, s.id))


class _Endpoint(BaseModel):
    subject: str


class _Told(BaseModel):
    name: str
    id: str
    version: str
    description: str = ""
    metadata: dict[str, str] | None = None
    endpoints: list[_Endpoint] | None = None


def _info(body: bytes) -> ServiceInfo:
    told = _Told.model_validate_json(body)
    subjects = tuple(endpoint.subject for endpoint in told.endpoints or ())
    return ServiceInfo(told.name, told.id, told.version, told.description, told.metadata or {}, subjects)
