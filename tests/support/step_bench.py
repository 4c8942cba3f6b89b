"""One agent's worker over a bus in memory, and one step for it."""

import asyncio
from contextlib import asynccontextmanager

from smallmesh.bus.layout import step_consumers
from smallmesh.bus.memory import MemoryBus
from smallmesh.retry import RetryPolicy
from smallmesh.serving import steps
from smallmesh.serving.in_hand import InHand
from smallmesh.serving.movement import Movement
from smallmesh.serving.steps import StepWorker
from smallmesh.tasks import end
from smallmesh_contracts import Answer, ErrorInfo, Lane, Step, StepInput, StepResult, decode, headers, subjects
from tests.support.patience import until

DIGEST = "d" * 64
ANSWER = Answer(value={"label": "neutral"})
OLD_S = steps.FRESH_S + 1
HEARTBEAT_S = 0.03


class StepBench:
    """One agent's worker over a bus in memory, and one step for it.

    Attributes:
        calls: What was asked of the agent.
        deliveries: The count of each delivery.
        respond: How the agent answers.
        turn: Number of the job that its model has in hand.
    """

    def __init__(self, address, bus=None, **retry):
        self.bus = bus or MemoryBus(stop_grace_s=0.0)
        self.address = address
        self.work = subjects.work("sentiment", Lane.INTERACTIVE, address)
        self.result = subjects.result(address, "sentiment", "sentiment")
        self.calls = []
        self.deliveries = []
        self.respond = self.answer
        self.turn = None
        self.in_hand = InHand(self.bus, Movement(lambda: self.turn))
        self.worker = StepWorker(
            self.bus,
            "sentiment",
            Step,
            result_subject=lambda held: subjects.result(held.address_or_fail, "sentiment", "sentiment"),
            respond=self._respond,
            retry=RetryPolicy(**({"max_deliveries": 3, "base_s": 0.01, "jitter": lambda: 0.0} | retry)),
            in_hand=self.in_hand,
        )

    async def answer(self):
        """Answer at once."""
        return ANSWER

    def beside(self, bus=None):
        """Return another replica on the same bus."""
        return StepBench(self.address, bus or self.bus)

    async def _respond(self, held, step, left_s):
        self.calls.append((held.address, step.request.text, left_s))
        return await self.respond()

    def fail_with(self, *errors):
        """Raise each of these, one a call, then answer."""
        waiting = list(errors)

        async def fail():
            if waiting:
                raise waiting.pop(0)
            return ANSWER

        self.respond = fail

    async def publish(self, *, timeout_s=30.0, body=None):
        """Publish the step."""
        step = Step(digest=DIGEST, timeout_s=timeout_s, request=StepInput(text="hello"))
        assert await self.bus.store(self.work, body if body is not None else step.to_bytes())

    @asynccontextmanager
    async def working(self, source=None, *, ack_wait_s=30.0, slots=1, beats=True):
        """Take work, hear of cancelled tasks and give signs of life until the end.

        Messages come from the bus, or from ``source`` where that one is not whole. Without ``beats`` there is no sign of life.
        """

        async def handle(delivery):
            self.deliveries.append(delivery.deliveries)
            await self.worker.handle(delivery)

        watching = await self.in_hand.watch()
        beating = asyncio.create_task(self.in_hand.beat(HEARTBEAT_S if beats else 3600.0))
        taking = await (source or self.bus).consume(step_consumers("sentiment", ack_wait_s)[Lane.INTERACTIVE], handle, slots=slots)
        try:
            yield taking
        finally:
            await taking.stop()
            await self.worker.stop()
            await end(beating)
            await watching.stop()

    async def looks(self, count):
        """Wait for some heartbeats."""
        looked, look = [], self.in_hand.movement.look

        def remember():
            looked.append(1)
            look()

        self.in_hand.movement.look = remember
        await until(lambda: len(looked) >= count, f"{count} heartbeats")

    def hold(self):
        """Let every answer wait; return the event that says that one has begun, and those that were broken off."""
        began, broken_off = asyncio.Event(), []

        async def wait():
            began.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                broken_off.append(1)
                raise

        self.respond = wait
        return began, broken_off

    def tries_to_store(self):
        """Remember every try to store a result."""
        store, tried = self.bus.store, []

        async def remember(subject, body, carried=None, *, ttl_s=None):
            if subject == self.result:
                tried.append(ttl_s)
            return await store(subject, body, carried, ttl_s=ttl_s)

        self.bus.store = remember
        return tried

    async def acknowledged(self):
        """Wait until the broker has forgotten the message."""
        await until(lambda: self.work not in self.bus.kept, "an acknowledgement")

    async def to_the_end(self, **started):
        """Work until the message is acknowledged; return the stored result, if there is one."""
        async with self.working(**started):
            await self.acknowledged()
        found = await self.bus.read(self.result)
        return None if found is None else decode(StepResult, found.body)

    def dead(self):
        """Return subject, payload and reason of each dead letter."""
        return [(m.subject, m.body, decode(ErrorInfo, m.headers[headers.REASON].encode()).code) for m in self.bus.log.values()]
