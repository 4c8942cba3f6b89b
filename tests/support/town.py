"""A mesh in one process for tests of the orchestrator: a bus in memory, agents that say what they were told to, leases."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from smallmesh.agent import Agent
from smallmesh.bus import Delivery, Message
from smallmesh.bus.layout import escalation_consumers, lease_consumers, step_consumers
from smallmesh.bus.memory import MemoryBus
from smallmesh.catalogue import AgentFolder, Catalogue, ServiceFolder
from smallmesh.holding import Holding
from smallmesh.retry import RetryPolicy
from smallmesh.service import Service
from smallmesh_contracts import (
    Address,
    AgentRequest,
    AgentResult,
    Answer,
    DataClass,
    ErrorCode,
    ErrorInfo,
    Lane,
    StepResult,
    Task,
    TaskResult,
    decode,
    digest_of,
    headers,
    subjects,
)
from smallmesh_orchestrator.arrivals import Arrivals
from smallmesh_orchestrator.flow import Flow
from smallmesh_orchestrator.job import Job
from smallmesh_orchestrator.leases import Leases
from smallmesh_orchestrator.plan import Planner
from smallmesh_orchestrator.policy import Policy
from smallmesh_orchestrator.renewing import Renewals
from smallmesh_orchestrator.submissions import Submissions
from tests.support.patience import until

AGENTS = {"sentiment": "sentiment", "ner": "entities", "summarizer": "summary", "complexity_router": "complexity"}
"""Name and answer of each agent."""
GIVER = {answer: name for name, answer in AGENTS.items()} | {"analysis": "escalation"}
SUMMARY = "In short."
ANSWERS = {
    "sentiment": Answer(value={"label": "neutral"}),
    "entities": Answer(value={"entities": []}),
    "summary": Answer(value={"summary": SUMMARY}),
    "complexity": Answer(value={"verdict": "simple"}),
    "analysis": Answer(value={"text": "At length.", "source": "frontier"}),
}
COMPLEX = Answer(value={"verdict": "complex"}, marked=True)
TEXT = "The parcel never came."


def failed(code: ErrorCode, step: str | None = None) -> Answer:
    """Return an answer that has an error only."""
    return Answer(error=ErrorInfo(code=code, message="on purpose", step=step))


def catalogue() -> Catalogue:
    """Return the catalogue of the shipped names and answers, without their code."""
    agents = [AgentFolder(_agent(name, answer), Path(name)) for name, answer in AGENTS.items()]
    return Catalogue(agents, [ServiceFolder(_service("escalation", "analysis"), Path("escalation"))])


def _agent(name: str, answer: str) -> Agent:
    async def respond(*_: object) -> AgentResult:
        return AgentResult()

    body = {"name": name, "answer": answer, "description": name, "request": AgentRequest, "result": AgentResult, "respond": respond}
    return type("Fake", (Agent,), body)()


def _service(name: str, answer: str) -> Service:
    async def respond(*_: object) -> Answer:
        return Answer()

    return type("FakeService", (Service,), {"name": name, "answer": answer, "description": name, "respond": respond})()


class WatchedBus(MemoryBus):
    """A bus that remembers which subjects somebody tried to store, and which of them it took."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        super().__init__(stop_grace_s=0.0)
        self.tried: list[str] = []
        self.took: list[str] = []

    async def store(self, subject: str, body: bytes, carried: dict[str, str] | None = None, *, ttl_s: float | None = None) -> bool:
        """Store as ever."""
        self.tried.append(subject)
        first = await super().store(subject, body, carried, ttl_s=ttl_s)
        if first:
            self.took.append(subject)
        return first

    def steps(self) -> list[str]:
        """Return who was given work, sorted."""
        return sorted(s.split(".")[3] if ".work." in s else "escalation" for s in self.took if ".work." in s or ".escalate." in s)


