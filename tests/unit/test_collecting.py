"""Garbage collection: full ones only while little is held."""

import asyncio
import gc

import pytest

from smallmesh_orchestrator.collecting import LITTLE, collect_when_little_is_held
from tests.support.patience import until


class Cycle:
    """What only a collection frees."""

    def __init__(self, freed):
        self.itself = self
        self._freed = freed

    def __del__(self):
        self._freed.append(True)


@pytest.fixture
async def collecting():
    running = []

    def start(held):
        running.append(asyncio.create_task(collect_when_little_is_held(lambda: held, every_s=0.01)))

    yield start
    running[0].cancel()
    await asyncio.wait(running)


async def test_while_little_is_held_what_is_left_over_is_collected(collecting):
    freed = []
    Cycle(freed)

    collecting(LITTLE)

    await until(lambda: freed, "a full collection")


async def test_while_much_is_held_no_full_collection_is_made(collecting, monkeypatch):
    made = []
    monkeypatch.setattr(gc, "collect", lambda: made.append(True))

    collecting(LITTLE + 1)
    await asyncio.sleep(0.05)

    assert made == []
    assert gc.get_threshold()[2] > 100_000


async def test_in_the_end_the_interpreter_collects_as_before(collecting):
    before = gc.get_threshold()
    task = asyncio.create_task(collect_when_little_is_held(lambda: 0))
    await until(lambda: gc.get_threshold() != before, "it has begun")

    task.cancel()
    await asyncio.wait([task])

    assert gc.get_threshold() == before
    collecting(0)
