"""Supervision: processes that are kept running, stopped in order, and never left behind. The processes are dummies."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from smallmesh.agent import Agent
from smallmesh.catalogue import AgentFolder, Catalogue, CatalogueError
from smallmesh.supervise import Mesh, MeshError, ProcessState, run_until_signalled
from smallmesh.supervise import child as child_module
from smallmesh.supervise import mesh as mesh_module
from smallmesh.supervise.backoff import backoff_s
from smallmesh.supervise.child import Child, last_lines
from smallmesh.supervise.programs import ORCHESTRATORS, Program, programs
from smallmesh_contracts import AgentRequest, AgentResult, DataClass

SLEEPS = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
DIES = "import sys; print('model file is missing'); sys.exit(3)"
READY = """
import asyncio, os, signal
from smallmesh.bus import ServiceSpec
from smallmesh.bus.nats import NatsBus
from smallmesh.settings import settings

async def main():
    bus = await NatsBus.connect(settings().nats_url, name="dummy")
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    await bus.serve(ServiceSpec("dummy", "1.0.0", "", {"pid": str(os.getpid())}))
    await end.wait()
    await bus.close()

asyncio.run(main())
"""


def program(code, name="dummy"):
    return Program(name, (sys.executable, "-c", code))


def alive(pid):
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def gone_soon(pid, within=5.0):
    deadline = time.monotonic() + within
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


@pytest.fixture
async def make_child(tmp_path):
    """Make children whose states are noted, and end them."""
    made = []

    def make(code, *, restart=True):
        states = []
        child = Child(program(code), dict(os.environ), tmp_path / "log", lambda c: states.append(c.state), restart=restart)
        made.append(child)
        return child, states

    yield make
    for child in made:
        child.end_now()
        await child.ended()


async def seen(holds, within=20.0):
    """Wait for what sets no event: processes, their states and their logs."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.01)


async def reach(child, state):
    await seen(lambda: child.state is state)


async def running(child, other_than=None):
    await seen(lambda: child.pid not in {None, other_than})
    return child.pid


# ---------------------------------------------------------------- how soon


@pytest.mark.parametrize(
    ("quick_deaths", "wait_s"),
    [
        (0, 0.1),  # it had lived well: at once
        (1, 0.5),
        (2, 1.0),
        (3, 2.0),
        (4, 4.0),
        (5, None),  # given up
        (6, None),
    ],
)
def test_the_wait_doubles_with_each_quick_death_until_it_is_given_up(quick_deaths, wait_s):
    assert backoff_s(quick_deaths) == wait_s


# ---------------------------------------------------------------- what runs


class Echo(Agent):
    name = "echo"
    answer = "echo"
    description = "Says nothing"
    request = AgentRequest
    result = AgentResult

    async def respond(self, request, model):
        raise NotImplementedError


@pytest.fixture
def catalogue(tmp_path):
    return Catalogue([AgentFolder(Echo(), tmp_path)])


def test_a_mesh_has_every_agent_and_an_orchestrator_for_restricted_work_alone(catalogue):
    names = [p.name for p in programs(catalogue, {})]

    assert names == ["echo", "orchestrator", "orchestrator_restricted"]
    assert {c for classes in ORCHESTRATORS.values() for c in classes} == set(DataClass)
    assert ORCHESTRATORS["orchestrator_restricted"] == (DataClass.RESTRICTED,)


def test_replicas_are_numbered_and_none_can_be_wanted(catalogue):
    assert [p.name for p in programs(catalogue, {"echo": 3, "orchestrator": 0})] == ["echo", "echo-2", "echo-3", "orchestrator_restricted"]


def test_a_part_of_the_agents_can_be_wanted(catalogue):
    assert [p.name for p in programs(catalogue, {}, only=())] == ["orchestrator", "orchestrator_restricted"]


