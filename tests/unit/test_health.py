import asyncio
import json
import socket
import threading
import time
import urllib.request
from urllib.error import HTTPError

import pytest

from smallmesh.hosting.thread import ModelThread
from smallmesh.serving.health import Health
from smallmesh_contracts import Lane


async def get(url):
    def fetch():
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return reply.status, json.loads(reply.read())
        except HTTPError as error:
            return error.code, json.loads(error.read())

    return await asyncio.to_thread(fetch)


@pytest.fixture
async def health():
    state = {"broker": True}
    serving = Health("127.0.0.1", 0, lambda: state)
    address = await serving.start()
    yield address, state
    await serving.stop()


async def test_a_process_that_runs_is_live(health):
    assert await get(health[0] + "/livez") == (200, {"live": True})


async def test_a_process_that_is_of_no_use_any_more_is_not_live():
    state = {"model": True}
    serving = Health("127.0.0.1", 0, dict, lambda: state)
    address = await serving.start()
    assert await get(address + "/livez") == (200, {"live": True, "model": True})

    state["model"] = False

    assert await get(address + "/livez") == (503, {"live": False, "model": False})
    await serving.stop()


async def test_a_process_is_ready_while_all_its_conditions_hold(health):
    address, state = health
    assert await get(address + "/readyz") == (200, {"broker": True})

    state["broker"] = False

    assert await get(address + "/readyz") == (503, {"broker": False})


async def test_any_other_path_says_what_there_is(health):
    status, body = await get(health[0] + "/")

    assert status == 404
    assert "/livez" in body["error"]


async def test_a_port_in_use_is_named_with_what_to_set():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OSError, match=rf"{port} cannot be opened .* SMALLMESH_HEALTH_PORT"):
            await Health("127.0.0.1", port, dict).start()


async def test_health_answers_within_a_tenth_of_a_second_while_the_model_is_busy(health):
    begun, go = threading.Event(), threading.Event()

    def infer(_):
        begun.set()
        go.wait()

    model = ModelThread(object, "busy")
    await model.start()
    inference = asyncio.create_task(model.run(infer, Lane.INTERACTIVE))
    await asyncio.to_thread(begun.wait)
    await get(health[0] + "/livez")  # the first request of a process makes its client
    began = time.perf_counter()

    status, _ = await get(health[0] + "/livez")

    assert status == 200
    assert time.perf_counter() - began < 0.1
    assert not inference.done()
    go.set()
    await inference
    await model.stop()
