"""Many documents through a mesh: a run that is killed, interrupted or cut off goes on, and nothing is done twice."""

import asyncio
import json
import signal
import sys
import uuid
from collections import Counter
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.layout import DONE, TASKS, lease_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.cli.exits import Exit
from smallmesh_contracts import ContractError, DataClass, Status, TaskResult, digest_of, subjects
from tests.support.client import Client
from tests.support.patience import until
from tests.support.processes import ended, environment

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

BAD = (b"not json\n", b'{"id": "too-long", "text": "x", "instruction": "' + b"y" * 9_000 + b'"}\n')
FILES = ("--out", "results.jsonl", "--errors", "errors.jsonl")


class Desk:
    """Where somebody works at the command line, in a folder, as a tenant."""

    def __init__(self, url, folder):
        self.folder = folder
        self.tenant = f"t{uuid.uuid4().hex[:8]}"
        self._env = environment(folder, nats_url=url, state_dir=str(folder))

    async def begin(self, *arguments):
        """Start the command line."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "smallmesh.cli", *arguments, "--tenant", self.tenant),
            cwd=self.folder,
            env=self._env,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )

    async def call(self, *arguments):
        """Run the command line to its end."""
        return await ended(await self.begin(*arguments))

    def write(self, lines):
        """Write the documents."""
        (self.folder / "in.jsonl").write_bytes(b"".join(lines))

    def lines(self, name):
        """Return the whole lines of a file that is there."""
        path = self.folder / name
        return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")] if path.exists() else []

    def ids(self):
        """Return how often each id stands in results and errors; of a line without one, its number."""
        told = [one["task_id"] for one in self.lines("results.jsonl")]
        return Counter(told + [one["id"] or one["line"] for one in self.lines("errors.jsonl")])

    async def results(self, count):
        """Wait until so many are written."""

        path = self.folder / "results.jsonl"

        def enough():
            return path.exists() and path.read_bytes().count(b"\n") >= count

        await until(enough, f"{count} results")


@pytest.fixture
def desk(town, tmp_path):
    return Desk(town.url, tmp_path)


def documents(count, word="hello"):
    return [json.dumps({"id": f"d-{n}", "text": f"{word} number {n}", "wanted": ["entities"]}).encode() + b"\n" for n in range(count)]


# ---------------------------------------------------------------- killed and resumed


async def test_a_run_that_is_killed_again_and_again_goes_on_and_does_nothing_twice(desk, backend):
    count, before = 400, await backend.ever_stored(DONE.name)
    desk.write([*documents(count // 2), *BAD, *documents(count)[count // 2 :]])
    command = ("submit", "in.jsonl", *FILES, "--in-flight", "40", "--resume")

    for enough in (20, 120, 250):
        process = await desk.begin(*command)
        await desk.results(enough)
        process.kill()
        assert (await ended(process)).status == -signal.SIGKILL
    with (desk.folder / "results.jsonl").open("ab") as file:
        file.write(b'{"line":7,"task_id":"d-6","ten')  # as a kill in the middle of a write leaves it
    end = await desk.call(*command)

    assert end.status == Exit.ERROR, "two of the lines are bad"
    assert desk.ids() == Counter([*(f"d-{n}" for n in range(count)), count // 2 + 1, "too-long"])
    assert {one["task_id"]: one["line"] for one in desk.lines("results.jsonl")}["d-399"] == 402
    assert await backend.ever_stored(DONE.name) - before == count


async def test_ctrl_c_writes_what_came_says_how_to_go_on_and_loses_nothing(desk, backend):
    count, before = 300, await backend.ever_stored(DONE.name)
    desk.write([json.dumps({"text": f"hello number {n}", "wanted": ["entities"]}).encode() + b"\n" for n in range(count)])  # no ids
    command = ("submit", "in.jsonl", *FILES, "--in-flight", "20")

    process = await desk.begin(*command)
    await desk.results(30)
    process.send_signal(signal.SIGINT)
    interrupted = await ended(process)
    refused = await desk.call(*command)
    there = len(desk.lines("results.jsonl"))
    resumed = await desk.call(*command, "--resume")

    assert interrupted.status == Exit.INTERRUPTED
    assert "--resume" in interrupted.err
    assert "Traceback" not in interrupted.err
    assert 30 <= there < count
    assert refused.status == Exit.USAGE
    assert resumed.status == Exit.OK, resumed.err
    assert f"{there} done before" in resumed.err
    assert len(desk.ids()) == count
    assert set(desk.ids().values()) == {1}
    assert await backend.ever_stored(DONE.name) - before == count


async def test_what_was_in_the_mesh_when_a_run_died_is_waited_for_and_not_done_again(desk, gate):
    desk.write([json.dumps({"id": f"d-{n}", "text": f"{gate.word} {n}", "wanted": ["sentiment"]}).encode() + b"\n" for n in range(20)])
    command = ("submit", "in.jsonl", *FILES, "--resume")

    async def begun():
        return gate.entered

    process = await desk.begin(*command)
    await until(begun, "an inference")
    process.kill()
    await ended(process)
    gate.open()
    end = await desk.call(*command)

    assert end.status == Exit.OK, end.err
    assert desk.ids() == Counter(f"d-{n}" for n in range(20))
    assert gate.entered == 20


async def test_a_run_that_is_repeated_without_files_submits_nothing_again(desk, backend):
    desk.write(documents(50))

    first = await desk.call("submit", "in.jsonl")
    submitted = await backend.ever_stored(TASKS.name)
    again = await desk.call("submit", "in.jsonl")

    assert sorted(first.out.splitlines()) == sorted(again.out.splitlines())
    assert len(first.out.splitlines()) == 50
    assert await backend.ever_stored(TASKS.name) == submitted


# ---------------------------------------------------------------- cancelled


async def test_all_of_a_file_is_cancelled_and_whoever_waits_for_it_is_told(desk, gate):
    desk.write([json.dumps({"text": f"{gate.word} {n}", "wanted": ["sentiment"]}).encode() + b"\n" for n in range(30)])
    waiting = await desk.begin("submit", "in.jsonl", *FILES, "--json")

    async def begun():
        return gate.entered

    await until(begun, "an inference")
    ids = await desk.call("submit", "in.jsonl", "--dry-run")
    cancelling = await desk.begin("cancel", "-", "--json")
    out, _ = await cancelling.communicate(ids.out.encode())
    end = await ended(waiting)

    told = [json.loads(line) for line in out.splitlines()]
    assert Counter(one["status"] for one in told) == {"cancelled": 30}
    assert cancelling.returncode == Exit.OK
    assert json.loads(end.err.splitlines()[-1])["totals"] == {"cancelled": 30}
    assert end.status == Exit.ERROR
    assert {one["error"]["code"] for one in desk.lines("errors.jsonl")} == {"cancelled"}
    assert {one["id"] for one in desk.lines("errors.jsonl")} == {one["id"] for one in told}


async def test_what_ended_before_it_was_cancelled_stands(desk):
    desk.write(documents(3))
    await desk.call("submit", "in.jsonl")

    end = await desk.call("cancel", "d-0", "d-1", "nobody", "--json")

    told = {one["id"]: (one["status"], (one["error"] or {}).get("code")) for one in map(json.loads, end.out.splitlines())}
    assert told == {"d-0": ("completed", None), "d-1": ("completed", None), "nobody": (None, "invalid_request")}
    assert end.status == Exit.ERROR


# ---------------------------------------------------------------- a full mesh, a broker that goes away


class Stub:
    """A broker of this test's own, and an orchestrator that completes whatever it is given."""

    def __init__(self, broker, bus):
        self.broker = broker
        self.bus = bus
        self.client = Client(bus)

    @classmethod
    @asynccontextmanager
    async def running(cls):
        consumers = lease_consumers([DataClass.RESTRICTED], ack_wait_s=1.0)
        with EmbeddedBroker.start() as broker:
            bus = await NatsBus.connect(broker.url, name="stub")
            await bus.provision(consumers)
            stub = cls(broker, bus)
            taking = [await bus.consume(consumer, stub.complete, slots=50) for consumer in consumers]
            yield stub
            for one in taking:
                await one.stop()
            await bus.close()

    async def complete(self, delivery):
        address = subjects.address_of(delivery.subject)
        names = {"task_id": address.task_id, "tenant": address.tenant, "data_class": address.data_class}
        result = TaskResult(**names, status=Status.COMPLETED, digest=digest_of(delivery.body), took_ms=1.0)
        try:
            await self.bus.store(subjects.done(address), result.to_bytes())
            await delivery.ack()
        except ContractError:
            return  # the broker is away: it comes again


