"""The processes of this package: one agent, or the escalation service."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

import smallmesh
from smallmesh.bus import Consumer, Delivery, ServiceSpec
from smallmesh.bus.layout import escalation_consumers, step_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.catalogue import AgentFolder, Catalogue, CatalogueError, ServiceFolder
from smallmesh.frontier.build import build_frontier
from smallmesh.retry import RetryPolicy
from smallmesh.service import Escalation
from smallmesh.serving.asking import ask_service
from smallmesh.serving.escalating import BusPorts
from smallmesh.serving.hosted import hosted
from smallmesh.serving.process import Life, announce, run_process
from smallmesh.serving.steps import StepWorker
from smallmesh.settings import Settings, settings
from smallmesh_contracts import Address, Answer, EscalationStep, Lane, Step, subjects

GRACEFUL_S = 10.0
"""What work in hand may take after SIGTERM; past it the message goes to another replica."""
HEARTBEATS_A_WAIT = 3
AHEAD_S = 0.05
"""Steps are held ahead of the model for at most so long: what is longer may go to an idle replica."""


def serve_agent(name: str) -> int:
    """Serve one agent until SIGTERM; return the process's exit status.

    Raises:
        CatalogueError: There is no such agent.
        ModelError: Its model is missing, altered or cannot be loaded.
        ContractError: The broker is not there or not provisioned.
    """
    found = Catalogue.load(settings().agent_folders).agent(name)
    return run_process(name, lambda life, chosen: _agent(found, life, chosen))


def serve_service(name: str) -> int:
    """Serve one service that is not an agent until SIGTERM; return the process's exit status."""
    services = Catalogue.load(settings().agent_folders).services
    if name not in services:
        msg = f"no service called {name!r}; there are: {', '.join(sorted(services)) or 'none'}"
        raise CatalogueError(msg)
    return run_process(name, lambda life, chosen: _service(services[name], life, chosen))


async def _agent(found: AgentFolder, life: Life, chosen: Settings) -> None:
    agent = found.agent
    async with AsyncExitStack() as stack:
        answering = await stack.enter_async_context(hosted(found))
        bus = await NatsBus.connect(chosen.nats_url, name=f"smallmesh-{agent.name}", lost=life.lost, problem=life.problem)
        stack.push_async_callback(bus.close)
        stack.callback(life.end)

        async def respond(delivery: Delivery, address: Address, lane: Lane, step: Step, left_s: float) -> Answer:
            body = step.request.model_dump_json().encode()
            return await answering.answer(body, lane, budget_s=left_s, waited_ms=_waited_ms(bus, delivery), address=address)

        def result_subject(subject: str) -> str:
            return subjects.result(subjects.address_of(subject), agent.name, agent.answer)

        consumers = step_consumers(agent.name, chosen.step_ack_wait_s)
        worker = StepWorker(bus, agent.name, Step, result_subject, respond, _retry(chosen), chosen.step_ack_wait_s / HEARTBEATS_A_WAIT)
        await _check(bus, consumers)
        for consumer in consumers.values():
            taking = await bus.consume(consumer, worker.handle, slots=chosen.step_slots, ahead_s=AHEAD_S)
            stack.push_async_callback(taking.stop)
        metadata = {
            "answer": agent.answer,
            "model_id": answering.model_id,
            "sha256": answering.sha256 or "",
            "prompt_version": answering.prompt_version,
            "request_schema": f"{subjects.ROOT}.{agent.request.__name__}",
            "result_schema": f"{subjects.ROOT}.{agent.result.__name__}",
        }
        await announce(ask_service(answering, smallmesh.__version__, metadata), bus, chosen, stack)
        await life.ended()


async def _service(found: ServiceFolder, life: Life, chosen: Settings) -> None:
    from smallmesh.serving.durable import DurableDoor  # noqa: PLC0415 - loads FastStream, which no agent has a use for

    service = found.service
    async with AsyncExitStack() as stack:
        door = DurableDoor(chosen.nats_url, f"smallmesh-{service.name}", lost=life.lost, problem=life.problem, graceful_s=GRACEFUL_S)
        bus = NatsBus(await door.connect())
        stack.push_async_callback(door.stop)
        stack.callback(life.end)
        ports = BusPorts(bus, build_frontier(chosen))

        async def respond(delivery: Delivery, address: Address, lane: Lane, step: EscalationStep, left_s: float) -> Answer:
            waited_ms = _waited_ms(bus, delivery)
            answer = delivery.subject.rpartition(".")[2]
            return await service.respond(Escalation(address, lane, answer, step, left_s, waited_ms, delivery.deliveries), ports)

        def result_subject(subject: str) -> str:
            return subjects.result(subjects.address_of(subject), service.name, subject.rpartition(".")[2])

        consumers = escalation_consumers(service.name, chosen.step_ack_wait_s)
        worker = StepWorker(
            bus, service.name, EscalationStep, result_subject, respond, _retry(chosen), chosen.step_ack_wait_s / HEARTBEATS_A_WAIT
        )
        await _check(bus, consumers)
        door.subscribe(consumers, worker)
        await door.start()
        metadata = {"answer": service.answer, "model_id": ports.frontier.model_id}
        await announce(ServiceSpec(service.name, smallmesh.__version__, service.description, metadata), bus, chosen, stack)
        await life.ended()


def _waited_ms(bus: NatsBus, delivery: Delivery) -> float:
    return max(0.0, (bus.now() - delivery.arrived_at) * 1000)


async def _check(bus: NatsBus, consumers: Mapping[Lane, Consumer]) -> None:
    for consumer in consumers.values():
        await bus.check_consumer(consumer)


def _retry(chosen: Settings) -> RetryPolicy:
    return RetryPolicy(max_deliveries=chosen.max_deliveries, base_s=chosen.retry_base_s)
