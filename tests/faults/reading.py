"""A text in the middle of being read by a real model, and which replica and thread reads it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from smallmesh.bus import Message
from smallmesh.bus.layout import step_consumers
from smallmesh_contracts import Address, Lane, Task, subjects
from tests.faults.threads import other_threads, processor_s
from tests.faults.village import READER, Village, long_text
from tests.support.client import new_address
from tests.support.patience import until

CONSUMER = step_consumers(READER)[Lane.BULK]
WARM_UP = 8_000
"""Characters of a text that tells how fast the model reads."""
AT_WORK_S = 0.2
"""Processor time that a model's thread has had by then for one text alone."""


async def reading_speed(village: Village) -> float:
    """Return how many characters a second the model reads here and now, alone."""
    began = time.monotonic()
    answer, _ = await village.client.ask(READER, {"text": long_text(WARM_UP)})
    assert answer.error is None
    return WARM_UP / (time.monotonic() - began)


@dataclass
class Begun:
    """A step that a replica's model is reading.

    Attributes:
        address: Its task.
        reader: The replica.
        thread: Which of its threads has the model.
        deliveries: How many messages had been handed out before it.
        stored: Every result of it that the broker has stored.
    """

    address: Address
    reader: str
    thread: int
    deliveries: int
    stored: list[Message]

    @property
    def result(self) -> str:
        """Where its result is stored."""
        return subjects.result(self.address, READER, READER)


@asynccontextmanager
async def begun(village: Village, text: str) -> AsyncIterator[Begun]:
    """Submit a text, and go on when a model reads it."""
    address, stored = new_address(), []
    watching = await village.client.bus.watch(subjects.stored(subjects.result(address, READER, READER)), stored.append)
    deliveries, worked = await village.deliveries(CONSUMER), processor_times(village)
    assert await village.client.submit(address, Task(text=text, wanted=(READER,)), Lane.BULK)

    def busy() -> tuple[str, int] | None:
        return next((one for one, seconds in processor_times(village).items() if seconds - worked.get(one, 0.0) > AT_WORK_S), None)

    try:
        yield Begun(address, *await until(busy, "a model is at work"), deliveries, stored)
    finally:
        await watching.stop()


def processor_times(village: Village) -> dict[tuple[str, int], float]:
    """Return the processor time of each of the readers' threads but the first, which runs the event loop."""
    pids = {name: village.pid(name) for name in village.replicas(READER)}
    return {(name, thread): processor_s(thread) for name, pid in pids.items() for thread in other_threads(pid)}
