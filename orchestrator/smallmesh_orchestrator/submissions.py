"""What becomes of a submission: from its bytes to its one terminal result."""

from typing import Final

from smallmesh.bus import Bus, Delivery, Message
from smallmesh.dead_letters import bury
from smallmesh.holding import Holding
from smallmesh.retry import RetryPolicy
from smallmesh.telemetry import inject, logger, names, span
from smallmesh_contracts import (
    Address,
    ContractError,
    ErrorCode,
    ErrorInfo,
    Lane,
    TaskResult,
    decode_task,
    digest_of,
    subjects,
)
from smallmesh_orchestrator.arrivals import Arrivals, TaskOver
from smallmesh_orchestrator.flow import Flow, IdTaken
from smallmesh_orchestrator.job import Job
from smallmesh_orchestrator.lease import Lease
from smallmesh_orchestrator.results import digest_in, failed, refused, took_ms
from smallmesh_orchestrator.states import State
from smallmesh_orchestrator.turns import Turns

ORIGIN: Final = "orchestrator"
MAX_DELIVERIES = 20
"""A submission that so many replicas died of, or handed back, is given up."""
FRESH_S = 1.0
"""An interactive submission that is so young and was never delivered before is begun without asking whether it is over:
at worst its steps are computed in vain, for a terminal result that is there stays (decision 14)."""
REMEMBERED = 10_000
"""Tasks that ended here last, of which a repeat is known at once: a client that is not sure repeats soon."""


class Ended:
    """Remembers which tasks ended here last. It may take one for another, and then somebody looks in vain."""

    def __init__(self, most: int = REMEMBERED) -> None:
        """Remember so many."""
        self._most = most
        self._hashes: dict[int, None] = {}

    def __contains__(self, address: Address) -> bool:
        return hash(address) in self._hashes

    def add(self, address: Address) -> None:
        """Remember one more, and forget the oldest."""
        self._hashes[hash(address)] = None
        if len(self._hashes) > self._most:
            del self._hashes[next(iter(self._hashes))]


