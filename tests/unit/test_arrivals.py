"""Arrivals: whoever waits for a result is woken when it is stored, and looks by itself where the announcement was missed."""

import asyncio

import pytest

from smallmesh_contracts import DataClass, subjects
from smallmesh_orchestrator import arrivals as module
from smallmesh_orchestrator.arrivals import Arrivals


@pytest.fixture
async def arrivals(bus):
    listening = Arrivals(bus)
    await listening.start(DataClass)
    yield listening
    await listening.stop()


@pytest.fixture
def subject(new_address):
    return subjects.result(new_address(), "sentiment", "sentiment")


async def test_a_stored_result_wakes_whoever_waits_for_it(bus, arrivals, subject, soon):
    waiting = asyncio.create_task(arrivals.wait(subject, arrivals.expect(subject), bus.now() + 30))

    await bus.store(subject, b"result")

    assert (await soon(waiting)).body == b"result"


async def test_a_result_that_came_between_expecting_and_waiting_is_not_missed(bus, arrivals, subject, soon):
    future = arrivals.expect(subject)
    await bus.store(subject, b"result")

    assert (await soon(arrivals.wait(subject, future, bus.now() + 30))).body == b"result"


async def test_the_result_of_another_task_wakes_nobody(bus, arrivals, subject, new_address, soon):
    future = arrivals.expect(subject)

    await bus.store(subjects.result(new_address(), "sentiment", "sentiment"), b"another")
    await bus.store(subject, b"mine")

    assert (await soon(future)).body == b"mine"


async def test_nothing_by_the_deadline_is_none(bus, arrivals, subject):
    assert await arrivals.wait(subject, arrivals.expect(subject), bus.now() + 0.02) is None


async def test_a_deadline_is_by_the_brokers_clock(bus, arrivals, subject, soon):
    deadline = bus.now() + 30
    bus.ahead_s = 31.0

    assert await soon(arrivals.wait(subject, arrivals.expect(subject), deadline)) is None


async def test_a_result_whose_announcement_was_missed_is_found_by_looking(bus, subject, soon, monkeypatch):
    monkeypatch.setattr(module, "FIRST_LOOK_S", 0.02)
    deaf = Arrivals(bus)
    waiting = asyncio.create_task(deaf.wait(subject, deaf.expect(subject), bus.now() + 30))

    await bus.store(subject, b"result")

    assert (await soon(waiting)).body == b"result"


async def test_a_missed_announcement_is_looked_for_once_more_at_the_deadline(bus, subject, soon):
    deaf = Arrivals(bus)
    waiting = asyncio.create_task(deaf.wait(subject, deaf.expect(subject), bus.now() + 0.1))

    await bus.store(subject, b"result")

    assert (await soon(waiting)).body == b"result"


async def test_two_who_wait_for_one_result_do_not_end_each_other(bus, arrivals, subject, soon):
    given_up, patient = arrivals.expect(subject), arrivals.expect(subject)

    given_up.cancel()
    await bus.store(subject, b"result")

    assert (await soon(patient)).body == b"result"


async def test_what_nobody_waits_for_any_more_is_forgotten(bus, arrivals, subject, soon):
    future, cancelled = arrivals.expect(subject), arrivals.expect(subject)
    cancelled.cancel()
    await bus.store(subject, b"result")
    await soon(future)
    await asyncio.sleep(0)

    assert arrivals._waiting == {}


async def test_after_a_stop_nothing_is_heard(bus, arrivals, subject):
    future = arrivals.expect(subject)
    await arrivals.stop()

    await bus.store(subject, b"result")
    await asyncio.sleep(0)

    assert not future.done()