@pytest.mark.parametrize("wanted", [{"scale": {"sentimnt": 2}}, {"scale": {}, "only": ["sentimnt"]}])
def test_a_name_that_nothing_has_is_refused_with_the_names_there_are(catalogue, wanted):
    with pytest.raises(CatalogueError, match=r"sentimnt.*echo"):
        programs(catalogue, **wanted)


# ---------------------------------------------------------------- one process


async def test_a_process_is_started_and_stopped(make_child):
    child, states = make_child(SLEEPS)
    child.start()
    pid = await running(child)
    child.is_ready()

    child.terminate()
    await child.ended()

    assert states == [ProcessState.STARTING, ProcessState.READY, ProcessState.STOPPED]
    assert not alive(pid)


async def test_a_process_that_is_killed_runs_again_at_once(make_child):
    child, _ = make_child(SLEEPS)
    child.start()
    first = await running(child)

    assert child.kill() == first
    second = await running(child, other_than=first)

    assert not alive(first)
    assert alive(second)
    assert child.info().restarts == 1
    assert child.info().exit_status == -signal.SIGKILL


async def test_a_process_that_dies_quickly_again_and_again_is_given_up_with_its_last_words(make_child, monkeypatch):
    monkeypatch.setattr(child_module, "backoff_s", lambda deaths: None if deaths >= 3 else 0.0)
    child, states = make_child(DIES)

    child.start()
    await reach(child, ProcessState.FAILED)

    assert states == [ProcessState.STARTING, ProcessState.WAITING] * 2 + [ProcessState.STARTING, ProcessState.FAILED]
    assert child.info().exit_status == 3
    assert child.info().last_words == ("model file is missing",)  # of its latest life only


async def test_a_process_that_was_ready_once_is_never_given_up_even_if_it_dies_before_it_is_ready_again(make_child, monkeypatch):
    monkeypatch.setattr(child_module, "backoff_s", lambda _: None)
    monkeypatch.setattr(child_module, "LONGEST_WAIT_S", 0.0)
    child, _ = make_child(SLEEPS)
    child.start()
    pid = await running(child)
    child.is_ready()

    for _ in range(3):
        os.kill(pid, signal.SIGTERM)  # not by kill(), which is a test's own doing and counts for nothing
        pid = await running(child, other_than=pid)

    assert child.info().restarts == 3


async def test_a_process_that_shall_not_run_again_fails_at_its_first_death(make_child):
    child, states = make_child(DIES, restart=False)

    child.start()
    await reach(child, ProcessState.FAILED)

    assert states == [ProcessState.STARTING, ProcessState.FAILED]


async def test_a_process_that_waits_to_be_started_again_can_be_stopped(make_child, monkeypatch):
    monkeypatch.setattr(child_module, "backoff_s", lambda _: 60.0)
    child, _ = make_child(DIES)
    child.start()
    await reach(child, ProcessState.WAITING)

    child.terminate()
    await asyncio.wait_for(child.ended(), 1)

    assert child.state is ProcessState.STOPPED


async def test_a_process_that_is_stopped_while_it_is_being_started_stops(make_child):
    child, _ = make_child(SLEEPS)
    child.start()
    await asyncio.sleep(0)

    child.terminate()
    await asyncio.wait_for(child.ended(), 5)

    assert child.pid is None
    assert child.state is ProcessState.STOPPED


async def test_a_process_that_is_deaf_to_signals_can_be_ended(make_child, tmp_path):
    child, _ = make_child(STUBBORN)
    child.start()
    await seen(lambda: last_lines(tmp_path / "log") == ("deaf",))

    child.terminate()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(child.ended()), 0.2)
    child.end_now()
    await asyncio.wait_for(child.ended(), 5)

    assert child.pid is None


async def test_a_program_that_cannot_be_started_fails_and_says_why(tmp_path):
    child = Child(program(SLEEPS), {}, tmp_path / "no-such-folder" / "log", lambda _: None, restart=True)

    child.start()
    await reach(child, ProcessState.FAILED)

    assert "no-such-folder" in child.info().last_words[0]


