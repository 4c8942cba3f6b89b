"""The two buses under one suite: what a test needs of each beside the seam itself."""

import uuid

import pytest

from smallmesh.bus import Consumer, layout, nats_services, nats_storing, pull
from smallmesh.bus.layout import step_consumers
from smallmesh.bus.memory import MemoryBus
from smallmesh.bus.nats import NatsBus
from smallmesh_contracts import Lane

STOP_GRACE_S = 0.2
_WITHOUT_LIMIT = -1


class MemoryBench:
    """The double."""

    def __init__(self):
        self.bus = MemoryBus(stop_grace_s=STOP_GRACE_S)
        self.agent = f"agent{uuid.uuid4().hex[:8]}"

    async def consumer(self, lane=Lane.INTERACTIVE, ack_wait_s=10.0) -> Consumer:
        return step_consumers(self.agent, ack_wait_s)[lane]

    async def fill(self, stream):
        self.bus.full.add(stream.name)

    async def logged(self, subject):
        return sum(message.subject == subject for message in self.bus.log.values())

    async def close(self):
        pass


class NatsBench:
    """The real one, over a real server; its agent's name, and so its consumers, are this test's own."""

    def __init__(self, bus: NatsBus):
        self.bus = bus
        self.agent = f"agent{uuid.uuid4().hex[:8]}"
        self._filled = []
        self._js = bus.client.jetstream()

    async def consumer(self, lane=Lane.INTERACTIVE, ack_wait_s=10.0) -> Consumer:
        wanted = step_consumers(self.agent, ack_wait_s)[lane]
        await self.bus.provision([wanted])
        return wanted

    async def fill(self, stream):
        self._filled.append(stream)
        await self._limit(stream, 1)

    async def logged(self, subject):
        info = await self._js.stream_info(layout.stream_of(subject).name, subjects_filter=subject)
        return (info.state.subjects or {}).get(subject, 0)

    async def close(self):
        for stream in self._filled:
            await self._limit(stream, _WITHOUT_LIMIT)

    async def _limit(self, stream, messages):
        config = (await self._js.stream_info(stream.name)).config
        config.max_msgs = messages
        await self._js.update_stream(config)


@pytest.fixture
def memory_bench():
    """The double under test."""
    return MemoryBench()


@pytest.fixture
async def nats_bench(nats_bus, monkeypatch):
    """The real bus under test, with stops and retries that do not take seconds."""
    for module in (pull, nats_services):
        monkeypatch.setattr(module, "STOP_GRACE_S", STOP_GRACE_S)
    monkeypatch.setattr(nats_storing, "PUBLISH_RETRY_S", 0.1)
    made = NatsBench(nats_bus)
    yield made
    await made.close()