class Town:
    """The bus, its agents and as many orchestrator replicas as are started.

    Attributes:
        answers: What each agent says.
        about_text: Whether agents say which text they were given instead.
        worked: Who was given work, by name, in the order of their steps.
        second: Who has a second tier loaded, by name.
        verdicts: Which verdict each agent was last given with its work, by name.
        leases: How often each submission that came had been delivered.
    """

    def __init__(self) -> None:
        """Build; nobody works yet."""
        self.bus = WatchedBus()
        self.planner = Planner(catalogue(), Policy())
        self.holding = Holding(RetryPolicy(base_s=0.01, cap_s=0.05, jitter=lambda: 0.0))
        self.answers = dict(ANSWERS)
        self.about_text = False
        self.held: dict[str, asyncio.Event] = {}
        self.worked: list[str] = []
        self.second: set[str] = set()
        self.verdicts: dict[str, str | None] = {}
        self.leases: list[int] = []
        self._ends: list[Callable[[], Awaitable[None]]] = []
        self._leases: list[Leases] = []

    # ------------------------------------------------------------ who works

    async def hire(self, *answers: str) -> None:
        """Let the givers of some answers work, all of them if none is named."""
        for answer in answers or GIVER:
            name = GIVER[answer]
            consumers = escalation_consumers(name) if answer == "analysis" else step_consumers(name)
            for consumer in consumers.values():
                taking = await self.bus.consume(consumer, self._worker(name, answer), slots=8)
                self._ends.append(taking.stop)

    def _worker(self, name: str, answer: str) -> Callable[[Delivery], Awaitable[None]]:
        async def work(delivery: Delivery) -> None:
            self.worked.append(name)
            if answer in self.held:
                await self.held[answer].wait()
            step = json.loads(delivery.body)
            self.verdicts[name] = step["request"].get("verdict")
            given = Answer(value={"about": step["request"]["text"]}) if self.about_text else self.answers[answer]
            await self.bus.store(
                subjects.result(subjects.address_of(delivery.subject), name, answer),
                StepResult(digest=step["digest"], answer=given).to_bytes(),
            )
            await delivery.ack()

        return work

    def hold(self, answer: str) -> asyncio.Event:
        """Let an answer wait until the event is set."""
        self.held[answer] = asyncio.Event()
        return self.held[answer]

    async def flow(self) -> Flow:
        """Return a flow that hears of results."""
        return (await self._listening())[0]

    async def _listening(self) -> tuple[Flow, Arrivals]:
        arrivals = Arrivals(self.bus, self.holding)
        await arrivals.start(DataClass)
        self._ends.append(arrivals.stop)
        return Flow(self.bus, self.planner, arrivals, self.holding, self.second), arrivals

    async def orchestrate(
        self, *, renew_s: float | None = None, ack_wait_s: float = 30.0, max_deliveries: int = 20, slots: int = 8
    ) -> Callable[[], Awaitable[None]]:
        """Start an orchestrator replica; return what stops it."""
        flow, arrivals = await self._listening()
        renewals = Renewals(renew_s or 10.0)
        submissions = Submissions(self.bus, flow, arrivals, holding=self.holding, max_deliveries=max_deliveries)
        leases = Leases(submissions, renewals, self.holding.retry)
        self._leases.append(leases)

        async def handle(delivery: Delivery) -> None:
            self.leases.append(delivery.deliveries)
            await leases.handle(delivery)

        taking = [await self.bus.consume(c, handle, slots=slots) for c in lease_consumers(DataClass, ack_wait_s)]
        renewing = asyncio.create_task(renewals.run())

        async def stop() -> None:
            renewing.cancel()
            leases.hand_back()
            for one in taking:
                await one.stop()

        self._ends.append(stop)
        return stop

    async def close(self) -> None:
        """Stop everybody."""
        for end in reversed(self._ends):
            with contextlib.suppress(asyncio.CancelledError):
                await end()

    def in_hand(self) -> int:
        """Return how many submissions the replicas have in hand."""
        return sum(len(leases._held) for leases in self._leases)

    # ------------------------------------------------------------ what a client does

    async def submit(self, address: Address, body: Task | bytes, lane: Lane = Lane.INTERACTIVE) -> bytes:
        """Submit a task; return its body."""
        sent = body if isinstance(body, bytes) else body.to_bytes()
        assert await self.bus.store(subjects.submit(lane, address), sent)
        return sent

    async def done(self, address: Address) -> TaskResult:
        """Wait for a task's terminal result and for the end of its lease."""
        found: Message = await until(lambda: self.bus.read(subjects.done(address)), "a terminal result")
        await self.settled(address)
        return decode(TaskResult, found.body)

    async def settled(self, address: Address) -> None:
        """Wait until a submission is acknowledged."""
        await until(lambda: not any(".submit." in s and address.task_id in s for s in self.bus.kept), "an acknowledgement")

    async def whole(self, address: Address, body: Task | bytes, lane: Lane = Lane.INTERACTIVE) -> TaskResult:
        """Submit a task and wait for its result."""
        await self.submit(address, body, lane)
        return await self.done(address)

    @staticmethod
    def named(address: Address) -> dict[str, object]:
        """Return the fields of a result that say whose it is."""
        return {"task_id": address.task_id, "tenant": address.tenant, "data_class": address.data_class}

    def job(self, address: Address, task: Task, *, lane: Lane = Lane.INTERACTIVE, seen_before: bool = False, sequence: int = 1) -> Job:
        """Return a job that has just arrived."""
        body = task.to_bytes()
        arrived_at = self.bus.now()
        return Job.of(task, address, lane, body, digest=digest_of(body), arrived_at=arrived_at, sequence=sequence, seen_before=seen_before)

    # ------------------------------------------------------------ what an operator sees

    def dead(self) -> list[tuple[str, bytes, ErrorCode]]:
        """Return subject, payload and reason of each dead letter."""
        return [(m.subject, m.body, decode(ErrorInfo, m.headers[headers.REASON].encode()).code) for m in self.bus.log.values()]