def test_only_the_last_lines_of_a_long_log_are_read(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(10_000)))

    assert last_lines(log)[-1] == "line 9999"
    assert len(last_lines(log)) == child_module.LAST_LINES


PARENT = """
import asyncio, os, sys
from pathlib import Path
from smallmesh.supervise.child import Child
from smallmesh.supervise.programs import Program

async def main():
    program = Program("dummy", (sys.executable, "-c", "import time; time.sleep(60)"))
    child = Child(program, dict(os.environ), Path(sys.argv[1]), lambda _: None, restart=True)
    child.start()
    while child.pid is None:
        await asyncio.sleep(0.01)
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_no_process_outlives_a_parent_that_is_killed(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    with parent:
        pid = int(parent.stdout.readline())
        assert alive(pid)

        parent.kill()

        assert gone_soon(pid)


# ---------------------------------------------------------------- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_program_and_its_clean_up_runs(number):
    cleaned = []

    async def main():
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    assert run_until_signalled(main()) is None
    assert cleaned == [True]


def test_a_program_that_no_signal_ends_returns_its_value():
    async def main():
        return 7

    assert run_until_signalled(main()) == 7


# ---------------------------------------------------------------- the whole


@pytest.fixture
def dummies(monkeypatch, tmp_path):
    """Let a mesh consist of these programs, with no agents on its path."""
    path = tmp_path / "agents"
    path.mkdir()

    def of(**codes):
        monkeypatch.setattr(mesh_module, "programs", lambda *_: tuple(program(code, name) for name, code in codes.items()))
        return {"agent_path": [path], "store": tmp_path / "mesh"}

    return of


async def test_a_mesh_is_ready_when_every_process_answers_and_leaves_nothing_behind(dummies):
    changes = []
    async with Mesh.start(**dummies(one=READY, two=READY), on_change=changes.append) as mesh:
        await mesh.ready(20)
        processes = mesh.processes

    assert [p.name for p in processes] == ["broker", "one", "two"]
    assert all(p.state is ProcessState.READY and p.memory_bytes for p in processes)
    assert [c.state for c in changes if c.name == "one"] == [ProcessState.STARTING, ProcessState.READY, ProcessState.STOPPED]
    assert not any(alive(p.pid) for p in processes)


async def test_a_killed_process_and_a_killed_broker_come_back(dummies):
    async with Mesh.start(**dummies(one=READY)) as mesh:
        await mesh.ready(20)
        broker, one = (p.pid for p in mesh.processes)

        assert mesh.kill("broker") == broker
        assert mesh.kill("one") == one
        await seen(lambda: not {p.pid for p in mesh.processes} & {broker, one, None})
        await mesh.ready(20)

        assert [p.restarts for p in mesh.processes] == [1, 1]


async def test_a_process_that_does_not_start_is_named_with_the_end_of_its_log(dummies):
    with pytest.raises(MeshError, match=r"one does not start \(exit status 3\)[\s\S]*model file is missing"):
        async with Mesh.start(**dummies(one=DIES), restart=False) as mesh:
            await mesh.ready(20)


async def test_a_process_that_is_never_ready_is_named(dummies):
    with pytest.raises(MeshError, match=r"one \(starting\)"):
        async with Mesh.start(**dummies(one=SLEEPS)) as mesh:
            await mesh.ready(0.5)


async def test_a_mesh_that_is_cancelled_while_it_starts_leaves_nothing_behind(dummies):
    pids = []

    async def start():
        async with Mesh.start(**dummies(one=SLEEPS), on_change=lambda p: pids.append(p.pid)) as mesh:
            pids.append(mesh.broker.pid)
            await mesh.ready(20)

    starting = asyncio.create_task(start())
    await seen(lambda: len(pids) >= 2)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert not any(alive(pid) for pid in pids if pid)
