"""In which state a task or a step is, as far as can be seen from outside: by what the broker keeps of it.

A process keeps nothing that matters, so what the broker keeps *is* the state in which its death finds a task.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from smallmesh.bus.layout import lease_consumers
from smallmesh.serving.states import StepState
from smallmesh_contracts import Address, DataClass, Lane, Task, subjects
from smallmesh_contracts.headers import ORIGIN
from smallmesh_orchestrator.states import State
from tests.support.client import Client

ANALYSIS = "analysis"
GIVERS: Mapping[str, str] = {"sentiment": "sentiment", "entities": "ner", "complexity": "complexity_router", ANALYSIS: "escalation"}
"""Who gives which answer in the timed town."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A task whose state is asked for.

    Attributes:
        address: Whose it is.
        lane: Where it was submitted.
        task: What was submitted. An ``analysis`` needs ``complexity`` first, and is of a text that is complex.
        broken: Whether it ends as a dead letter.
    """

    address: Address
    lane: Lane
    task: Task
    broken: bool = False

    @property
    def paid(self) -> bool:
        """Whether it wants what is paid for."""
        return ANALYSIS in self.task.wanted

    @property
    def local(self) -> tuple[str, ...]:
        """The answers of its first steps."""
        named = tuple(answer for answer in self.task.wanted if answer != ANALYSIS)
        return (*named, "complexity") if self.paid else named


async def task_state(client: Client, task: Tracked) -> State | None:
    """Return the state in which a task is for an orchestrator; None before one has it."""
    submitted, done = subjects.submit(task.lane, task.address), subjects.done(task.address)
    waiting, over = await _all_there(client, submitted, done)
    if over:
        return State.FINISHED if waiting else State.OVER
    if task.broken:
        return State.BURIED if await _buried(client, submitted) else State.TAKEN
    # Work first: an agent that goes on stores a result before it acknowledges, so a step that shows neither was never published.
    work = await _all_there(client, *(subjects.work(GIVERS[a], task.lane, task.address) for a in task.local))
    results = await _all_there(client, *(subjects.result(task.address, GIVERS[a], a) for a in task.local))
    if not all(results):
        return await _fanned_out(client, task, [w or r for w, r in zip(work, results, strict=True)])
    if not task.paid:
        return State.ANSWERED
    return await _escalated(client, task)


async def _buried(client: Client, submitted: str) -> bool:
    return any([entry.message.headers.get(ORIGIN) == submitted async for entry in client.bus.entries(subjects.any_dead())])


async def _fanned_out(client: Client, task: Tracked, published: list[bool]) -> State | None:
    if all(published):
        return State.AWAITING
    if any(published):
        return State.FANNING_OUT
    return State.TAKEN if await _delivered(client, task) else None


async def _escalated(client: Client, task: Tracked) -> State:
    (asked,) = await _all_there(client, subjects.escalate(task.lane, task.address, ANALYSIS))
    (analysed,) = await _all_there(client, subjects.result(task.address, GIVERS[ANALYSIS], ANALYSIS))
    if analysed:
        return State.ANALYSED
    return State.ESCALATED if asked else State.ANSWERED


async def _delivered(client: Client, task: Tracked) -> bool:
    subject = subjects.any_submit(task.lane, task.address.data_class)
    consumer = next(c for c in lease_consumers(DataClass) if c.subject == subject)
    told = await client.consumer(consumer)
    assert told.delivered is not None
    return await client.sequence(subjects.submit(task.lane, task.address)) <= told.delivered.stream_seq


async def step_state(client: Client, task: Tracked, answer: str, *, came: bool, began: bool) -> StepState | None:
    """Return the state in which a step is for its agent, which notes what came and what it began; None before and after."""
    agent = GIVERS[answer]
    (waiting,) = await _all_there(client, subjects.work(agent, task.lane, task.address))
    (stored,) = await _all_there(client, subjects.result(task.address, agent, answer))
    if stored:
        return StepState.STORED if waiting else None
    return StepState.ANSWERING if began else StepState.TAKEN if came else None


async def paid_state(client: Client, task: Tracked, *, called: bool) -> StepState | None:
    """Return the state in which an analysis is for escalation, whose frontier tells whether it was called; None before and after."""
    (waiting,) = await _all_there(client, subjects.escalate(task.lane, task.address, ANALYSIS))
    (claimed,) = await _all_there(client, subjects.claim(task.address, ANALYSIS))
    (stored,) = await _all_there(client, subjects.result(task.address, GIVERS[ANALYSIS], ANALYSIS))
    if stored:
        return StepState.STORED if waiting else None
    return StepState.CALLING if called else StepState.CLAIMING if claimed else None


async def _all_there(client: Client, *of: str) -> list[bool]:
    return [found is not None for found in await asyncio.gather(*(client.bus.read(subject) for subject in of))]
