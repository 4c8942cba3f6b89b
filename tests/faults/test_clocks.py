"""Clocks an hour fast and an hour slow, and clocks that jump in mid-work: nothing expires early, lasts a negative time or stops beating."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.layout import all_consumers, lease_consumers, step_consumers
from smallmesh_contracts import DataClass, ErrorCode, Lane, Status, Task
from tests.faults.share import share
from tests.support.client import Client, new_address
from tests.support.rules import SAY, write_agent
from tests.support.serving import served

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.experiment(14)]

FOLDERS = ("/usr/lib/*/faketime", "/usr/lib*/faketime", "/usr/local/lib/faketime", "/usr/local/lib*/faketime")
LIBRARY = "libfaketime.so.1"
HOUR = 3600
FAST, SLOW = "fast", "slow"
"""Agents, each with a clock of its own; and so have the orchestrators of public and of internal tasks."""
OFFSETS = {FAST: HOUR, SLOW: -HOUR}
ORCHESTRATORS = {FAST: DataClass.PUBLIC, SLOW: DataClass.INTERNAL}
ACK_WAIT_S = 0.8
LONG_S = 3 * ACK_WAIT_S
BUDGET_S = 30.0
_TAKES_ITS_TIME = f"""
await asyncio.sleep(float(request.text.split()[-1]))
{SAY}
"""


@pytest.fixture(scope="session")
def library() -> Path:
    found = [path for pattern in FOLDERS for path in Path("/").glob(f"{pattern[1:]}/{LIBRARY}")]
    if not found:
        pytest.skip(f"no {LIBRARY} in {', '.join(FOLDERS)}: install the package faketime")
    return found[0]


class Clocks:
    """The clocks of the processes that are started with :meth:`of`. What is measured, not told, goes on evenly."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._library = library
        self._folder = folder
        self.set(OFFSETS)

    def of(self, name: str) -> dict[str, str]:
        """Return the environment that puts a process under a clock."""
        file = str(self._folder / name)
        told = {"FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return {"LD_PRELOAD": str(self._library), **told}

    def set(self, offsets: dict[str, int]) -> None:
        """Put each clock so many seconds beside the right time, at once."""
        for name, offset in offsets.items():
            new = self._folder / f"{name}.new"
            new.write_text(f"{offset:+d}\n", encoding="ascii")
            new.replace(self._folder / name)

    def jump(self) -> None:
        """Set the fast ones slow and the slow ones fast."""
        self.set({name: -offset for name, offset in OFFSETS.items()})


@pytest.fixture(scope="module")
def clocks(library, tmp_path_factory):
    return Clocks(library, tmp_path_factory.mktemp("clocks"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def skewed(clocks, tmp_path_factory):
    """A client of a mesh of two agents and two orchestrators, each under a clock of its own."""
    agents = tmp_path_factory.mktemp("skewed") / "agents"
    for name in OFFSETS:
        write_agent(agents, name, name, _TAKES_ITS_TIME)
    waits = {"step_ack_wait_s": str(ACK_WAIT_S), "lease_ack_wait_s": str(ACK_WAIT_S), "retry_base_s": "0.1"}
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker.start())
        client = await stack.enter_async_context(Client.connected(broker.url))
        await client.bus.provision(all_consumers(OFFSETS, (), step_wait_s=ACK_WAIT_S, lease_wait_s=ACK_WAIT_S))
        programs = [(name, "agent", name) for name in OFFSETS]
        programs += [(name, "orchestrator", "orchestrator", "--classes", c.value) for name, c in ORCHESTRATORS.items()]
        starting = (served(client, broker.url, agents, *what, env=clocks.of(name), **waits) for name, *what in programs)
        client.processes = await asyncio.gather(*(stack.enter_async_context(one) for one in starting))
        yield client
    said = [json.loads(line) for one in client.processes for line in one.ended.out.splitlines() if line.startswith("{")]
    negative = [record for record in said if any(record.get(name, 0) < 0 for name in ("latency_ms", "took_ms", "waited_ms", "worked_ms"))]
    assert not negative, negative


@pytest.fixture
def right_again(clocks):
    yield
    clocks.set(OFFSETS)


def text(seconds: float) -> str:
    return f"Hello and wait {seconds}"


async def seen_through(client, data_class, lane, task):
    """Submit a task; return its terminal result and the seconds that passed here."""
    began, address = time.monotonic(), new_address(data_class)
    assert await client.submit(address, task, lane)
    done = await client.done(address)
    return done, time.monotonic() - began


async def deliveries(client) -> dict[str, int]:
    """Return how many messages the broker has handed out, redeliveries included, and how many there were, by consumer."""
    consumers = [*lease_consumers(ORCHESTRATORS.values()), *(c for name in OFFSETS for c in step_consumers(name).values())]
    told = [(consumer.name, (await client.consumer(consumer)).delivered.consumer_seq) for consumer in consumers]
    return dict(told)


EVERYWHERE = [(data_class, lane) for data_class in ORCHESTRATORS.values() for lane in Lane]


async def everything_in_time(client, seconds: float) -> None:
    """Tasks of each orchestrator, lane and agent end well, in a time that can be, handed out once each."""
    before = await deliveries(client)
    task = Task(text=text(seconds), wanted=(FAST, SLOW), timeout_s=BUDGET_S)

    ended = await asyncio.gather(*(seen_through(client, *where, task) for where in EVERYWHERE))

    for done, passed_s in ended:
        assert done.status is Status.COMPLETED, done
        assert 1000 * seconds <= done.took_ms <= 1000 * passed_s
        for answer in done.answers.values():
            assert 0 <= answer.provenance.waited_ms <= 1000 * passed_s
            assert 1000 * seconds * 0.99 <= answer.provenance.worked_ms <= 1000 * passed_s
    after = await deliveries(client)
    steps, leases = 2 * len(EVERYWHERE), len(EVERYWHERE)
    assert sum(after.values()) - sum(before.values()) == steps + leases, "something was delivered twice"


async def test_nothing_expires_early_and_heartbeats_go_on_beside_clocks_an_hour_off(skewed, outcome):
    await everything_in_time(skewed, LONG_S)

    outcome.trials = len(EVERYWHERE)


@pytest.mark.usefixtures("right_again")
async def test_clocks_that_jump_by_two_hours_in_mid_work_change_nothing(skewed, clocks, outcome, trials):
    for _ in range(share(trials, 0.01)):
        working = asyncio.create_task(everything_in_time(skewed, LONG_S))
        await asyncio.wait([working], timeout=LONG_S / 2)
        clocks.jump()
        await working
        clocks.set(OFFSETS)
        outcome.trials += len(EVERYWHERE)


@pytest.mark.parametrize("lane", Lane)
async def test_a_budget_is_used_up_when_it_is_and_not_before(skewed, lane):
    budget_s = 1.2
    task = Task(text=text(20), wanted=(FAST, SLOW), timeout_s=budget_s)

    ended = await asyncio.gather(*(seen_through(skewed, data_class, lane, task) for data_class in ORCHESTRATORS.values()))

    for done, passed_s in ended:
        assert done.status is Status.EXPIRED
        assert {answer.error.code for answer in done.answers.values()} == {ErrorCode.EXPIRED}
        assert budget_s <= done.took_ms / 1000 <= passed_s
        assert passed_s < budget_s + 3.0


@pytest.mark.usefixtures("right_again")
async def test_whoever_waits_is_answered_by_those_clocks_too(skewed, clocks):
    task = Task(text=text(0.3), wanted=(FAST, SLOW))
    for offset in (OFFSETS, dict.fromkeys(OFFSETS, 0)):
        clocks.set(offset)
        runs = await asyncio.gather(*(skewed.run(task, data_class) for data_class in ORCHESTRATORS.values()))
        asks = [await skewed.ask(name, {"text": text(0.0)}) for name in OFFSETS]

        assert {run.status for run in runs} == {Status.COMPLETED}
        assert all(300 <= run.took_ms < 1000 * BUDGET_S for run in runs)
        assert all(answer.provenance.worked_ms >= 0 <= answer.provenance.waited_ms for answer, _ in asks)
