"""Work that takes many times the ack wait: in hand for as long as it gets on, given to another replica when it hangs."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from smallmesh.bus.layout import step_consumers
from smallmesh_contracts import Address, Lane, Status, Task
from tests.faults.reading import CONSUMER, Begun, begun, reading_speed
from tests.faults.share import share
from tests.faults.threads import NotPermittedError, held_still, other_threads
from tests.faults.village import ACK_WAIT_S, READER, ROUTER, VERDICT, Village, long_text
from tests.support.client import new_address
from tests.support.meshes import http_status, process
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.experiment(7)]

LONG_S, SHORT_S = 5 * ACK_WAIT_S, 2 * ACK_WAIT_S
BUDGET_S = 170.0
A_MOMENT_S = 0.1
WINDOW_S = 0.25
OK = 200


@pytest_asyncio.fixture(loop_scope="session")
async def brisk(village):
    """The village with a short ack wait."""
    await village.ack_waits(ACK_WAIT_S)
    return village


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def characters_a_second(village) -> float:
    return await reading_speed(village)


@pytest.fixture
def permitted(brisk):
    """The village, where a thread of its processes may be held."""
    try:
        with held_still(other_threads(brisk.pid(READER))[0]):
            return brisk
    except NotPermittedError as error:
        pytest.skip(f"no thread of another process can be held here: {error}")


async def test_work_that_gets_on_stays_in_hand_for_five_ack_waits_and_is_done_once(brisk, characters_a_second, outcome):
    slowly = Task(text=f"Slowly windows:{int(LONG_S / WINDOW_S)}x{WINDOW_S}", wanted=(VERDICT,))
    judged_s = await redelivers_nothing(brisk, ROUTER, new_address(), slowly)
    read_s, longer = 0.0, 1
    while read_s < LONG_S / 2:  # a machine that has become quicker since its speed was measured reads a longer text
        address, text = new_address(), long_text(int(characters_a_second * LONG_S * longer))
        read_s, longer = await redelivers_nothing(brisk, READER, address, Task(text=text, wanted=(READER,))), longer * 2
        assert brisk.calls(address) == 1

    outcome.note(read_s=round(read_s, 1), judged_s=round(judged_s, 1), ack_wait_s=ACK_WAIT_S)
    assert judged_s >= LONG_S / 2


async def redelivers_nothing(village: Village, agent: str, address: Address, task: Task) -> float:
    """The broker hands the step of a task out once; return the seconds that the agent worked on it."""
    consumer = step_consumers(agent)[Lane.BULK]
    before = await village.deliveries(consumer)

    assert await village.client.submit(address, task, Lane.BULK)
    done = await village.client.done(address, BUDGET_S)

    (answer,) = done.answers.values()
    assert done.status is Status.COMPLETED
    assert await village.deliveries(consumer) - before == 1
    return float(answer.provenance.worked_ms) / 1000


async def test_a_model_that_hangs_loses_its_step_to_another_replica_and_its_late_answer_is_refused(
    permitted, characters_a_second, outcome, trials
):
    text = long_text(int(characters_a_second * SHORT_S))
    for _ in range(share(trials, 0.05)):
        async with begun(permitted, text) as step, hung(permitted, step):
            hung_at = time.monotonic()
            done = await permitted.client.done(step.address, BUDGET_S)
            outcome.recovery_s.append(time.monotonic() - hung_at)
            sequence = await permitted.client.sequence(step.result)
        await until(lambda s=step: healthy(permitted, s.reader), "the one that hung goes on, or another has taken its place")
        await permitted.client.idle()

        assert done.status is Status.COMPLETED
        assert await permitted.deliveries(CONSUMER) > step.deliveries + 1, "it was never given to another"
        assert len(step.stored) == 1
        assert await permitted.client.sequence(step.result) == sequence
        outcome.trials += 1
    outcome.kills = outcome.trials


async def test_a_model_that_hangs_for_a_moment_goes_on_and_nobody_is_replaced(permitted, characters_a_second):
    pids = {name: permitted.pid(name) for name in permitted.replicas(READER)}

    async with begun(permitted, long_text(int(characters_a_second * SHORT_S))) as step:
        async with hung(permitted, step):
            await asyncio.sleep(ACK_WAIT_S / 2)  # for a time is what it hangs for
        done = await permitted.client.done(step.address, BUDGET_S)
        await permitted.client.idle()

    assert done.status is Status.COMPLETED
    assert len(step.stored) == 1
    assert {name: permitted.pid(name) for name in permitted.replicas(READER)} == pids


@asynccontextmanager
async def hung(village: Village, step: Begun) -> AsyncIterator[None]:
    """Hold a replica's model still, in the middle of what it does; the rest of its process goes on."""
    while True:
        with held_still(step.thread):
            if await healthy(village, step.reader):
                yield
                return
        await asyncio.sleep(A_MOMENT_S)  # it was held with the interpreter's lock in its hands: all of the process stood still


async def healthy(village: Village, name: str) -> bool:
    """Tell whether a process lives and its event loop runs."""
    pid = process(village.mesh, name).pid
    with contextlib.suppress(TimeoutError, OSError, ValueError, IndexError):
        async with asyncio.timeout(A_MOMENT_S * 10):
            told = next((s.metadata for s in await village.client.bus.services(0.5) if s.metadata.get("pid") == str(pid)), None)
            return told is not None and await http_status(told["health"], "/livez") == OK
    return False
