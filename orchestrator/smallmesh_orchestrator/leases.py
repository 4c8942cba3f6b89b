"""The durable door: a submission is the lease on its task.

It stays un-acknowledged while the task is worked on, renewed by one ticker, and
is acknowledged only after the terminal result is stored. The states a replica can
die in, and what follows from each:

- before any step is published: redelivered after the ack wait, begun anew;
- with steps published or results in: redelivered; results that are there are read,
  steps that are not are published again, which the broker refuses where they still wait;
- after the terminal result is stored, before the acknowledgement: redelivered, the
  result is found, acknowledged;
- after the acknowledgement: nothing is left to do.
"""

import asyncio
import contextlib

from smallmesh.bus import Bus, Delivery
from smallmesh.dead_letters import bury
from smallmesh.retry import RetryPolicy, error_of
from smallmesh.telemetry import inject, logger, names, span
from smallmesh_contracts import (
    Address,
    ContractError,
    ErrorCode,
    ErrorInfo,
    Lane,
    Status,
    TaskResult,
    decode,
    decode_task,
    digest_of,
    subjects,
)
from smallmesh_orchestrator.flow import Flow, Job

ORIGIN = "orchestrator"
MAX_DELIVERIES = 20
"""A submission that so many replicas died of, or handed back, is given up."""
_RETRYABLE = frozenset({ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE})


class Leases:
    """Takes submissions and sees each to its one terminal result."""

    def __init__(self, bus: Bus, flow: Flow, renew_s: float, retry: RetryPolicy | None = None) -> None:
        """Hold leases, renewing each every ``renew_s`` seconds."""
        self._bus = bus
        self._flow = flow
        self._renew_s = renew_s
        self._retry = retry or RetryPolicy(max_deliveries=MAX_DELIVERIES)
        self._held: set[Delivery] = set()

    async def renew(self) -> None:
        """Renew every lease held, for as long as this runs: one ticker a replica."""
        while True:
            await asyncio.sleep(self._renew_s)
            for delivery in list(self._held):
                with contextlib.suppress(Exception):  # not connected: the broker will redeliver
                    await delivery.in_progress()

    async def handle(self, delivery: Delivery) -> None:
        """Work on one submission until its result is stored, then acknowledge it."""
        address, lane = subjects.address_of(delivery.subject), subjects.lane_of(delivery.subject)
        attributes = {
            names.TASK_ID: address.task_id,
            names.TENANT: address.tenant,
            names.DATA_CLASS: address.data_class.value,
            names.LANE: lane.value,
            names.DELIVERIES: delivery.deliveries,
            names.MESSAGING_SYSTEM: names.NATS,
        }
        self._held.add(delivery)
        try:
            with span(names.PROCESS_TASK, "consumer", headers=delivery.headers, attributes=attributes):
                await self._see_to(delivery, address, lane)
        except asyncio.CancelledError:  # this replica is stopping: another shall have it at once
            await asyncio.shield(delivery.retry(0.0))
            raise
        finally:
            self._held.discard(delivery)

    async def _see_to(self, delivery: Delivery, address: Address, lane: Lane) -> None:
        digest = digest_of(delivery.body)
        try:
            if not await self._is_over(delivery, address, digest):
                await self._finish(delivery, await self._result(delivery, address, lane, digest))
            await delivery.ack()
        except Exception as error:  # noqa: BLE001 - whatever it was, the submission must not be lost
            info = error_of(error, ORIGIN)
            logger().warning("task_retried", task_id=address.task_id, tenant=address.tenant, code=info.code.value, reason=info.message)
            await delivery.retry(self._retry.delay_s(delivery.deliveries))

    async def _is_over(self, delivery: Delivery, address: Address, digest: str) -> bool:
        """Tell whether the task has its terminal result; another text under the same id is a dead letter."""
        done = await self._bus.read(subjects.done(address))
        if done is None:
            return False
        if decode(TaskResult, done.body).digest != digest:
            message = "this id belongs to a task with another body"
            await bury(self._bus, delivery, ORIGIN, ErrorInfo(code=ErrorCode.ID_CONFLICT, message=message))
        return True

    async def _result(self, delivery: Delivery, address: Address, lane: Lane, digest: str) -> TaskResult:
        """Work the task out. A failure that another try may cure is raised; any other is the result."""
        try:
            self._retry.check(delivery.deliveries)
            task = decode_task(delivery.body, address, lane)
            job = Job(address, lane, task, digest, delivery.arrived_at, seen_before=delivery.deliveries > 1)
            return await self._flow.run(job)
        except ContractError as error:
            if error.info.code in _RETRYABLE:
                raise
            return self._failed(delivery, address, digest, error.info)

    def _failed(self, delivery: Delivery, address: Address, digest: str, error: ErrorInfo) -> TaskResult:
        return TaskResult(
            task_id=address.task_id,
            tenant=address.tenant,
            data_class=address.data_class,
            status=Status.FAILED,
            error=error,
            digest=digest,
            took_ms=round((self._bus.now() - delivery.arrived_at) * 1000, 3),
        )

    async def _finish(self, delivery: Delivery, result: TaskResult) -> None:
        if result.error is not None:
            await bury(self._bus, delivery, ORIGIN, result.error)
        subject = subjects.done(Address(result.tenant, result.data_class, result.task_id))
        first = await self._bus.store(subject, result.to_bytes(), inject())
        logger().info(
            "task_done",
            task_id=result.task_id,
            tenant=result.tenant,
            status=result.status.value,
            code=result.error.code.value if result.error else None,
            took_ms=result.took_ms,
            first=first,
        )
