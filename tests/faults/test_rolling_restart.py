"""Processes told to stop, one after another, under load: nothing lost, nobody's call failed, nothing waits for a redelivery."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from smallmesh.bus.layout import step_consumers
from smallmesh.tasks import end
from smallmesh_contracts import Address, ContractError, DataClass, Lane, Status, Task
from tests.faults.ledger import Ledger
from tests.faults.reading import CONSUMER, begun, reading_speed
from tests.faults.share import share
from tests.faults.village import LATE_S, READER, ROUTER, SCALE, VERDICT, Village, long_text
from tests.support.client import new_address
from tests.support.patience import until
from tests.support.rules import HARD, Begun, Gate

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

SERVICES = tuple(name for name, replicas in SCALE.items() if replicas)
PAUSE_S = 0.2
"""Between one call and the next of the same caller: of each kind there is one, so that the machine has time to start a process."""
AT_ONCE_S = LATE_S / 4
"""Far more than a task takes that is handed on at once, and far less than one that waits for its redelivery."""
GRACE_S = 10.0
"""What work in hand may take after a stop."""
SOON_S = 3.0
CLASSES = (DataClass.PUBLIC, DataClass.INTERNAL)


@pytest_asyncio.fixture(loop_scope="session")
async def patient(village):
    """The village where the broker gives nothing away for a long time."""
    await village.ack_waits(LATE_S)
    return village


class Load:
    """Callers that never rest: asks, runs and durable tasks of both lanes and all classes, some of them for the frontier.

    Attributes:
        served: Calls that were answered, by kind.
        failed: What the others were told.
    """

    def __init__(self, village: Village, ledger: Ledger) -> None:
        self.served: Counter[str] = Counter()
        self.failed: list[str] = []
        self._village = village
        self._ledger = ledger
        self._submissions = itertools.cycle(itertools.product((Lane.INTERACTIVE, Lane.BULK), CLASSES, ("easy", "easy", HARD)))

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Call and submit while the body runs."""
        kinds = (self._ask, self._run, self._submit)
        callers = [asyncio.create_task(self._again(kind)) for kind in kinds]
        try:
            yield
        finally:
            for caller in callers:
                await end(caller)
        for caller in callers:
            with contextlib.suppress(asyncio.CancelledError):
                caller.result()

    async def _again(self, call: Callable[[], Awaitable[str | None]]) -> None:
        while True:
            try:
                error = await call()
            except ContractError as raised:
                error = f"{raised.info.code.value}: {raised.info.message}"
            if error is None:
                self.served[call.__name__.strip("_")] += 1
            else:
                self.failed.append(f"{call.__name__.strip('_')}: {error}")
            await asyncio.sleep(PAUSE_S)

    async def _ask(self) -> str | None:
        for agent in (READER, ROUTER):
            answer, _ = await self._village.client.ask(agent, {"text": "We loved the little museum."})
            if answer.error is not None:
                return f"{agent}: {answer.error.code.value}: {answer.error.message}"
        return None

    async def _run(self) -> str | None:
        result = await self._village.client.run(Task(text="We loved the little museum.", wanted=(READER, VERDICT)))
        return None if result.status is Status.COMPLETED else f"{result.error or [answer.error for answer in result.answers.values()]}"

    async def _submit(self) -> str | None:
        lane, data_class, how = next(self._submissions)
        address = self._ledger.address(data_class)
        wanted = (READER, "analysis") if how == HARD else (READER, VERDICT)
        task = Task(text=f"We loved the little museum. {how} id:{address.task_id}", wanted=wanted, timeout_s=2 * LATE_S)
        assert await self._ledger.submit(address, task, lane)
        await self._village.client.done(address, within_s=2 * LATE_S)
        return None


async def test_a_rolling_restart_of_everything_under_load_loses_nothing_and_fails_nobody(patient, frontier, outcome, trials):
    async with Ledger.opened(patient.client, frontier=frontier) as ledger:
        load = Load(patient, ledger)
        async with load.going_on():
            for name in [replica for _ in range(share(trials, 0.02)) for service in SERVICES for replica in patient.replicas(service)]:
                began = time.monotonic()
                ended = await patient.stopped(name)
                outcome.recovery_s.append(time.monotonic() - began)
                assert ended.exit_status == 0, f"{name} ended with {ended.exit_status}"
                outcome.trials += 1
        audit = await ledger.settled()
        ledger.close_into(outcome)
    took_s = sorted(ledger.done(address).took_ms / 1000 for address in ledger.entered)
    outcome.kills = 0
    outcome.note(**load.served, failed=len(load.failed), slowest_task_s=round(took_s[-1], 2), statuses=dict(audit.statuses))

    assert audit.clean, audit
    assert load.failed == []
    assert set(audit.statuses) == {Status.COMPLETED}
    assert not audit.dead_letters
    assert took_s[-1] < AT_ONCE_S, took_s[-5:]
    assert audit.extra_calls == 0
    assert min(load.served["ask"], load.served["run"], load.served["submit"]) > outcome.trials


async def test_scaling_down_finishes_a_document_that_ends_soon_and_hands_back_one_that_does_not(patient):
    await asyncio.gather(finishes_what_ends_soon(patient), hands_back_what_does_not(patient))


async def finishes_what_ends_soon(village: Village) -> None:
    """A replica that is told to stop reads a text to its end, and ends itself."""
    text = long_text(int(await reading_speed(village) * SOON_S))

    async with begun(village, text) as step:
        stopping = asyncio.create_task(village.stopped(step.reader))
        done = await village.client.done(step.address)
        ended = await stopping

    assert done.status is Status.COMPLETED
    assert await village.deliveries(CONSUMER) == step.deliveries + 1
    assert village.calls(step.address) == len(step.stored) == 1
    assert ended.exit_status == 0


async def hands_back_what_does_not(village: Village) -> None:
    """A replica that is told to stop hands a document back that would take for ever, and another one has it at once."""
    gate, address = Gate(village.folder, new_address().task_id), new_address()
    consumer = step_consumers(ROUTER)[Lane.BULK]
    before = await village.deliveries(consumer)
    try:
        weigh = Task(text=f"Weigh id:{address.task_id} {gate.word}", wanted=(VERDICT,))
        assert await village.client.submit(address, weigh, Lane.BULK)
        (pid,) = await until(lambda: holders(village, address), "a replica has it in hand")
        stopping = asyncio.create_task(village.stopped(next(n for n in village.replicas(ROUTER) if village.pid(n) == pid)))
        await until(lambda: len(holders(village, address)) == 2, "the other replica has it in hand", GRACE_S + AT_ONCE_S)
    finally:
        gate.open()

    assert (await village.client.done(address)).status is Status.COMPLETED
    assert await village.deliveries(consumer) - before == 2
    assert (await stopping).exit_status == 0


def holders(village: Village, address: Address) -> set[int]:
    """Return the processes that have begun to answer a task."""
    return {beginning.pid for beginning in Begun(village.folder).read() if beginning.task_id == address.task_id}
