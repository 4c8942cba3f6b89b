import asyncio
import threading

import pytest

from smallmesh.hosting import thread as hosting_thread
from smallmesh.hosting.thread import ModelThread
from smallmesh_contracts import Lane
from tests.support.patience import until


class Loaded:
    def __init__(self):
        self.thread = threading.current_thread()
        self.closed = False

    def close(self):
        self.closed = True


@pytest.fixture
async def model():
    thread = ModelThread(Loaded, "test")
    await thread.start()
    yield thread
    await thread.stop()


async def test_every_job_runs_on_the_thread_that_loaded_the_model(model):
    loaded, here = await model.run(lambda m: (m, threading.current_thread()), Lane.BULK)

    assert here is loaded.thread
    assert here is not threading.current_thread()


async def test_an_interactive_job_goes_before_bulk_jobs_that_wait(model):
    begun, go = threading.Event(), threading.Event()
    order = []

    def first(_):
        begun.set()
        go.wait()

    blocking = asyncio.create_task(model.run(first, Lane.BULK))
    await asyncio.to_thread(begun.wait)
    waiting = [asyncio.create_task(model.run(lambda _, n=n: order.append(n), Lane.BULK)) for n in ("bulk 1", "bulk 2")]
    await asyncio.sleep(0)
    urgent = asyncio.create_task(model.run(lambda _: order.append("interactive"), Lane.INTERACTIVE))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(blocking, urgent, *waiting)

    assert order == ["interactive", "bulk 1", "bulk 2"]


async def test_while_an_interactive_text_is_read_no_bulk_job_begins_between_its_windows(model):
    order = []
    begun, go = threading.Event(), threading.Event()

    def first(_):
        begun.set()
        go.wait()
        order.append("bulk in hand")

    async def read(windows):
        with model.reading(Lane.INTERACTIVE):
            for window in range(windows):
                await model.run(lambda _, window=window: order.append(window), Lane.INTERACTIVE)

    blocking = asyncio.create_task(model.run(first, Lane.BULK))
    waiting = [asyncio.create_task(model.run(lambda _: order.append("bulk"), Lane.BULK)) for _ in range(3)]
    await asyncio.to_thread(begun.wait)
    reading = asyncio.create_task(read(5))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(blocking, reading, *waiting)

    assert order == ["bulk in hand", 0, 1, 2, 3, 4, "bulk", "bulk", "bulk"]


async def test_bulk_jobs_go_on_while_an_interactive_text_that_is_read_asks_for_nothing(model):
    with model.reading(Lane.INTERACTIVE):
        await model.run(lambda _: None, Lane.INTERACTIVE)

        assert await model.run(lambda _: "bulk", Lane.BULK) == "bulk"


async def test_a_bulk_text_that_is_read_keeps_nobody_waiting(model):
    with model.reading(Lane.BULK):
        assert await model.run(lambda _: 1, Lane.BULK) + await model.run(lambda _: 2, Lane.INTERACTIVE) == 3


async def test_an_interactive_text_that_was_broken_off_holds_up_nobody(model):
    with pytest.raises(RuntimeError), model.reading(Lane.INTERACTIVE):
        raise RuntimeError

    assert model._reading == 0


async def test_the_event_loop_turns_while_a_job_blocks(model):
    go = threading.Event()
    job = asyncio.create_task(model.run(lambda _: go.wait(), Lane.INTERACTIVE))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not job.done()
    go.set()

    assert await job


async def test_an_exception_reaches_whoever_waits_and_the_thread_goes_on(model):
    def fail(_):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await model.run(fail, Lane.INTERACTIVE)

    assert await model.run(lambda _: 1, Lane.INTERACTIVE) == 1


async def test_a_job_cancelled_before_it_began_never_runs(model):
    begun, go, ran = threading.Event(), threading.Event(), []

    def first(_):
        begun.set()
        go.wait()

    blocking = asyncio.create_task(model.run(first, Lane.INTERACTIVE))
    await asyncio.to_thread(begun.wait)
    dropped = asyncio.create_task(model.run(lambda _: ran.append(1), Lane.INTERACTIVE))
    await asyncio.sleep(0)
    dropped.cancel()
    await asyncio.sleep(0)
    go.set()
    await blocking
    await model.run(lambda _: None, Lane.BULK)

    assert ran == []


async def test_passes_grow_only_with_finished_jobs(model):
    await model.run(lambda _: None, Lane.BULK)
    with pytest.raises(ZeroDivisionError):
        await model.run(lambda _: 1 / 0, Lane.BULK)

    assert model.passes == 1


async def test_what_loading_raises_is_raised_by_start():
    def load():
        raise OSError("no such model")

    with pytest.raises(OSError, match="no such model"):
        await ModelThread(load, "test").start()


async def test_stopping_ends_queued_jobs_first_and_closes_the_model():
    thread = ModelThread(Loaded, "test")
    await thread.start()
    loaded = await thread.run(lambda m: m, Lane.BULK)
    queued = asyncio.create_task(thread.run(lambda _: "done", Lane.BULK))
    await asyncio.sleep(0)

    assert await thread.stop()

    assert await queued == "done"
    assert loaded.closed
    assert not thread.alive


async def test_the_turn_is_the_number_of_the_job_in_hand_and_none_between_jobs(model):
    go, turns = threading.Event(), []

    def job(_):
        turns.append(model.turn)
        go.wait()

    assert model.turn is None
    first = asyncio.create_task(model.run(job, Lane.INTERACTIVE))
    second = asyncio.create_task(model.run(job, Lane.INTERACTIVE))
    await until(lambda: turns, "the first is in hand")
    assert model.turn == turns[0]
    go.set()
    await asyncio.gather(first, second)
    await until(lambda: model.turn is None, "nothing is in hand")

    assert turns[0] != turns[1]


class StuckError(Exception):
    pass


async def test_whoever_waits_for_a_thread_that_is_abandoned_is_told_why(model):
    go, begun = threading.Event(), threading.Event()

    def hang(_):
        begun.set()
        go.wait()

    running = asyncio.create_task(model.run(hang, Lane.INTERACTIVE))
    queued = asyncio.create_task(model.run(lambda _: 1, Lane.BULK))
    await asyncio.to_thread(begun.wait)

    model.abandon(StuckError())

    assert [type(e) for e in await asyncio.gather(running, queued, return_exceptions=True)] == [StuckError, StuckError]
    with pytest.raises(StuckError):
        await model.run(lambda _: 1, Lane.INTERACTIVE)
    go.set()


async def test_an_abandoned_thread_that_moves_after_all_ends_by_itself():
    model, go, begun = ModelThread(Loaded, "test"), threading.Event(), threading.Event()
    await model.start()

    def hang(loaded):
        begun.set()
        go.wait()
        loaded.late = True

    running = asyncio.create_task(model.run(hang, Lane.INTERACTIVE))
    await asyncio.to_thread(begun.wait)
    model.abandon(StuckError())
    with pytest.raises(StuckError):
        await running
    go.set()

    await until(lambda: not model.alive, "the thread has ended")


async def test_a_thread_that_hangs_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr(hosting_thread, "STOP_S", 0.05)
    model, go, begun = ModelThread(Loaded, "test"), threading.Event(), threading.Event()
    await model.start()
    running = asyncio.create_task(model.run(lambda _: (begun.set(), go.wait()), Lane.INTERACTIVE))
    await asyncio.to_thread(begun.wait)

    assert not await model.stop()

    go.set()
    await running
