import asyncio

from smallmesh.tasks import end


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same():
    cancelled = 0

    async def stubborn():
        nonlocal cancelled
        while cancelled < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)

    await end(task)

    assert task.done()
    assert cancelled == 2


async def test_a_task_that_has_ended_is_left_alone():
    task = asyncio.create_task(asyncio.sleep(0))
    await task

    await end(task)

    assert not task.cancelled()
