"""What a backend needs of a smallmesh: submit, result, cancel, ask, run. JSON and subjects over nats-py."""

import asyncio
import json
import time
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError, NoStreamResponseError

ALREADY_THERE = 10071  # the broker has a submission under this id
BEING_STORED = 10164  # only in a cluster: one is on its way, so ask again
FOR_NOW = 503  # the broker is busy or full
RETRY_S = 20.0  # a cluster that loses a leader stalls for up to eight seconds


async def submit(nc: Client, address: str, task: dict[str, Any], lane: str = "interactive", traceparent: str | None = None) -> bool:
    """Publish a task; True: the broker took it, False: it is in the mesh already, as a retry finds it."""
    headers = {"Nats-Expected-Last-Subject-Sequence": "0", **_trace(traceparent)}
    give_up = time.monotonic() + RETRY_S
    while True:
        try:
            await nc.jetstream().publish(f"slm.v1.submit.{lane}.{address}", json.dumps(task).encode(), headers=headers)
        except (APIError, NoStreamResponseError, nats.errors.TimeoutError) as error:
            if isinstance(error, APIError) and error.err_code == ALREADY_THERE:
                return False
            if not _may_pass(error) or time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.25)
        else:
            return True


def _may_pass(error: Exception) -> bool:
    """Tell whether trying again may help: a stream without a leader looks like no stream at all."""
    return not isinstance(error, APIError) or error.err_code == BEING_STORED or error.code == FOR_NOW


async def result(nc: Client, address: str, wait_s: float = 60.0) -> dict[str, Any] | None:
    """Wait for a task's one terminal result; None: it has not come yet, which says nothing about the task."""
    # An ordered consumer begins with what is stored: a result that came before this call is found too.
    done = await nc.jetstream().subscribe(f"slm.v1.done.{address}", stream="SLM_DONE", ordered_consumer=True)
    try:
        return dict(json.loads((await done.next_msg(timeout=wait_s)).data))
    except nats.errors.TimeoutError:
        return None
    finally:
        await done.unsubscribe()


async def cancel(nc: Client, tenant: str, data_class: str, task_id: str) -> dict[str, Any]:
    """Cancel a task; the reply's status is how it ended: cancelled, or as it did before. Where it has not, the reply has an error."""
    return await _call(nc, f"slm.v1.cancel.{tenant}.{data_class}", {"task_id": task_id}, 10.0, None)


async def ask(nc: Client, agent: str, request: dict[str, Any], timeout_s: float = 10.0, traceparent: str | None = None) -> dict[str, Any]:
    """Ask one agent; the answer holds its value or its error."""
    return await _call(nc, f"slm.v1.ask.{agent}", request, timeout_s, traceparent)


async def run(nc: Client, tenant: str, data_class: str, task: dict[str, Any], traceparent: str | None = None) -> dict[str, Any]:
    """Run a whole task while the caller waits; nothing is stored, nothing is tried again."""
    timeout_s = task.get("timeout_s", 30.0) + 2.0  # the mesh answers `expired` before this client gives up
    return await _call(nc, f"slm.v1.run.{tenant}.{data_class}", task, timeout_s, traceparent)


async def _call(nc: Client, subject: str, body: dict[str, Any], timeout_s: float, traceparent: str | None) -> dict[str, Any]:
    # nats-py raises NoRespondersError where nobody answers the subject.
    reply = await nc.request(subject, json.dumps(body).encode(), timeout=timeout_s, headers=_trace(traceparent) or None)
    return dict(json.loads(reply.data))


def _trace(traceparent: str | None) -> dict[str, str]:
    return {"traceparent": traceparent} if traceparent else {}
