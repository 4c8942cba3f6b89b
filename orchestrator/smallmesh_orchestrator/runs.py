"""The run door: a whole task while the caller waits, at most once, nothing stored that need not be."""

import uuid
from collections.abc import Iterable, Sequence

from smallmesh.bus import Bus, Call, Endpoint, Reply, ServiceSpec
from smallmesh.retry import error_of
from smallmesh.telemetry import inject, names, span
from smallmesh_contracts import (
    Address,
    Answer,
    ContractError,
    DataClass,
    ErrorInfo,
    Lane,
    TaskResult,
    decode,
    decode_task,
    digest_of,
    subjects,
)
from smallmesh_orchestrator.flow import Flow
from smallmesh_orchestrator.job import Job
from smallmesh_orchestrator.plan import ANALYSIS, COMPLEXITY, LocalStep, whole
from smallmesh_orchestrator.results import failed, took_ms
from smallmesh_orchestrator.submissions import ORIGIN
from smallmesh_orchestrator.together import together

RUN_SLOTS = 256


class Runs:
    """Answers runs: local steps are asks, which are fastest and may fail.

    Where an analysis is wanted the router's step goes through the durable door,
    so that the evidence is stored and escalation works as ever.
    """

    def __init__(self, bus: Bus, flow: Flow) -> None:
        """Answer over a bus."""
        self._bus = bus
        self._flow = flow

    def service(self, classes: Iterable[DataClass], version: str) -> ServiceSpec:
        """Describe the orchestrator's service for some classes."""
        served = tuple(classes)
        endpoints = tuple(Endpoint(f"run-{c.value}", subjects.any_run(c), self._handle, refusal=_refusal) for c in served)
        metadata = {"classes": ",".join(c.value for c in served)}
        return ServiceSpec(ORIGIN, version, "Plans tasks, fans them out and in", metadata, endpoints, slots=RUN_SLOTS)

    async def _handle(self, call: Call) -> Reply:
        address = _new_address(call)
        attributes = {names.TASK_ID: address.task_id, names.TENANT: address.tenant, names.DATA_CLASS: address.data_class.value}
        with span(names.ANSWER_RUN, "server", headers=call.headers, attributes=attributes):
            result = await self._run(call, address)
        return Reply(result.to_bytes(), result.error.code.value if result.error else None)

    async def _run(self, call: Call, address: Address) -> TaskResult:
        arrived_at = self._bus.now()
        try:
            task = decode_task(call.body, address, Lane.INTERACTIVE, names_id=False)
            job = Job.of(task, address, Lane.INTERACTIVE, call.body, digest=digest_of(call.body), arrived_at=arrived_at)
            return await self._flow.run(job, self._round)
        except Exception as error:  # noqa: BLE001 - the caller gets every failure as a typed error
            return _failed(call, address, error_of(error, ORIGIN), took_ms=took_ms(arrived_at, self._bus.now()))

    async def _round(self, job: Job, steps: Sequence[LocalStep]) -> list[Answer]:
        body = job.input().to_bytes()
        return await together([self._answer(job, step, body) for step in steps])

    async def _answer(self, job: Job, step: LocalStep, body: bytes) -> Answer:
        if step.answer == COMPLEXITY and ANALYSIS in job.wanted:
            return (await self._flow.durable(job, [step]))[0]
        left_s = job.deadline - self._bus.now()
        try:
            reply = await self._bus.request(subjects.ask(step.agent), body, inject(), timeout_s=max(left_s, 0.001))
            return whole(decode(Answer, reply.body), step.agent)
        except ContractError as error:
            return Answer(error=error.info.model_copy(update={"step": step.agent}))


def _new_address(call: Call) -> Address:
    tenant, data_class = call.subject.split(".")[-2:]
    return Address(tenant, DataClass(data_class), uuid.uuid4().hex)


def _failed(call: Call, address: Address, error: ErrorInfo, *, took_ms: float) -> TaskResult:
    return failed(address, error, body=call.body, digest=digest_of(call.body), took_ms=took_ms)


def _refusal(call: Call, error: ErrorInfo) -> bytes:
    """Return the result of a run that was never begun, or is broken off because its process stops."""
    return _failed(call, _new_address(call), error, took_ms=0.0).to_bytes()
