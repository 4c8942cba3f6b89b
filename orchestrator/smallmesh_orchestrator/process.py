"""An orchestrator's process: the one place where its parts are put together."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import smallmesh
from smallmesh.bus import Subscription
from smallmesh.bus.heads import keep_heads
from smallmesh.bus.layout import lease_consumers, mover_consumer
from smallmesh.bus.nats import NatsBus
from smallmesh.catalogue import Catalogue
from smallmesh.serving.process import Life, announce, run_process
from smallmesh.settings import Settings
from smallmesh.tasks import end
from smallmesh_contracts import DataClass
from smallmesh_orchestrator.arrivals import Arrivals
from smallmesh_orchestrator.cancelling import Cancelling
from smallmesh_orchestrator.collecting import collect_when_little_is_held
from smallmesh_orchestrator.flow import Flow
from smallmesh_orchestrator.leases import Leases
from smallmesh_orchestrator.mover import MOVER_SLOTS, Mover
from smallmesh_orchestrator.plan import Planner
from smallmesh_orchestrator.policy import Policy
from smallmesh_orchestrator.renewing import Renewals
from smallmesh_orchestrator.runs import Runs
from smallmesh_orchestrator.second_tiers import SecondTiers
from smallmesh_orchestrator.submissions import ORIGIN, Submissions

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
        for consumer in (*consumers, mover_consumer()):
            await bus.check_consumer(consumer)
        renewals = Renewals(chosen.lease_ack_wait_s / RENEWALS_A_WAIT)
        stack.push_async_callback(end, asyncio.create_task(renewals.run()))
        arrivals = Arrivals(bus, on_gap=renewals.all_now)
        await arrivals.start(classes)
        stack.push_async_callback(arrivals.stop)
        tiers = SecondTiers(bus)
        stack.push_async_callback(end, asyncio.create_task(tiers.keep_looking()))
        flow = Flow(bus, planner, arrivals, second=tiers)
        leases = Leases(Submissions(bus, flow, arrivals), renewals)
        taking = [await bus.consume(consumer, leases.handle, slots=chosen.in_flight) for consumer in consumers]
        taking.append(await bus.consume(mover_consumer(), Mover(bus, planner.catalogue).handle, slots=MOVER_SLOTS))
        stack.push_async_callback(_stop, taking, leases)
        spec = Runs(bus, flow).service(classes, smallmesh.__version__)
        await announce(replace(spec, endpoints=(*spec.endpoints, *Cancelling(bus, planner).endpoints(classes))), bus, chosen, stack)
        stack.push_async_callback(end, asyncio.create_task(collect_when_little_is_held(lambda: len(leases))))
        stack.push_async_callback(end, asyncio.create_task(keep_heads(bus)))
        await life.ended()


async def _stop(taking: Sequence[Subscription], leases: Leases) -> None:
    """Take nothing more, and hand back what is in hand."""
    stopping = [asyncio.create_task(one.stop()) for one in taking]
    await asyncio.sleep(0)  # each has heard of it: nothing is taken any more
    leases.hand_back()
    await asyncio.gather(*stopping)