class Submissions:
    """Works submissions out, each to its one terminal result."""

    def __init__(  # noqa: PLR0913 - a bus and its four parts; the last three are for tests
        self,
        bus: Bus,
        flow: Flow,
        arrivals: Arrivals,
        *,
        holding: Holding | None = None,
        max_deliveries: int = MAX_DELIVERIES,
        turns: Turns | None = None,
    ) -> None:
        """Work over a bus."""
        self._bus = bus
        self._flow = flow
        self._arrivals = arrivals
        self._holding = holding or Holding()
        self._limit = RetryPolicy(max_deliveries=max_deliveries)
        self._turns = turns or Turns()
        self._ended = Ended()

    async def work(self, lease: Lease) -> None:
        """See a submission to its end: its terminal result is stored, and it is acknowledged.

        Raises:
            ContractError: The broker does not permit what must be done.
        """
        lane = subjects.lane_of(lease.delivery.subject)
        with self._turns.in_hand(lane):
            lease.on_begun = await self._turns.take(lane)
            try:
                await self._work(lease, lane)
            finally:
                lease.begun()

    async def _work(self, lease: Lease, lane: Lane) -> None:
        address = subjects.address_of(lease.delivery.subject)
        with span(names.PROCESS_TASK, "consumer", headers=lease.delivery.headers, attributes=_described(lease.delivery, address, lane)):
            await self._see_to(lease, address, lane)

    async def _see_to(self, lease: Lease, address: Address, lane: Lane) -> None:
        digest = digest_of(lease.delivery.body)
        try:
            await self._check_over(lease.delivery, address, lane)
            result = await self._result(lease, address, lane, digest)
            await self._finish(lease, address, result)
        except TaskOver as over:
            conflict = digest_in(over.done.body) != digest
            logger().info("task_over", task_id=address.task_id, tenant=address.tenant, state=lease.state.name, conflict=conflict)
            if conflict:
                await self._bury(lease, _conflict("this id belongs to a task with another body"))
        except IdTaken:
            logger().info("task_over", task_id=address.task_id, tenant=address.tenant, state=lease.state.name, conflict=True)
            await self._bury(lease, _conflict("this id belongs to an older task with another body, which is still in the mesh"))
        await lease.delivery.ack()
        lease.reached(State.OVER)
        self._ended.add(address)

    async def _check_over(self, delivery: Delivery, address: Address, lane: Lane) -> None:
        """Look whether the task has its terminal result, unless it hardly can have one."""
        fresh = lane is Lane.INTERACTIVE and delivery.deliveries == 1 and self._bus.now() - delivery.arrived_at < FRESH_S
        if fresh and address not in self._ended and not self._arrivals.may_be_cancelled(address):
            return
        done = await self._read(subjects.done(address))
        if done is not None:
            raise TaskOver(done)

    async def _result(self, lease: Lease, address: Address, lane: Lane, digest: str) -> TaskResult:
        delivery = lease.delivery
        try:
            self._limit.check(delivery.deliveries)
            task = decode_task(delivery.body, address, lane)
        except ContractError as error:
            took = took_ms(delivery.arrived_at, self._bus.now())
            return failed(address, error.info, body=delivery.body, digest=digest, took_ms=took)
        job = Job.of(
            task,
            address,
            lane,
            delivery.body,
            digest=digest,
            arrived_at=delivery.arrived_at,
            sequence=delivery.sequence,
            seen_before=delivery.deliveries > 1 or self._arrivals.was_away,
        )
        del task  # its text stays in memory once, in the delivery, for as long as the task may take
        try:
            return await self._flow.run(job, reached=lease.reached)
        except ContractError as error:
            return refused(job, error.info, self._flow.refused(job, error.info), self._bus.now())

    async def _finish(self, lease: Lease, address: Address, result: TaskResult) -> None:
        """Store the terminal result.

        Raises:
            TaskOver: Another one is there.
        """
        try:
            done = await self._stored(lease, address, result)
        except ContractError as error:
            if error.info.code is not ErrorCode.TOO_LONG:
                raise
            result = failed(address, error.info, body=lease.delivery.body, digest=result.digest, took_ms=result.took_ms)
            done = await self._stored(lease, address, result)
        lease.reached(State.FINISHED)
        self._log(result, first=done is None)
        if done is not None:
            raise TaskOver(done)

    async def _stored(self, lease: Lease, address: Address, result: TaskResult) -> Message | None:
        """Store a terminal result, and its dead letter where it failed; return the result that is there instead, if one is."""
        subject, body, headers = subjects.done(address), result.to_bytes(), inject()
        if result.error is not None:
            there = await self._read(subject)  # a repeat of what failed is no second dead letter
            if there is not None:
                return there
            await self._bury(lease, result.error)
            lease.reached(State.BURIED)
        while not await self._holding.until_done(lambda: self._bus.store(subject, body, headers)):
            there = await self._read(subject)
            if there is not None:  # else its time was up between the two
                return there
        return None

    async def _read(self, subject: str) -> Message | None:
        return await self._holding.until_done(lambda: self._bus.read(subject))

    async def _bury(self, lease: Lease, error: ErrorInfo) -> None:
        await self._holding.until_done(lambda: bury(self._bus, lease.delivery, ORIGIN, error))

    @staticmethod
    def _log(result: TaskResult, *, first: bool) -> None:
        logger().info(
            "task_done",
            task_id=result.task_id,
            tenant=result.tenant,
            status=result.status.value,
            code=result.error.code.value if result.error else None,
            took_ms=result.took_ms,
            first=first,
        )


def _conflict(message: str) -> ErrorInfo:
    return ErrorInfo(code=ErrorCode.ID_CONFLICT, message=message)


def _described(delivery: Delivery, address: Address, lane: Lane) -> dict[str, str | int]:
    return {
        names.TASK_ID: address.task_id,
        names.TENANT: address.tenant,
        names.DATA_CLASS: address.data_class.value,
        names.LANE: lane.value,
        names.DELIVERIES: delivery.deliveries,
        names.MESSAGING_SYSTEM: names.NATS,
    }
