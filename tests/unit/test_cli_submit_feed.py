"""Items from a thread to the event loop."""

import asyncio
import queue
import threading

import pytest

from smallmesh.cli.intake import feed
from smallmesh.cli.intake.feed import stream


async def test_items_come_in_order():
    assert [number async for number in stream(range(5_000))] == list(range(5_000))


async def test_what_taking_them_raises_comes_after_what_was_taken():
    def broken():
        yield 1
        raise LookupError("no more")

    reading = stream(broken())

    assert await anext(reading) == 1
    with pytest.raises(LookupError):
        await anext(reading)


async def test_an_item_is_handed_over_although_the_next_has_not_come(soon):
    source = queue.SimpleQueue()
    reading = stream(iter(source.get, None))
    source.put("first")

    assert await soon(anext(reading)) == "first"

    source.put(None)
    with pytest.raises(StopAsyncIteration):
        await soon(anext(reading))


async def test_no_more_is_read_ahead_than_there_is_room_for(monkeypatch, soon):
    monkeypatch.setattr(feed, "ROOM", 10 * feed._LEAST)
    taken = []

    def items():
        for number in range(1_000):
            taken.append(number)
            yield number

    async def waits():
        while not any(thread.name == "records" for thread in threading.enumerate()) or len(taken) < 11:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    reading = stream(items())
    assert await soon(anext(reading)) == 0
    await soon(waits())

    assert len(taken) <= 22  # what was handed over, what waits, and the one in the thread's hand

    assert [number async for number in reading] == list(range(1, 1_000))


async def test_large_items_are_few(monkeypatch, soon):
    monkeypatch.setattr(feed, "ROOM", 10 * feed._LEAST)
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    reading = stream(items(), size=lambda _: 100 * feed._LEAST)
    assert await soon(anext(reading)) == 0

    assert len(taken) <= 3

    await reading.aclose()


async def test_whoever_wants_no_more_sets_the_thread_free(monkeypatch, soon):
    monkeypatch.setattr(feed, "ROOM", feed._LEAST)
    reading = stream(range(1_000_000))
    await soon(anext(reading))
    before = [thread for thread in threading.enumerate() if thread.name == "records"]

    await reading.aclose()

    for thread in before:
        await soon(asyncio.to_thread(thread.join))
