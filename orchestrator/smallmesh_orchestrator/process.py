"""An orchestrator's process: the one place where its parts are put together."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import smallmesh
from smallmesh.bus.layout import lease_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.catalogue import Catalogue
from smallmesh.serving.process import Life, announce, run_process
from smallmesh.settings import Settings
from smallmesh.tasks import end
from smallmesh_contracts import DataClass
from smallmesh_orchestrator.arrivals import Arrivals
from smallmesh_orchestrator.flow import Flow
from smallmesh_orchestrator.leases import ORIGIN, Leases
from smallmesh_orchestrator.plan import Planner
from smallmesh_orchestrator.policy import Policy
from smallmesh_orchestrator.runs import Runs

RENEWALS_A_WAIT = 3


def serve_orchestrator(classes: Sequence[DataClass]) -> int:
    """Serve some data classes until SIGTERM; return the process's exit status.

    Raises:
        CatalogueError: The agent path holds something broken.
        ContractError: The broker is not there or not provisioned.
    """
    return run_process(ORIGIN, lambda life, chosen: _orchestrate(tuple(classes), life, chosen))


async def _orchestrate(classes: tuple[DataClass, ...], life: Life, chosen: Settings) -> None:
    planner = Planner(Catalogue.load(chosen.agent_folders), Policy())
    async with AsyncExitStack() as stack:
        bus = await NatsBus.connect(chosen.nats_url, name="smallmesh-orchestrator", lost=life.lost, problem=life.problem)
        stack.push_async_callback(bus.close)
        stack.callback(life.end)
        consumers = lease_consumers(classes, chosen.lease_ack_wait_s)
        for consumer in consumers:
            await bus.check_consumer(consumer)
        arrivals = Arrivals(bus)
        await arrivals.start(classes)
        stack.push_async_callback(arrivals.stop)
        flow = Flow(bus, planner, arrivals)
        leases = Leases(bus, flow, chosen.lease_ack_wait_s / RENEWALS_A_WAIT)
        stack.push_async_callback(end, asyncio.create_task(leases.renew()))
        for consumer in consumers:
            taking = await bus.consume(consumer, leases.handle, slots=chosen.in_flight)
            stack.push_async_callback(taking.stop)
        await announce(Runs(bus, flow).service(classes, smallmesh.__version__), bus, chosen, stack)
        await life.ended()