@pytest_asyncio.fixture(loop_scope="session")
async def stub():
    async with Stub.running() as running:
        yield running


async def test_a_full_mesh_is_waited_for_and_fails_nothing(stub, tmp_path):
    desk = Desk(stub.broker.url, tmp_path)
    config = (await stub.client.js.stream_info(TASKS.name)).config
    config.max_msgs = 3
    await stub.client.js.update_stream(config)
    desk.write(documents(100))

    end = await desk.call("submit", "in.jsonl", *FILES, "--json")

    *told, last = map(json.loads, end.err.splitlines())
    assert end.status == Exit.OK
    assert desk.ids() == Counter(f"d-{n}" for n in range(100))
    assert last["totals"] == {"completed": 100}
    assert last["took_s"] > 5, "somebody was told to come again"
    assert all("progress" in one for one in told), "and it is no failure"


async def test_a_broker_that_goes_away_and_comes_back_loses_nothing(stub, tmp_path):
    desk = Desk(stub.broker.url, tmp_path)
    count = 3_000
    desk.write(documents(count))
    running = await desk.begin("submit", "in.jsonl", *FILES)

    for enough in (200, 1_200):
        await desk.results(enough)
        stub.broker.kill()
        await asyncio.to_thread(stub.broker.restart)
    end = await ended(running)

    assert end.status == Exit.OK, end.err
    assert desk.ids() == Counter(f"d-{n}" for n in range(count))
    assert await stub.client.ever_stored(DONE.name) == count
