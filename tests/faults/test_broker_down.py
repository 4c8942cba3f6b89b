"""Experiment 3: a broker that goes away for a while, and one that is killed again and again, in mid-task."""

import asyncio
import json
import random
import time
from collections import Counter
from datetime import datetime

import pytest

from smallmesh_contracts import DataClass
from smallmesh_orchestrator.states import State
from tests.faults.load import MIXED, SENTIMENT, flowing
from tests.faults.share import share
from tests.faults.states import task_state
from tests.support.meshes import log_of
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.experiment(3), pytest.mark.asyncio(loop_scope="session")]

CONSUMES_AGAIN_WITHIN_S = 30.0
FEW, SHORT_S, USUAL_S, LONG_S = 30, 3.0, 10.0, 300.0
"""With fewer trials than this the broker stays away for the short time."""
PROOFS = {"orchestrator": '"task_done"', "escalation": '"frontier_call"'}
"""What a process logs when it has worked; every other is an agent, and logs each call of its model."""
MODEL_CALL = '"model_call"'
LOOK_S = 0.2
BETWEEN_KILLS_S = 1.0
RESULTS_COME_WITHIN_S = 1.0
"""Orchestrators that are frozen before the others do not see what is stored meanwhile."""
STATES = (State.TAKEN, State.AWAITING, State.ANSWERED, State.ESCALATED, State.ANALYSED)
ATTEMPTS = 20
"""Kills beyond those asked for, until every state was met."""


async def test_every_process_consumes_again_after_the_broker_was_down(shaken, ledger, outcome, trials):
    await goes_and_comes_back(SHORT_S if trials < FEW else USUAL_S, shaken, ledger, outcome)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_every_process_consumes_again_after_the_broker_was_down_for_minutes(shaken, ledger, outcome):
    await goes_and_comes_back(LONG_S, shaken, ledger, outcome)


async def goes_and_comes_back(seconds, shaken, ledger, outcome) -> None:
    """Take the broker away while tasks of every kind flow; see who works again, and when."""
    before = shaken.pids()
    restricted = {"data_class": DataClass.RESTRICTED, "in_flight": 4}
    async with flowing(ledger, MIXED), flowing(ledger, SENTIMENT, **restricted):
        await until(lambda: worked(shaken, ledger, since=0.0) >= set(before), "every process works")
        ledger.hit("down", shaken.kill_broker())
        await asyncio.sleep(seconds)
        back = time.time()
        await shaken.restart_broker()
        working = {}
        while set(working) < set(before) and time.time() < back + CONSUMES_AGAIN_WITHIN_S:
            for name in worked(shaken, ledger, since=back) - set(working):
                working[name] = time.time() - back
            await asyncio.sleep(LOOK_S)
    audit = await ledger.settled()

    outcome.trials = 1
    outcome.recovery_s.extend(working.values())
    outcome.note(down_s=seconds, processes=len(before), work_again=len(working))
    assert set(working) == set(before), f"not within {CONSUMES_AGAIN_WITHIN_S:.0f} s: {set(before) - set(working)}"
    assert shaken.pids() == before
    assert audit.clean, audit
    assert audit.extra_calls <= 1


def worked(shaken, ledger, since) -> set[str]:
    """Return the names of the processes that have worked on a task which was acknowledged after a time."""
    fresh = {address.task_id for address, entered in ledger.entered.items() if (entered.acknowledged_at or 0.0) > since}
    return {name for name in shaken.pids() if any(is_proof(line, fresh, since) for line in proofs(shaken, name))}


def proofs(shaken, name) -> list[dict]:
    """Return what a process has logged of its work."""
    event = next((event for prefix, event in PROOFS.items() if name.startswith(prefix)), MODEL_CALL)
    return [json.loads(line) for line in log_of(shaken.mesh, name).splitlines() if event in line]


def is_proof(line, fresh, since) -> bool:
    """Tell whether a line is about a fresh task, or, where it names none, about a call that began after a time: none waits longer."""
    if "task_id" in line:
        return line["task_id"] in fresh
    return datetime.fromisoformat(line["timestamp"]).timestamp() - line["latency_ms"] / 1000 > since


async def test_a_broker_killed_again_and_again_in_mid_task(shaken, ledger, outcome, trials):
    met = Counter()
    before = shaken.pids()
    wanted_trials = share(trials, 0.15)
    async with flowing(ledger, MIXED) as flow:
        while outcome.trials < wanted_trials or set(STATES) - set(met):
            assert outcome.trials < wanted_trials + ATTEMPTS, f"never met: {set(STATES) - set(met)}"
            await asyncio.sleep(random.uniform(0, BETWEEN_KILLS_S))
            if outcome.trials % 2 == 0:
                met += await killed_in_a_frozen_world(shaken, ledger, flow, set(STATES) - set(met))
            else:
                ledger.hit("kill", shaken.kill_broker())
            await shaken.restart_broker()
            outcome.trials += 1
    audit = await ledger.settled()

    outcome.note(tasks_met={state.name: met[state] for state in STATES})
    outcome.recovery_s.extend(audit.late_s)
    assert audit.clean, audit
    assert audit.extra_calls <= outcome.trials
    assert shaken.pids() == before


async def killed_in_a_frozen_world(shaken, ledger, flow, unmet) -> Counter:
    """Kill the broker while nobody else moves, so that the states it dies in are known, best an unmet one; return them."""

    async def states() -> Counter:
        return Counter(await asyncio.gather(*(task_state(shaken.client, one) for one in flow.open)))

    with shaken.frozen(*shaken.replicas("orchestrator")):
        await flow.submit()
        found, until_s = await states(), time.monotonic() + RESULTS_COME_WITHIN_S
        while unmet and not unmet & set(found) and time.monotonic() < until_s:
            found = await states()
        with shaken.frozen(*set(shaken.pids()) - set(shaken.replicas("orchestrator"))):
            found = await states()
            ledger.hit("kill", shaken.kill_broker())
    return found
