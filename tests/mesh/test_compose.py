"""The compose files on a real Docker Engine: where one runs here with Compose v2 and the images; nothing is built or pulled."""

import asyncio
import os
import re
import shutil
import uuid
from collections import Counter
from pathlib import Path

import pytest
import pytest_asyncio

from smallmesh.bus.layout import step_consumers
from smallmesh.catalogue import Catalogue
from smallmesh.supervise.programs import programs
from smallmesh_contracts import DataClass, Lane, Status, Task
from tests.support.client import Client, new_address
from tests.support.meshes import SERVICES
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

COMPOSE = Path(__file__).parents[2] / "compose"
LEAST_COMPOSE = (2, 20)
PATIENT_S = 300
STEPS = step_consumers("sentiment")[Lane.INTERACTIVE]
PROCESSES = {program.name for program in programs(Catalogue.load([SERVICES]), {})}
TEXT = "The crate came late, and Ana Lopes of Kestrel Freight was kind about it."
BACKLOG = [f"Crate {n}. " + f"{TEXT} " * 40 for n in range(30)]
"""Long enough that there is work left when a replica is killed."""


async def docker(*arguments, check=True):
    """Run docker; return what it prints."""
    process = await asyncio.create_subprocess_exec(
        "docker", *arguments, cwd=COMPOSE, env=environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0 or not check, err.decode()
    return out.decode().strip() if process.returncode == 0 else ""


def environment():
    """Return an environment that takes free ports, and no key or image of the developer's."""
    ours = ("SMALLMESH_", "ANTHROPIC_", "NATS_", "JAEGER_", "OTLP_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"NATS_PORT": "0", "JAEGER_PORT": "0"}


async def missing():
    """Say what these tests lack here; an empty text if nothing."""
    if shutil.which("docker") is None:
        return "there is no docker"
    version = re.match(r"v?(\d+)\.(\d+)", await docker("compose", "version", "--short", check=False))
    if version is None or tuple(map(int, version.groups())) < LEAST_COMPOSE:
        return "there is no docker compose of version 2.20 or newer"
    if not await docker("info", "--format", "{{.ID}}", check=False):
        return "no Docker Engine answers"
    wanted = set((await docker("compose", "config", "--images")).split())
    absent = [image for image in sorted(wanted) if not await docker("image", "inspect", "--format", "{{.Id}}", image, check=False)]
    return f"images are not there: {', '.join(absent)}" if absent else ""


class Installation:
    """A compose project of its own."""

    def __init__(self):
        self.name = f"smallmesh-test-{uuid.uuid4().hex[:8]}"

    async def compose(self, *arguments, check=True):
        return await docker("compose", "--project-name", self.name, "--env-file", os.devnull, *arguments, check=check)

    async def up(self, *arguments):
        """Start what is not running, and wait until everything is healthy."""
        await self.compose("up", "--detach", "--no-build", *arguments)
        await until(self.healthy, "every process is healthy", PATIENT_S)

    async def healthy(self):
        listed = await self.compose("ps", "--format", "{{.Service}} {{.Health}}")
        states = [tuple(line.split()) for line in listed.splitlines()]
        return {name for name, *health in states if health == ["healthy"]} >= PROCESSES and {*states} <= {
            (name, *health) for name, *health in states if health in ([], ["healthy"])
        }

    async def url(self):
        return f"nats://{await self.compose('port', 'broker', '4222')}"

    async def containers(self, service):
        return (await self.compose("ps", "--quiet", service)).split()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def installation():
    lacking = await missing()
    if lacking:
        pytest.skip(lacking)
    made = Installation()
    try:
        await made.up()
        yield made
    finally:
        await made.compose("down", "--volumes", check=False)


@pytest.mark.parametrize("data_class", DataClass)
async def test_a_task_of_each_class_is_completed(installation, data_class):
    async with Client.connected(await installation.url()) as client:
        done = await client.whole(new_address(data_class), Task(text=TEXT))

    assert done.status is Status.COMPLETED


async def test_no_process_runs_as_root_or_can_write_to_its_image(installation):
    for service in PROCESSES:
        told = await installation.compose("exec", "-T", service, "bash", "-c", "id -u; touch /opt/smallmesh/x 2>&1; exit 0")

        assert told.splitlines()[0] == "10001", service
        assert "Read-only file system" in told, service


async def test_an_agent_cannot_reach_the_outside_and_has_no_key(installation):
    told = await installation.compose("exec", "-T", "sentiment", "bash", "-c", "cat /proc/net/route; env")

    assert not [line for line in told.splitlines() if line.split()[1:2] == ["00000000"]]  # a default route
    assert "ANTHROPIC_API_KEY" not in told


async def test_three_replicas_share_the_work_and_one_that_is_killed_loses_none(installation):
    await installation.up("--scale", "sentiment=3")
    doomed, *_ = await installation.containers("sentiment")
    async with Client.connected(await installation.url()) as client:
        await until(lambda: replicas(client, "sentiment", 3), "three replicas answer")
        before = await deliveries(client)
        addresses = [new_address() for _ in BACKLOG]
        for address, text in zip(addresses, BACKLOG, strict=True):
            assert await client.submit(address, Task(text=text, wanted=["sentiment"], timeout_s=PATIENT_S))
        await until(lambda: working(client), "there is work in hand")
        await docker("kill", doomed)
        done = [await client.done(address, PATIENT_S) for address in addresses]
        given_out = await deliveries(client) - before

    assert [result.answers for result in done if result.status is not Status.COMPLETED] == []
    assert given_out > len(BACKLOG), "the replica had nothing in hand when it was killed"


async def replicas(client, name, number):
    return Counter(info.name for info in await client.bus.services(1.0))[name] == number


async def working(client):
    return (await client.consumer(STEPS)).num_ack_pending


async def deliveries(client):
    return (await client.consumer(STEPS)).delivered.consumer_seq


async def test_what_was_stored_outlives_the_containers(installation):
    address = new_address()
    async with Client.connected(await installation.url()) as client:
        before = await client.whole(address, Task(text=TEXT))

    await installation.compose("down")
    await installation.up()

    async with Client.connected(await installation.url()) as client:
        assert await client.done(address) == before
