"""Experiment 1: agents killed and frozen in mid-inference, again and again, and at every state that a step can be in."""

import asyncio
import random
from collections import Counter

import pytest

from smallmesh.serving.states import StepState
from smallmesh_contracts import Lane, subjects
from tests.faults.ledger import Ledger
from tests.faults.load import ENTITIES, SENTIMENT, Kind, flowing
from tests.faults.shaken import ACK_WAIT_S, Shaken
from tests.faults.share import share
from tests.faults.states import step_state
from tests.faults.tripwire import frozen_at
from tests.support.meshes import RUNNABLE, SERVICES, missing_pieces, shipped
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.experiment(1), pytest.mark.asyncio(loop_scope="session")]

RECOVERED_WITHIN_S = ACK_WAIT_S + 5.0
MANY, SINGLE = "sentiment", "ner"
"""An agent with three replicas, and one with a single one."""
KILL_EVERY_S = 0.5
STATES = (StepState.TAKEN, StepState.ANSWERING, StepState.STORED)
"""What can be told apart from outside: LOOKING is as TAKEN, STORING as ANSWERING."""
TRIPWIRES = {StepState.STORED: f"{subjects.ROOT}.result.*.*.*.{SINGLE}.>"}
ATTEMPTS = 40
"""Freezes until a state is met; who was frozen in vain goes on."""


async def test_an_agent_killed_in_mid_inference_again_and_again(shaken, ledger, outcome, trials):
    wanted_trials = share(trials, 0.4)
    async with flowing(ledger, SENTIMENT):
        while outcome.trials < wanted_trials:
            name = await until(lambda: random.choice(busy(shaken, ledger) or [None]), "a replica is in mid-inference beside another")
            ledger.hit("kill", shaken.kill(name))
            outcome.trials += 1
            await asyncio.sleep(random.uniform(0, KILL_EVERY_S))
    audit = await ledger.settled()
    await shaken.ready()

    outcome.note(steps_in_hand=len(audit.recovery_s))
    assert audit.clean, audit
    assert audit.extra_inferences <= outcome.trials
    assert not audit.unexplained
    assert audit.recovery_s, "no kill found a step in hand"
    assert max(audit.recovery_s) <= RECOVERED_WITHIN_S


async def test_an_agent_killed_at_every_state(shaken, ledger, outcome, trials):
    met = Counter()
    wanted_trials = share(trials, 0.05)
    async with flowing(ledger, ENTITIES, in_flight=6) as flow:
        while outcome.trials < wanted_trials or set(STATES) - set(met):
            wanted = min(STATES, key=lambda state: met[state])
            met += await killed_at(wanted, shaken, ledger, flow)
            outcome.trials += 1
            await shaken.ready()
    audit = await ledger.settled()

    outcome.note(steps_met={state.name: met[state] for state in STATES})
    assert audit.clean, audit
    assert audit.extra_inferences <= outcome.trials
    assert not audit.unexplained


async def killed_at(wanted, shaken, ledger, flow) -> Counter:
    """Kill the single agent while a step of its is in the wanted state; return the states of all."""
    for _ in range(ATTEMPTS):
        async with frozen_at(shaken.client, TRIPWIRES.get(wanted), [shaken.pid(SINGLE)]) as tripped:
            if not tripped:
                continue
            states = await states_of(flow.open, shaken)
            if states[wanted]:
                ledger.hit(wanted.name, shaken.kill(SINGLE))
                return states
    pytest.fail(f"in {ATTEMPTS} freezes no step was ever {wanted.name}")


async def states_of(tasks, shaken) -> Counter:
    """Return the states of the single agent's steps."""
    came, began = ({one.task_id for one in shaken.begun.of(shaken.pid(SINGLE), what)} for what in ("came", "began"))
    names = [(task, task.address.task_id) for task in tasks]
    states = (step_state(shaken.client, task, "entities", came=name in came, began=name in began) for task, name in names)
    return Counter(await asyncio.gather(*states))


async def test_all_replicas_but_one_killed_at_once(shaken, ledger, outcome, trials):
    async with flowing(ledger, SENTIMENT):
        for _ in range(share(trials, 0.02)):
            await shaken.ready()
            await asyncio.sleep(KILL_EVERY_S)
            for name in random.sample(shaken.replicas(MANY), 2):
                ledger.hit("kill", shaken.kill(name))
            outcome.trials += 1
    audit = await ledger.settled()
    await shaken.ready()

    assert audit.clean, audit
    assert audit.extra_inferences <= len(ledger.faults)
    assert not audit.unexplained
    assert max(audit.recovery_s) <= RECOVERED_WITHIN_S


async def test_an_agent_frozen_past_the_ack_wait_goes_on_and_its_late_answer_is_refused(shaken, ledger, outcome, trials):
    slow = Kind(("sentiment",), windows=5)
    for _ in range(share(trials, 0.02)):
        outcome.trials += 1
        async with flowing(ledger, slow, in_flight=9, lanes=[Lane.INTERACTIVE]):
            name = random.choice(shaken.replicas(MANY))
            await until(lambda n=name: in_hand(shaken, ledger, n), "it is in mid-inference")
            with shaken.frozen(name) as (pid,):
                ledger.hit("freeze", pid)
                interrupted = in_hand(shaken, ledger, name)
                await until(lambda p=pid, i=interrupted: {t for t in i if p != last(shaken, t)}, "another replica has begun it")
        await ledger.settled()
    audit = await ledger.settled()

    assert audit.clean, audit
    assert not audit.unexplained
    outcome.note(extra_a_freeze=audit.extra_inferences / outcome.trials)


def busy(shaken, ledger) -> list[str]:
    """Return the replicas in mid-inference; none where no other is ready: how soon a process starts is no part of this experiment."""
    ready = shaken.replicas(MANY)
    return [name for name in ready if len(ready) > 1 and in_hand(shaken, ledger, name)]


def in_hand(shaken, ledger, name) -> set[str]:
    """Return the tasks that a process has begun and that are open."""
    return {one.task_id for one in shaken.begun.of(shaken.pid(name))} & {address.task_id for address in ledger.open}


def last(shaken, task_id) -> int:
    """Return which process has begun a task last."""
    return [b.pid for b in shaken.begun.read() if b.task_id == task_id][-1]


async def test_an_agent_with_its_real_model_killed_again_and_again(outcome, trials):
    if missing_pieces(shipped()[MANY].folder, RUNNABLE):
        pytest.skip(f"{MANY} has no model")
    words = Kind((MANY,), windows=0)
    async with Shaken.started(SERVICES, scale={MANY: 2}, only=[MANY]) as shaken, Ledger.opened(shaken.client) as ledger:
        async with flowing(ledger, words, in_flight=20):
            for _ in range(share(trials, 0.02)):
                await asyncio.sleep(KILL_EVERY_S)
                ledger.hit("kill", shaken.kill(random.choice(shaken.replicas(MANY))))
                outcome.trials += 1
                await shaken.ready()
        audit = await ledger.settled()
        ledger.close_into(outcome)

    assert audit.clean, audit
