"""The escalation service's durable door: FastStream takes its work messages.

Streams and consumers are provisioned beforehand and only used here. Each lane has
a subscriber of its own that holds one message at a time, so a bulk message never
keeps an interactive one from being in hand; which of the two the model reads
first is decided window by window.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

from faststream import AckPolicy, BaseMiddleware
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub

from smallmesh.bus import Consumer, Delivery
from smallmesh.bus.nats import NatsDelivery, connection_options, first_connection
from smallmesh.serving.steps import StepWorker, described
from smallmesh.telemetry import names, span
from smallmesh_contracts import EscalationStep, Lane, decode

PULL_S = 5.0
"""An idle pull notices a broker's restart when it expires, so it is kept short."""
_IN_HAND: ContextVar[Delivery] = ContextVar("delivery in hand")
"""FastStream's own ``Context()`` is resolved in a thread pool, which costs more than the rest of the door."""


class DurableDoor:
    """FastStream over the consumers of the escalation service, on a connection of its own."""

    def __init__(self, url: str, name: str, *, lost: Callable[[], None], problem: Callable[[Exception], None], graceful_s: float) -> None:
        """Prepare a broker.

        Args:
            url: Where NATS is.
            name: Shown in the broker's connection list.
            lost: Called once if the connection is closed for good.
            problem: Called with every error of the connection.
            graceful_s: Seconds that work in hand may take after a stop.
        """
        self._url = url
        options = connection_options(url, name=name, lost=lost, problem=problem)
        self._broker = NatsBroker(
            **options,
            graceful_timeout=graceful_s,
            logger=None,  # its records quote input, and it would write one more line a message
            apply_types=False,  # the decoder has validated the body; a second time would cost a tenth of the step
            ack_policy=AckPolicy.MANUAL,
        )

    def subscribe(self, consumers: Mapping[Lane, Consumer], worker: StepWorker[EscalationStep]) -> None:
        """Take work from some consumers, one message a lane at a time.

        Args:
            consumers: By lane; already provisioned.
            worker: What handles them.
        """
        self._broker.add_middleware(_traces(names.PROCESS_ESCALATION))
        self._broker.add_middleware(_fates(worker))

        async def decoded(message: NatsMessage) -> EscalationStep:
            return decode(EscalationStep, message.body)

        async def handle(step: EscalationStep) -> None:
            await worker.work(_IN_HAND.get(), step)

        for consumer in consumers.values():
            subscriber = self._broker.subscriber(
                consumer.subject,
                durable=consumer.name,
                stream=JStream(consumer.stream, declare=False),
                pull_sub=PullSub(batch_size=1, timeout=PULL_S),
                decoder=decoded,
                no_reply=True,
            )
            subscriber(handle)

    async def start(self) -> None:
        """Connect, and begin to take work.

        Raises:
            ContractError: ``unavailable``, saying what to do.
        """
        await first_connection(self._broker.connect(), self._url)
        await self._broker.start()

    async def stop(self) -> None:
        """Take nothing more, finish what is in hand, leave the broker."""
        await self._broker.stop()


def _fates(worker: StepWorker[Any]) -> type[BaseMiddleware[Any, Any]]:
    """Make the middleware in which failure classes become acknowledgements."""

    class Fates(BaseMiddleware[Any, Any]):
        async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
            await worker.guard(_IN_HAND.get(), lambda: call_next(msg))

    return Fates


def _traces(operation: str) -> type[BaseMiddleware[Any, Any]]:
    """Make the middleware that opens a span under the context in the message's headers."""

    class Traces(BaseMiddleware[Any, Any]):
        async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
            delivery = NatsDelivery(msg.raw_message)
            _IN_HAND.set(delivery)  # each message has a task, and so a context, of its own
            with span(operation, "consumer", headers=delivery.headers, attributes=described(delivery)):
                return await call_next(msg)

    return Traces
