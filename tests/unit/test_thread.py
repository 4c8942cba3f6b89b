import asyncio
import threading

import pytest

from smallmesh.hosting.thread import ModelThread
from smallmesh_contracts import Lane


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

    await thread.stop()

    assert await queued == "done"
    assert loaded.closed
    assert not thread.alive
