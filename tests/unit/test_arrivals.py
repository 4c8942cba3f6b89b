"""Arrivals: whoever waits is told of results and of the end of the task, and is looked after where the news was missed."""

import asyncio
import time

import pytest

from smallmesh_contracts import ContractError, DataClass, ErrorCode, Lane, subjects
from smallmesh_orchestrator import arrivals as module
from smallmesh_orchestrator.arrivals import Arrivals, TaskOver
from tests.support.patience import until

PART = ("sentiment", "sentiment")
OTHER = ("ner", "entities")


@pytest.fixture
async def arrivals(bus):
    listening = Arrivals(bus)
    await listening.start(DataClass)
    yield listening
    await listening.stop()


@pytest.fixture
async def deaf(bus):
    """One that hears of nothing: all news is missed."""
    listening = Arrivals(bus)
    await listening.start(())
    yield listening
    await listening.stop()


@pytest.fixture
def address(new_address):
    return new_address()


def expect(arrivals, address, *parts, lane=Lane.INTERACTIVE):
    return arrivals.expect(address, lane, parts or (PART,))


async def put(bus, address, part=PART, body=b"result"):
    assert await bus.store(subjects.result(address, *part), body)


async def looked_after(waiting):
    """Wait until somebody has looked whether the task is over."""
    before = waiting.look_at
    await until(lambda: waiting.look_at != before and waiting.look_at > 0, "a look")


async def test_a_stored_result_ends_the_wait(bus, arrivals, address, soon):
    waiting = expect(arrivals, address)
    ending = asyncio.create_task(arrivals.wait(waiting, bus.now() + 30))

    await put(bus, address)

    await soon(ending)
    assert waiting.found == {PART: b"result"}


async def test_the_wait_ends_with_the_last_result(bus, arrivals, address, soon):
    waiting = expect(arrivals, address, PART, OTHER)
    ending = asyncio.create_task(arrivals.wait(waiting, bus.now() + 30))

    await put(bus, address)
    await until(lambda: waiting.found, "the first result")
    assert not ending.done()
    await put(bus, address, OTHER, b"other")

    await soon(ending)
    assert waiting.found == {PART: b"result", OTHER: b"other"}


async def test_a_result_that_came_between_expecting_and_waiting_is_not_missed(bus, arrivals, address, soon):
    waiting = expect(arrivals, address)
    await put(bus, address)

    await soon(arrivals.wait(waiting, bus.now() + 30))

    assert waiting.found == {PART: b"result"}


async def test_results_of_other_tasks_and_other_agents_are_not_taken_in(bus, arrivals, address, new_address, soon):
    waiting = expect(arrivals, address)

    await put(bus, new_address(), body=b"another's")
    await put(bus, address, OTHER, b"another")
    await put(bus, address, body=b"mine")

    await soon(arrivals.wait(waiting, bus.now() + 30))
    assert waiting.found == {PART: b"mine"}


async def test_nothing_by_the_deadline_leaves_it_missing(bus, arrivals, address):
    waiting = expect(arrivals, address)

    await arrivals.wait(waiting, bus.now() + 0.02)

    assert (waiting.found, waiting.missing) == ({}, {PART})


async def test_a_deadline_is_by_the_brokers_clock(bus, arrivals, address, soon):
    deadline = bus.now() + 30
    bus.ahead_s = 31.0

    await soon(arrivals.wait(expect(arrivals, address), deadline))


async def test_a_missed_result_is_found_at_the_deadline_at_last(bus, deaf, address, soon):
    waiting = expect(deaf, address)
    ending = asyncio.create_task(deaf.wait(waiting, bus.now() + 0.1))

    await put(bus, address)

    await soon(ending)
    assert waiting.found == {PART: b"result"}


async def test_after_a_gap_everybody_is_looked_after_soon(bus, deaf, address, new_address, soon):
    waits = [expect(deaf, one, lane=lane) for one, lane in ((address, Lane.INTERACTIVE), (new_address(), Lane.BULK))]
    ending = [asyncio.create_task(deaf.wait(waiting, bus.now() + 30)) for waiting in waits]
    for waiting in waits:
        await put(bus, waiting.address)

    deaf.missed()

    await soon(asyncio.gather(*ending))


async def test_a_gap_is_passed_on(bus):
    told = []
    Arrivals(bus, on_gap=lambda: told.append("gap")).missed()

    assert told == ["gap"]


async def test_a_look_that_fails_is_made_again(bus, deaf, address, soon, monkeypatch):
    monkeypatch.setattr(module, "TICK_S", 0.02)
    monkeypatch.setattr(module, "AGAIN_S", 0.02)
    read, failures = bus.read, iter([True])

    async def away_once(subject):
        if next(failures, False):
            raise ContractError(ErrorCode.UNAVAILABLE, "away")
        return await read(subject)

    monkeypatch.setattr(bus, "read", away_once)
    waiting = expect(deaf, address)
    ending = asyncio.create_task(deaf.wait(waiting, bus.now() + 30))
    await put(bus, address)

    deaf.missed()

    await soon(ending)


