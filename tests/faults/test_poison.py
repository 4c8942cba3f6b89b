"""A text that its agent dies of, and one that it chokes on: a dead letter with all there is to know, and nobody else is held up."""

import asyncio
import math
import time

import pytest

from smallmesh.broker_cluster import EmbeddedCluster
from smallmesh.bus.layout import DEAD
from smallmesh.supervise import ProcessState
from smallmesh_contracts import ErrorCode, Lane, Status, Step, Task, decode, subjects
from tests.faults.hamlet import DEADLY, ECHO, MAX_DELIVERIES, SOUR, VENOM, VIPER, Hamlet, write_hamlet
from tests.faults.share import share
from tests.support.client import new_address, new_trace, trace_of
from tests.support.meshes import log_of, pids, process
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.experiment(8)]

NEIGHBOURS = 40
"""Tasks of another agent, one after another, without the poison; with it there are as many as it takes."""
IN_LINE = 5
"""Harmless tasks that wait behind the poison at the same agent."""
PATIENT_S = 60.0
SECRET = "Lisbon-4711"


class Neighbours:
    """Submits a task of another agent whenever the one before is done, and notes how long each took."""

    def __init__(self, hamlet: Hamlet) -> None:
        self.hamlet = hamlet
        self.took_s: list[float] = []

    async def next(self) -> None:
        began = time.monotonic()
        done = await self.hamlet.client.whole(new_address(), Task(text="Hello", wanted=(ECHO,)))
        assert done.status is Status.COMPLETED
        self.took_s.append(time.monotonic() - began)

    async def some(self, count: int) -> float:
        """Return the 95th percentile of so many, in seconds."""
        del self.took_s[:]
        for _ in range(count):
            await self.next()
        return self.p95_s

    async def until(self, other: asyncio.Task) -> float:
        """Return the 95th percentile of those beside another task."""
        del self.took_s[:]
        while not other.done():
            await self.next()
        return self.p95_s

    @property
    def p95_s(self) -> float:
        return sorted(self.took_s)[math.ceil(0.95 * len(self.took_s)) - 1]


def poisoned(word: str) -> Task:
    return Task(text=f"Good day {word} {SECRET}", wanted=(ECHO, VENOM), timeout_s=PATIENT_S)


async def is_dead_with_its_reason(hamlet: Hamlet, address, trace_id: str, code: ErrorCode) -> None:
    """The step is a dead letter with payload, headers and reason; the task is partial, with that error in it."""
    done = await hamlet.client.done(address, PATIENT_S)
    letter = await hamlet.letter(subjects.work(VIPER, Lane.INTERACTIVE, address))
    step = decode(Step, letter.payload)

    assert done.status is Status.PARTIAL
    assert done.answers[ECHO].value["said"] == "GOOD"
    assert (done.answers[VENOM].error.code, done.answers[VENOM].error.step) == (code, VIPER)
    assert letter.subject == subjects.dead(address.data_class, VIPER)
    assert (step.request.text, step.digest) == (poisoned(DEADLY).text.replace(DEADLY, step.request.text.split()[2]), done.digest)
    assert (letter.reason.code, letter.reason.step) == (code, VIPER)
    assert MAX_DELIVERIES <= letter.deliveries <= MAX_DELIVERIES + 1
    assert trace_of(letter.headers) == trace_id
    assert SECRET not in letter.reason.message + done.answers[VENOM].error.message


async def test_a_text_that_its_agent_dies_of_is_a_dead_letter_and_holds_nobody_else_up(hardy, outcome, trials):
    for _ in range(share(trials, 0.01)):
        await poisons_nobody_else(hardy, outcome)


@pytest.mark.long
async def test_over_three_brokers_it_is_a_dead_letter_too(tmp_path, outcome, trials):
    write_hamlet(tmp_path / "agents")
    with EmbeddedCluster.start(tmp_path / "brokers") as cluster:
        async with Hamlet.started(tmp_path / "agents", nats_url=cluster.url, stream_replicas=str(len(cluster.brokers))) as hamlet:
            info = await hamlet.client.js.stream_info(DEAD.name)
            for _ in range(share(trials, 0.01)):
                await poisons_nobody_else(hamlet, outcome)

    assert info.config.num_replicas == len(cluster.brokers)


async def poisons_nobody_else(hamlet: Hamlet, outcome) -> None:
    """A deadly text becomes a dead letter; its agent serves on, and nobody else has noticed."""
    neighbours = Neighbours(hamlet)
    before, restarts = await neighbours.some(NEIGHBOURS), process(hamlet.mesh, VIPER).restarts
    others = {name: pid for name, pid in pids(hamlet.mesh).items() if name != VIPER}
    deadly, in_line, (trace_id, carried) = new_address(), [new_address() for _ in range(IN_LINE)], new_trace()

    assert await hamlet.client.submit(deadly, poisoned(DEADLY), carried=carried)
    for address in in_line:
        assert await hamlet.client.submit(address, Task(text="Good day", wanted=(VENOM,), timeout_s=PATIENT_S))
    beside = await neighbours.until(asyncio.create_task(hamlet.client.done(deadly, PATIENT_S)))

    await is_dead_with_its_reason(hamlet, deadly, trace_id, ErrorCode.INTERNAL)
    assert {(await hamlet.client.done(address, PATIENT_S)).status for address in in_line} == {Status.COMPLETED}
    assert 0 < process(hamlet.mesh, VIPER).restarts - restarts <= MAX_DELIVERIES
    assert {name: pids(hamlet.mesh)[name] for name in others} == others
    outcome.note(neighbours=len(neighbours.took_s), p95_ms=_ms(before), p95_beside_it_ms=_ms(beside), ratio=round(beside / before, 2))
    outcome.trials += 1


async def test_a_text_that_its_agent_chokes_on_is_a_dead_letter_and_nobody_restarts(hardy):
    before, address, (trace_id, carried) = pids(hardy.mesh), new_address(), new_trace()
    await until(lambda: process(hardy.mesh, VIPER).state is ProcessState.READY, "the viper is there")

    assert await hardy.client.submit(address, poisoned(SOUR), carried=carried)

    await is_dead_with_its_reason(hardy, address, trace_id, ErrorCode.MODEL_FAILED)
    assert SECRET not in log_of(hardy.mesh, VIPER)
    assert pids(hardy.mesh) == before


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)
