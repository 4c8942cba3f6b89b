"""The escalation service over a bus in memory, a frontier that counts, and one step that is proven to be complex."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

from smallmesh.bus.layout import escalation_consumers
from smallmesh.bus.memory import MemoryBus
from smallmesh.catalogue import Catalogue
from smallmesh.frontier import Completion
from smallmesh.retry import RetryPolicy
from smallmesh.serving.in_hand import InHand
from smallmesh.serving.workers import escalation_worker
from smallmesh.tasks import end
from smallmesh_contracts import Answer, EscalationStep, Evidence, Lane, StepInput, StepResult, decode, subjects
from tests.support.patience import until
from tests.support.step_bench import DIGEST, HEARTBEAT_S

ANSWERED = Completion("Both have a point.", "stub-answered", 120, 30, 0.00054)
ROUTER = Evidence(agent="complexity_router", answer="complexity")
MARKED = StepResult(digest=DIGEST, answer=Answer(value={"verdict": "complex"}, marked=True))


def shipped_service(agents: Path):
    """Return the shipped service, loaded from a folder that has it alone."""
    (agents / "escalation").symlink_to(Path(__file__).parents[2] / "services" / "escalation")
    return Catalogue.load([agents]).services["escalation"].service


class CountingFrontier:
    """A frontier that does what it is told, and counts its calls.

    Attributes:
        calls: How many there were.
        outcomes: What is raised, one a call; with none left it answers.
        gate: Answers wait for this.
    """

    model_id = "stub-requested"

    def __init__(self):
        self.calls = 0
        self.outcomes = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def complete(self, **_call):
        """Answer, or fail."""
        self.calls += 1
        await self.gate.wait()
        if self.outcomes:
            raise self.outcomes.pop(0)
        return ANSWERED


class EscalationBench:
    """One step for the escalation service, and as many replicas of that as are started.

    Attributes:
        frontier: All replicas call it.
        deliveries: The count of each delivery.
    """

    def __init__(self, service, address):
        self.bus = MemoryBus(stop_grace_s=0.0)
        self.service = service
        self.address = address
        self.frontier = CountingFrontier()
        self.work = subjects.escalate(Lane.BULK, address, "analysis")
        self.result = subjects.result(address, "escalation", "analysis")
        self.claim = subjects.claim(address, "analysis")
        self.deliveries = []

    async def publish(self, *, timeout_s=3600.0):
        """Publish the step, and the evidence that it is complex."""
        await self.bus.store(subjects.result(self.address, ROUTER.agent, ROUTER.answer), MARKED.to_bytes())
        step = EscalationStep(digest=DIGEST, timeout_s=timeout_s, request=StepInput(text="hello"), evidence=ROUTER)
        assert await self.bus.store(self.work, step.to_bytes())

    @asynccontextmanager
    async def replica(self, bus=None, *, ack_wait_s=30.0, beats=True):
        """Take work until the end; without ``beats`` it gives no sign of life."""
        bus = bus or self.bus
        in_hand = InHand(bus)
        retry = RetryPolicy(max_deliveries=5, base_s=0.01, jitter=lambda: 0.0)
        worker = escalation_worker(self.service, self.frontier, bus, retry, in_hand)

        async def handle(delivery):
            self.deliveries.append(delivery.deliveries)
            await worker.handle(delivery)

        watching = await in_hand.watch()
        beating = asyncio.create_task(in_hand.beat(HEARTBEAT_S if beats else 3600.0))
        taking = await self.bus.consume(escalation_consumers("escalation", ack_wait_s)[Lane.BULK], handle, slots=1)
        try:
            yield taking
        finally:
            await taking.stop()
            await worker.stop()
            await end(beating)
            await watching.stop()

    async def acknowledged(self):
        """Wait until the broker has forgotten the message; return the stored answer."""
        await until(lambda: self.work not in self.bus.kept, "an acknowledgement")
        return decode(StepResult, (await self.bus.read(self.result)).body).answer
