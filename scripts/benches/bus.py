"""What the bus costs: asks and durable tasks of agents that do nothing, beside raw nats-py on the same broker."""

import asyncio
import multiprocessing
import os
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api
from rich.console import Console

from scripts.benches.figures import Figure, Report, percentile
from scripts.benches.noop import write_agents
from scripts.benches.spans import span_sink
from smallmesh.bus import Message
from smallmesh.bus.nats import NatsBus
from smallmesh.supervise import Mesh
from smallmesh_contracts import Address, DataClass, Lane, Task, subjects

IN_FLIGHT = 64
RAW_BATCH = 256
WARM_UP = 50
TENANT = "bench"
TEXT = "The parcel arrived on Tuesday, two days late, but everything in it works and the fitter was kind."
ASK_TARGET = 2.0
TASK_P95_MS = 8.0
MESSAGES_A_TASK = 10
"""The submission, four steps, four results and the terminal result."""
LEAST_OF_RAW = 0.4


async def measure(rounds: int, load: int, *, quiet: bool) -> Report:
    """Run everything once and return the figures."""
    say = Console(stderr=True, quiet=quiet).print
    report = Report("bus: four agents that do nothing, one replica each, on this machine")
    with tempfile.TemporaryDirectory(prefix="smallmesh-bench-") as folder:
        agents = write_agents(Path(folder))
        with span_sink() as tracing:
            say("asks with spans exported, and raw request/reply …")
            async with _mesh(agents, tracing) as bus:
                report.figures.extend(await _asks(bus, rounds))
        async with _mesh(agents, {}) as bus:
            say("durable tasks, one at a time …")
            report.figures.extend(await _tasks_alone(bus, rounds))
        async with _mesh(agents, {"SMALLMESH_LOG_LEVEL": "warning"}) as bus:
            say(f"durable tasks, {IN_FLIGHT} in flight, and a raw work queue …")
            report.figures.extend(await _tasks_at_once(bus, load))
    return report


@asynccontextmanager
async def _mesh(agents: Path, environment: Mapping[str, str]) -> AsyncIterator[NatsBus]:
    os.environ.update(environment)
    try:
        async with Mesh.start(agent_path=[agents]) as mesh:
            await mesh.ready()
            bus = await NatsBus.connect(mesh.url, name="bench")
            try:
                yield bus
            finally:
                await bus.close()
    finally:
        for name in environment:
            del os.environ[name]


async def _asks(bus: NatsBus, rounds: int) -> list[Figure]:
    """Time raw request/reply with another process and asks, in turns."""
    url = bus.client.connected_url
    echo = multiprocessing.get_context("spawn").Process(target=_echo, args=(f"nats://{url.netloc}" if url else "",), daemon=True)
    echo.start()
    body = Task(text=TEXT).to_bytes()
    samples: dict[str, list[float]] = {"bench.echo": [], subjects.ask("sentiment"): []}
    try:
        await _until_answered(bus)
        for _ in range(rounds + WARM_UP):
            for subject, taken in samples.items():
                began = time.perf_counter()
                await bus.client.request(subject, body, timeout=5)
                taken.append((time.perf_counter() - began) * 1000)
    finally:
        echo.kill()
        echo.join()
    raw, ask = (percentile(taken[WARM_UP:], 50) for taken in samples.values())
    return [
        Figure("raw nats-py request/reply, p50", raw, "ms"),
        Figure(
            "ask of a no-op agent, spans exported, p50",
            ask,
            "ms",
            raw,
            ask / raw,
            f"at most {ASK_TARGET:.0f} times raw",
            ask <= ASK_TARGET * raw,
        ),
    ]


def _echo(url: str) -> None:
    async def serve() -> None:
        client = await nats.connect(url)

        async def reply(msg: Msg) -> None:
            await msg.respond(msg.data)

        await client.subscribe("bench.echo", cb=reply)
        await asyncio.Event().wait()

    uvloop.run(serve())


async def _until_answered(bus: NatsBus) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await bus.client.request("bench.echo", b"", timeout=1)
            except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
                await asyncio.sleep(0.05)
            else:
                return


class _Dones:
    """Wakes whoever waits for a task's terminal result."""

    def __init__(self, bus: NatsBus) -> None:
        self._bus = bus
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def start(self) -> None:
        await self._bus.watch(subjects.any_done(DataClass.PUBLIC, TENANT), self._seen)

    def _seen(self, message: Message) -> None:
        waiting = self._waiting.pop(message.subject, None)
        if waiting is not None:
            waiting.set_result(None)

    async def task(self) -> float:
        """Submit one task and return the milliseconds until its terminal result is there."""
        address = Address(TENANT, DataClass.PUBLIC, uuid.uuid4().hex)
        done = self._waiting[subjects.done(address)] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        await self._bus.store(subjects.submit(Lane.INTERACTIVE, address), Task(text=TEXT).to_bytes())
        await asyncio.wait_for(done, 30)
        return (time.perf_counter() - began) * 1000


async def _tasks_alone(bus: NatsBus, rounds: int) -> list[Figure]:
    dones = _Dones(bus)
    await dones.start()
    samples = [await dones.task() for _ in range(rounds + WARM_UP)][WARM_UP:]
    p50, p95 = percentile(samples, 50), percentile(samples, 95)
    return [
        Figure("durable task of four steps, p50", p50, "ms"),
        Figure("durable task of four steps, p95", p95, "ms", target=f"< {TASK_P95_MS:.0f} ms", met=p95 < TASK_P95_MS),
    ]


async def _tasks_at_once(bus: NatsBus, count: int) -> list[Figure]:
    dones = _Dones(bus)
    await dones.start()
    await _rate(dones.task, count // 5)  # what a replica holds at once follows how fast it is
    rate = await _rate(dones.task, count)
    raw = await _raw_queue(bus.client, count * MESSAGES_A_TASK)
    beside = raw / MESSAGES_A_TASK
    return [
        Figure("raw publish + continuous pull + ack", raw, "msg/s"),
        Figure(f"the same, {MESSAGES_A_TASK} messages for each task", beside, "task/s"),
        Figure(
            f"durable tasks of four steps, {IN_FLIGHT} in flight, no log records",
            rate,
            "task/s",
            beside,
            rate / beside,
            f"at least {LEAST_OF_RAW} of raw",
            rate >= LEAST_OF_RAW * beside,
        ),
    ]


async def _rate(one: Callable[[], Awaitable[object]], count: int) -> float:
    free = asyncio.Semaphore(IN_FLIGHT)

    async def bounded() -> None:
        async with free:
            await one()

    began = time.perf_counter()
    await asyncio.gather(*(bounded() for _ in range(count)))
    return count / (time.perf_counter() - began)


async def _raw_queue(client: Client, count: int) -> float:
    """Return messages a second through a bare work queue: publish, pull in batches, acknowledge."""
    js = client.jetstream()
    await js.add_stream(name="BENCH", subjects=["bench.queue.>"], retention=api.RetentionPolicy.WORK_QUEUE)
    pull = await js.pull_subscribe("bench.queue.>", durable="bench")
    began = time.perf_counter()

    async def consume() -> None:
        taken = 0
        while taken < count:
            for msg in await pull.fetch(min(RAW_BATCH, count - taken), timeout=10):
                await msg.ack()
                taken += 1

    consuming = asyncio.create_task(consume())
    body = Task(text=TEXT).to_bytes()
    await _rate(lambda: js.publish(f"bench.queue.{uuid.uuid4().hex}", body), count)
    await consuming
    await js.delete_stream("BENCH")
    return count / (time.perf_counter() - began)
