"""The processes of this package: one agent, or the escalation service."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import smallmesh
from smallmesh.bus import Consumer, ServiceSpec, Subscription
from smallmesh.bus.layout import escalation_consumers, step_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.bus.replicas import NEXT_MODEL_ID, NEXT_TIER
from smallmesh.catalogue import AgentFolder, Catalogue, CatalogueError, ServiceFolder
from smallmesh.frontier.build import build_frontier
from smallmesh.retry import RetryPolicy
from smallmesh.serving.answering import Answering
from smallmesh.serving.asking import ask_service
from smallmesh.serving.hosted import hosted
from smallmesh.serving.in_hand import InHand
from smallmesh.serving.movement import HEARTBEATS_A_WAIT
from smallmesh.serving.process import Life, announce, run_process
from smallmesh.serving.workers import agent_worker, escalation_worker
from smallmesh.settings import Settings, settings
from smallmesh.tasks import end
from smallmesh.telemetry import logger
from smallmesh_contracts import ContractError, ErrorCode, Lane, subjects

GRACEFUL_S = 10.0
"""What work in hand may take after SIGTERM; past it the message goes to another replica."""
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
        bus = await _connected(agent.name, life, chosen, stack)
        in_hand = InHand(bus, *(source.movement for source in answering.sources))
        _beat(in_hand, chosen, stack, lambda: _stuck(answering, life))
        stack.push_async_callback((await in_hand.watch()).stop)
        worker = agent_worker(answering, bus, _retry(chosen), in_hand)
        consumers = step_consumers(agent.name, chosen.step_ack_wait_s)
        await _check(bus, consumers)
        doors: list[Subscription] = []
        for consumer in consumers.values():
            taking = await bus.consume(consumer, worker.handle, slots=chosen.step_slots, ahead_s=AHEAD_S, grace_s=GRACEFUL_S)
            stack.push_async_callback(taking.stop)
            doors.append(taking)
        asks = ask_service(answering, smallmesh.__version__, _told(answering), GRACEFUL_S)
        doors.append(await announce(asks, bus, chosen, stack, lambda: {"model": not in_hand.stuck}))
        await life.ended()
        await asyncio.gather(*(door.stop() for door in doors))  # at once: each may take as long as GRACEFUL_S


async def _service(found: ServiceFolder, life: Life, chosen: Settings) -> None:
    from smallmesh.serving.durable import DurableDoor  # noqa: PLC0415 - loads FastStream, which no agent has a use for

    service = found.service
    async with AsyncExitStack() as stack:
        bus = await _connected(service.name, life, chosen, stack)
        door = DurableDoor(chosen.nats_url, f"smallmesh-{service.name}-door", lost=life.lost, problem=life.problem, graceful_s=GRACEFUL_S)
        in_hand = InHand(bus)
        _beat(in_hand, chosen, stack)  # until the door has ended what is in hand
        stack.push_async_callback(door.stop)
        stack.push_async_callback((await in_hand.watch()).stop)
        frontier = build_frontier(chosen)
        worker = escalation_worker(service, frontier, bus, _retry(chosen), in_hand)
        stack.push_async_callback(worker.stop)
        consumers = escalation_consumers(service.name, chosen.step_ack_wait_s)
        await _check(bus, consumers)
        door.subscribe(consumers, worker)
        await door.start()
        metadata = {"answer": service.answer, "model_id": frontier.model_id}
        await announce(ServiceSpec(service.name, smallmesh.__version__, service.description, metadata), bus, chosen, stack)
        await life.ended()


async def _connected(name: str, life: Life, chosen: Settings, stack: AsyncExitStack) -> NatsBus:
    bus = await NatsBus.connect(chosen.nats_url, name=f"smallmesh-{name}", lost=life.lost, problem=life.problem)
    stack.push_async_callback(bus.close)
    stack.callback(life.end)
    return bus


def _told(answering: Answering) -> dict[str, str]:
    """Return what an agent says of itself in ``$SRV.INFO``."""
    agent, first, following = answering.agent, answering.first, answering.next
    return {
        "answer": agent.answer,
        "model_id": first.model_id,
        "sha256": first.sha256 or "",
        "tier": first.tier or "",
        "prompt_version": first.prompt_version,
        **({NEXT_MODEL_ID: following.model_id, NEXT_TIER: following.tier or ""} if following else {}),
        "request_schema": f"{subjects.ROOT}.{agent.request.__name__}",
        "result_schema": f"{subjects.ROOT}.{agent.result.__name__}",
    }


def _stuck(answering: Answering, life: Life) -> None:
    """End a process one of whose models does not move any more; what the other one has in hand may be finished."""
    why = "the model does not move any more"
    for source in answering.sources:
        if source.movement.stuck:
            if not life.ending:
                logger().error("model_stuck", model_id=source.model_id)
            source.host.abandon(ContractError(ErrorCode.UNAVAILABLE, f"{why}; this replica ends"))
    life.fail(why)


def _beat(in_hand: InHand, chosen: Settings, stack: AsyncExitStack, stuck: Callable[[], None] = lambda: None) -> None:
    """Give signs of life until the stack is left this far."""
    beating = asyncio.create_task(in_hand.beat(chosen.step_ack_wait_s / HEARTBEATS_A_WAIT, stuck))
    stack.push_async_callback(end, beating)


async def _check(bus: NatsBus, consumers: Mapping[Lane, Consumer]) -> None:
    for consumer in consumers.values():
        await bus.check_consumer(consumer)


def _retry(chosen: Settings) -> RetryPolicy:
    return RetryPolicy(max_deliveries=chosen.max_deliveries, base_s=chosen.retry_base_s)
