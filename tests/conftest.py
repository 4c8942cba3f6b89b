"""Fixtures for every test: a real broker, buses over it and without it, addresses that no other test has."""

import asyncio
import uuid
from collections.abc import Callable

import pytest

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.memory import MemoryBus
from smallmesh.bus.nats import NatsBus
from smallmesh_contracts import Address, DataClass

PATIENCE_S = 10.0
"""A test that has not seen what it waits for after this has failed; it is no part of any test's normal time."""


@pytest.fixture(scope="session", autouse=True)
def no_models_but_the_shipped_ones(tmp_path_factory):
    """Whatever whoever runs the tests has pulled and chosen serves in none of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALLMESH_MODELS_DIR", str(tmp_path_factory.mktemp("models")))
        yield


@pytest.fixture
def new_address() -> Callable[..., Address]:
    """Make addresses of one tenant that is this test's own."""
    tenant = f"t{uuid.uuid4().hex[:12]}"

    def make(data_class: DataClass = DataClass.INTERNAL, task_id: str | None = None) -> Address:
        return Address(tenant, data_class, task_id or uuid.uuid4().hex)

    return make


@pytest.fixture
async def soon():
    """Await something, for as long as patience lasts."""

    async def wait(what):
        task = asyncio.ensure_future(what)
        await asyncio.wait([task], timeout=PATIENCE_S)
        if not task.done():
            task.cancel()
            pytest.fail(f"not within {PATIENCE_S:.0f} s")
        return task.result()

    return wait


@pytest.fixture
async def until():
    """Await a condition that nobody announces, asking now and then."""

    async def wait(holds):
        async with asyncio.timeout(PATIENCE_S):
            while not await holds():  # noqa: ASYNC110 - what is asked is a broker's state, which sets no event
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def bus() -> MemoryBus:
    """A bus in memory."""
    return MemoryBus()


@pytest.fixture(scope="session")
def broker():
    """A nats-server of this test run, provisioned."""
    with EmbeddedBroker.start() as running:

        async def provision() -> None:
            bus = await NatsBus.connect(running.url, name="provision")
            await bus.provision(())
            await bus.close()

        asyncio.run(provision())
        yield running


@pytest.fixture
async def nats_bus(broker):
    """A connection to the broker."""
    connected = await NatsBus.connect(broker.url, name="test")
    yield connected
    await connected.close()
