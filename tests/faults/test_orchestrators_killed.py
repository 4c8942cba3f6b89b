"""Experiment 2: orchestrators killed at every state that a task can be in."""

import asyncio
import contextlib
import random
from collections import Counter

import pytest

from smallmesh_contracts import Lane, Step, StepInput, digest_of, subjects
from smallmesh_orchestrator.states import State
from tests.faults.load import MIXED, TWO_STEPS, Kind, flowing
from tests.faults.shaken import ACK_WAIT_S
from tests.faults.share import share
from tests.faults.states import task_state
from tests.faults.tripwire import frozen_at
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.experiment(2), pytest.mark.asyncio(loop_scope="session")]

NAME = "orchestrator"
TRIPWIRES = {State.FINISHED: f"{subjects.ROOT}.done.>", State.BURIED: f"{subjects.ROOT}.dead.*.{NAME}"}
"""What passes by at the beginning of states that last a millisecond; the others are met at random."""
ALL = tuple(state for state in State if state is not State.OVER)
BETWEEN_KILLS_S = 1.0
ATTEMPTS = 40
"""Freezes until a state is met; who was frozen in vain goes on."""


async def test_orchestrators_killed_at_every_state(shaken, ledger, outcome, trials):
    met = Counter()
    wanted_trials = share(trials, 0.15)
    async with flowing(ledger, MIXED) as flow:
        while outcome.trials < wanted_trials or set(ALL) - set(met):
            wanted = min(ALL, key=lambda state: met[state])
            met += await killed_at(wanted, shaken, ledger, flow)
            outcome.trials += 1
            await shaken.ready()
    audit = await ledger.settled()

    outcome.recovery_s.extend(audit.late_s)
    outcome.note(tasks_met={state.name: met[state] for state in ALL})
    assert audit.clean, audit
    assert audit.extra_calls <= len(ledger.faults)
    assert audit.extra_inferences == 0


async def killed_at(wanted, shaken, ledger, flow) -> Counter:
    """Kill every orchestrator while some task is in the wanted state; return the states of all."""
    for _ in range(ATTEMPTS):
        names = shaken.replicas(NAME)
        async with frozen_at(shaken.client, TRIPWIRES.get(wanted), [shaken.pid(name) for name in names]) as tripped:
            if not tripped:
                continue
            await (half_fanned_out(flow, shaken) if wanted is State.FANNING_OUT else flow.submit())
            await asyncio.sleep(random.choice((0, 0, 0.5)))  # the others go on
            states = Counter(await asyncio.gather(*(task_state(shaken.client, one) for one in flow.open)))
            if states[wanted]:
                for name in names:
                    ledger.hit(wanted.name, shaken.kill(name))
                return states
    pytest.fail(f"in {ATTEMPTS} freezes no task was ever {wanted.name}: {wanted}")


async def half_fanned_out(flow, shaken) -> None:
    """Submit a task of which one step is published already, as by a replica that died between two: both leave in one write."""
    tracked = flow.track(TWO_STEPS, Lane.INTERACTIVE)
    task = tracked.task
    step = Step(digest=digest_of(task.to_bytes()), timeout_s=task.budget_s(tracked.lane), request=StepInput(text=task.text))
    await shaken.client.bus.store(subjects.work("ner", tracked.lane, tracked.address), step.to_bytes())
    await flow.enter(tracked)


async def test_one_of_two_orchestrators_killed_again_and_again(shaken, ledger, outcome, trials):
    async with flowing(ledger, MIXED):
        for _ in range(share(trials, 0.1)):
            await asyncio.sleep(random.uniform(0, BETWEEN_KILLS_S))
            name = await until(lambda: random.choice(shaken.replicas(NAME) or [None]), "an orchestrator is ready")
            ledger.hit("kill", shaken.kill(name))
            outcome.trials += 1
    audit = await ledger.settled()
    await shaken.ready()

    outcome.recovery_s.extend(audit.late_s)
    assert audit.clean, audit
    assert audit.extra_calls <= len(ledger.faults)
    assert audit.extra_inferences == 0


async def test_an_orchestrator_frozen_past_its_leases_speaks_to_nobody_when_it_goes_on(shaken, ledger, outcome, trials):
    slow = Kind(("sentiment",), windows=10)
    for _ in range(share(trials, 0.02)):
        outcome.trials += 1
        published = Counter()  # also what the broker refuses
        watch = await shaken.client.bus.watch(subjects.any_work("sentiment", Lane.BULK), lambda m, p=published: p.update([m.subject]))
        async with flowing(ledger, slow, in_flight=8, lanes=[Lane.BULK]):
            await until(lambda p=published: len(p) >= 8, "tasks are held")
            await freeze_until_taken_over(shaken, ledger, published)
        await ledger.settled()
        await watch.stop()
    audit = await ledger.settled()

    outcome.recovery_s.extend(audit.late_s)
    assert audit.clean, audit
    assert audit.extra_inferences == 0


async def freeze_until_taken_over(shaken, ledger, published) -> None:
    """Freeze one replica after the other, for as long as it takes until another one has begun again what a frozen one holds."""

    def taken_over() -> bool:
        return max(published.values()) > 1

    for name in random.sample(shaken.replicas(NAME), 2):  # one of them may hold nothing
        with shaken.frozen(name) as pids:
            ledger.hit("freeze", *pids)
            with contextlib.suppress(AssertionError):
                await until(taken_over, "the other replica has taken over", 2 * ACK_WAIT_S)
        if taken_over():
            return
    pytest.fail("nobody took over what a frozen replica held")