async def test_nobody_is_looked_after_before_the_time(deaf, address, new_address, monkeypatch):
    monkeypatch.setattr(module, "FIRST_LOOK_S", {Lane.INTERACTIVE: 0.0, Lane.BULK: 60.0})
    monkeypatch.setattr(module, "TICK_S", 0.02)
    later = expect(deaf, address, lane=Lane.BULK)
    planned = later.look_at

    await looked_after(expect(deaf, new_address()))

    assert later.look_at == planned


async def test_an_interactive_task_is_looked_after_early_and_then_ever_less_often(deaf, address, monkeypatch):
    monkeypatch.setattr(module, "FIRST_LOOK_S", {Lane.INTERACTIVE: 0.0, Lane.BULK: 60.0})
    monkeypatch.setattr(module, "TICK_S", 0.02)
    waiting = expect(deaf, address)
    assert waiting.look_s == 0.0
    waiting.look_s = 100.0

    await looked_after(waiting)

    assert waiting.look_s == module.RAREST_LOOK_S


async def test_an_announced_cancellation_ends_the_wait_once_it_is_proven(bus, arrivals, address, soon):
    waiting = expect(arrivals, address)
    ending = asyncio.create_task(arrivals.wait(waiting, bus.now() + 30))

    await bus.announce(subjects.cancelled(address))
    await looked_after(waiting)
    assert not ending.done()
    await bus.store(subjects.done(address), b"cancelled")
    await bus.announce(subjects.cancelled(address))

    with pytest.raises(TaskOver) as over:
        await soon(ending)
    assert over.value.done.body == b"cancelled"


async def test_a_cancellation_is_remembered_for_a_task_that_is_on_its_way(bus, arrivals, address, new_address):
    await bus.announce(subjects.cancelled(address))
    await until(lambda: arrivals.may_be_cancelled(address), "it was heard")

    assert not arrivals.may_be_cancelled(new_address())


async def test_after_a_gap_any_task_may_be_cancelled(arrivals, address):
    arrivals.missed()

    assert arrivals.may_be_cancelled(address)


async def test_an_announcement_about_nothing_is_passed_over(bus, arrivals, address, soon):
    waiting = expect(arrivals, address)

    await bus.announce("slm.v1.cancelled.t.no_such_class.id")
    await bus.announce("slm.v1.cancelled.t.public.another")
    await put(bus, address)

    await soon(arrivals.wait(waiting, bus.now() + 30))


async def test_two_who_wait_for_one_task_do_not_end_each_other(bus, arrivals, address, soon):
    given_up, patient = expect(arrivals, address), expect(arrivals, address)

    arrivals.forget(given_up)
    await put(bus, address)

    await soon(arrivals.wait(patient, bus.now() + 30))
    assert given_up.found == {}


async def test_what_nobody_waits_for_any_more_is_forgotten(arrivals, address):
    waits = [expect(arrivals, address) for _ in range(2)]

    for waiting in waits:
        arrivals.forget(waiting)

    assert arrivals._waiting == {}


async def test_after_a_stop_nothing_is_heard(bus, address):
    arrivals = Arrivals(bus)
    await arrivals.start(DataClass)
    waiting = expect(arrivals, address)
    await arrivals.stop()

    await put(bus, address)
    await asyncio.sleep(0)

    assert waiting.found == {}


async def test_a_few_at_once_have_their_last_look_where_many_run_out_of_time(bus, deaf, new_address, soon, monkeypatch):
    reading, most = 0, 0
    read = bus.read

    async def counted(subject):
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0)
        reading -= 1
        return await read(subject)

    monkeypatch.setattr(bus, "read", counted)
    waits = [expect(deaf, new_address()) for _ in range(4 * module.LAST_LOOKS_AT_ONCE)]

    await soon(asyncio.gather(*(deaf.wait(waiting, bus.now() + 0.01) for waiting in waits)))

    assert most == module.LAST_LOOKS_AT_ONCE


async def test_a_process_that_did_not_run_for_a_while_knows_it_for_a_moment(arrivals, monkeypatch):
    monkeypatch.setattr(module, "TICK_S", 0.01)
    assert not arrivals.was_away

    stopped_at = arrivals._ran_at = time.monotonic() - module.AWAY_S - 1
    assert arrivals.was_away
    await until(lambda: arrivals._ran_at != stopped_at, "it runs again")

    assert arrivals.was_away
    assert arrivals._away_until <= time.monotonic() + module.AWAY_S
