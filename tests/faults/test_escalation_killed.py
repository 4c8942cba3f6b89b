"""Experiment 2, the paid part: escalation killed around its calls of the frontier, which is a FAKE one and counts them."""

import asyncio
from collections import Counter

import pytest

from smallmesh.bus.layout import escalation_consumers
from smallmesh.serving.states import StepState
from smallmesh_contracts import Lane, Status, subjects
from tests.faults.load import PAID, Kind, flowing
from tests.faults.share import share
from tests.faults.states import ANALYSIS, paid_state
from tests.faults.tripwire import frozen_at
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.experiment(2), pytest.mark.asyncio(loop_scope="session")]

NAME = "escalation"
HURRIED = Kind((ANALYSIS,), budget_s=5.0)
"""A claim lasts for as long as its call may take: a task whose payer died is told so at its deadline, and nobody pays again."""
STATES = (StepState.CLAIMING, StepState.CALLING, StepState.STORED)
TRIPWIRES = {
    StepState.CLAIMING: subjects.AUDIT,
    StepState.STORED: f"{subjects.ROOT}.result.*.*.*.{NAME}.{ANALYSIS}",
}
ATTEMPTS = 40
"""Freezes until a state is met; who was frozen in vain goes on."""
SEEN_S = 0.5
"""Enough for the other replica to look at what it was given, and to call if it were to."""
CLAIM_RUNS_OUT_WITHIN_S = 160.0


async def test_escalation_killed_between_its_claim_and_its_answer_pays_for_nothing_twice(shaken, ledger, outcome, trials):
    met = Counter()
    wanted_trials = share(trials, 0.03)
    async with flowing(ledger, HURRIED) as flow:
        while outcome.trials < wanted_trials or set(STATES) - set(met):
            wanted = min(STATES, key=lambda state: met[state])
            met += await killed_at(wanted, shaken, ledger, flow)
            outcome.trials += 1
            await shaken.ready()
    audit = await ledger.settled()

    outcome.recovery_s.extend(audit.late_s)
    outcome.note(calls_met={state.name: met[state] for state in STATES}, ended={s.value: n for s, n in audit.statuses.items()})
    assert audit.clean, audit
    assert audit.extra_calls <= len(ledger.faults)
    assert set(audit.statuses) <= {Status.COMPLETED, Status.EXPIRED}


async def killed_at(wanted, shaken, ledger, flow) -> Counter:
    """Kill every replica while a call is in the wanted state; return the states of all."""
    for _ in range(ATTEMPTS):
        names = shaken.replicas(NAME)
        async with frozen_at(shaken.client, TRIPWIRES.get(wanted), [shaken.pid(name) for name in names]) as tripped:
            if not tripped:
                continue
            called = ledger.called()
            states = (paid_state(shaken.client, task, called=task.address.task_id in called) for task in flow.open)
            found = Counter(await asyncio.gather(*states))
            if found[wanted]:
                for name in names:
                    ledger.hit(wanted.name, shaken.kill(name))
                return found
    pytest.fail(f"in {ATTEMPTS} freezes no call was ever {wanted.name}")


async def test_escalation_frozen_in_mid_call_is_paid_once_and_answers_when_it_goes_on(shaken, ledger, outcome, trials):
    for _ in range(share(trials, 0.02)):
        await until(lambda: frozen_in_mid_call(shaken, ledger), "a replica is frozen in mid-call, and its step given to the other")
        await ledger.settled()
        outcome.trials += 1
    audit = await ledger.settled()

    outcome.recovery_s.extend(audit.late_s)
    assert audit.clean, audit
    assert audit.statuses == {Status.COMPLETED: len(ledger.entered)}
    assert audit.extra_calls == 0


async def frozen_in_mid_call(shaken, ledger) -> bool:
    """Freeze a replica in mid-call until its step was delivered again; tell whether it was the one that has the step."""
    address = ledger.address()
    assert await ledger.submit(address, PAID.task(address))
    await until(lambda: address.task_id in ledger.called(), "the frontier is called")
    with shaken.frozen(shaken.replicas(NAME)[0]) as pids:
        ledger.hit("freeze", *pids)

        async def redelivered() -> bool:
            return (await shaken.client.consumer(escalation_consumers(NAME)[Lane.INTERACTIVE])).num_redelivered > 0

        async def over() -> bool:
            return await redelivered() or address not in ledger.open

        await until(over, "the step is delivered again, or the other replica had it and is done")
        given_away = await redelivered()
        await asyncio.sleep(SEEN_S if given_away else 0)
    return given_away


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_call_whose_payer_died_is_made_once_more_when_its_claim_has_run_out(shaken, ledger, outcome):
    address = ledger.address()
    assert await ledger.submit(address, PAID.task(address), Lane.BULK)
    await until(ledger.called, "the frontier is called")
    for name in shaken.replicas(NAME):
        ledger.hit("kill", shaken.kill(name))
    audit = await ledger.settled(CLAIM_RUNS_OUT_WITHIN_S)

    outcome.trials = 1
    outcome.recovery_s.extend(audit.late_s)
    assert audit.clean, audit
    assert audit.statuses == {Status.COMPLETED: 1}
    assert audit.extra_calls == 1
