"""A process may die in every state of a step: it costs what the state says, and never the task."""

import asyncio

import pytest

from smallmesh.serving import claims, in_hand
from smallmesh.serving.claims import Claims
from smallmesh.serving.in_hand import Held
from smallmesh.serving.states import StepState
from smallmesh_contracts import ContractError, DataClass, ErrorCode
from tests.support.escalation_bench import EscalationBench, shipped_service
from tests.support.patience import until
from tests.support.step_bench import ANSWER, OLD_S, StepBench

ACK_WAIT_S = 0.05


class KilledError(BaseException):
    """Stands for SIGKILL: nothing in the product may catch it."""


class Mortal:
    """A bus that does nothing for a process that is dead."""

    def __init__(self, bus, death):
        self._bus = bus
        self._death = death

    def __getattr__(self, name):
        if self._death.dead:
            raise KilledError
        return getattr(self._bus, name)


class Death:
    """Kills the first process whose step comes to a state."""

    def __init__(self, monkeypatch, state):
        self.dead = False
        death = self

        class Dying(Held):
            def __setattr__(self, name, value):
                super().__setattr__(name, value)
                if name == "state" and value is state and not death.dead:
                    death.dead = True
                    raise KilledError

        monkeypatch.setattr(in_hand, "Held", Dying)


@pytest.fixture(autouse=True)
async def _buried_in_silence():
    """Let the end of a dead process's tasks be no news."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


async def die_and_go_on(bench, death):
    """Let a first replica die over the step and a second one end it."""
    first = bench.beside(Mortal(bench.bus, death))
    first.respond, first.calls, first.deliveries = bench.respond, bench.calls, bench.deliveries
    async with first.working(bench.bus, ack_wait_s=ACK_WAIT_S, beats=False):
        await until(lambda: death.dead, "the first replica is dead")
    assert bench.work in bench.bus.kept
    return await bench.to_the_end()


@pytest.mark.parametrize(
    ("state", "calls"),
    [(StepState.TAKEN, 1), (StepState.LOOKING, 1), (StepState.ANSWERING, 1), (StepState.STORING, 2), (StepState.STORED, 1)],
)
async def test_a_step_whose_process_dies_is_answered_once_more_at_most(new_address, monkeypatch, state, calls):
    bench = StepBench(new_address(DataClass.PUBLIC))
    await bench.publish()
    bench.bus.ahead_s = OLD_S if state is StepState.LOOKING else 0.0

    result = await die_and_go_on(bench, Death(monkeypatch, state))

    assert result.answer == ANSWER
    assert (len(bench.calls), bench.dead()) == (calls, [])


@pytest.mark.parametrize(("state", "calls"), [(StepState.BURYING, 2), (StepState.BURIED, 2)])
async def test_a_step_that_is_given_up_by_a_process_that_dies_is_one_dead_letter_and_one_error(new_address, monkeypatch, state, calls):
    bench = StepBench(new_address(DataClass.PUBLIC))
    bench.fail_with(*(ContractError(ErrorCode.INVALID_OUTPUT, "no label") for _ in range(2)))
    await bench.publish()

    result = await die_and_go_on(bench, Death(monkeypatch, state))

    assert result.answer.error.code is ErrorCode.INVALID_OUTPUT
    assert (len(bench.calls), len(bench.dead())) == (calls, 1)


async def test_a_step_that_a_dead_process_meant_to_hand_back_is_delivered_again(new_address, monkeypatch):
    bench = StepBench(new_address(DataClass.PUBLIC))
    bench.fail_with(RuntimeError())
    await bench.publish()

    result = await die_and_go_on(bench, Death(monkeypatch, StepState.HANDING_BACK))

    assert (result.answer, len(bench.calls), bench.dead()) == (ANSWER, 2, [])


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    return shipped_service(tmp_path_factory.mktemp("agents"))


@pytest.mark.parametrize(("state", "calls"), [(StepState.CLAIMING, 1), (StepState.CALLING, 2), (StepState.WAITING, 1)])
async def test_an_escalation_whose_process_dies_is_paid_for_once_more_at_most(service, new_address, monkeypatch, state, calls):
    said = service.respond.__func__.__globals__
    monkeypatch.setitem(said, "LONGEST_CALL_S", 0.1)
    monkeypatch.setitem(said, "CLAIM_RESERVE_S", 0.0)
    monkeypatch.setattr(claims, "AGAIN_S", 0.02)
    bench = EscalationBench(service, new_address(DataClass.PUBLIC))
    death = Death(monkeypatch, state)
    if state is StepState.WAITING:
        await Claims(bench.bus).make(bench.claim, 0.1)
    await bench.publish()

    async with bench.replica(Mortal(bench.bus, death), ack_wait_s=ACK_WAIT_S, beats=False):
        await until(lambda: death.dead, "the first replica is dead")
    unknown = 1 if state is StepState.CALLING else 0  # the call that the dead process may have made
    async with bench.replica():
        answer = await bench.acknowledged()

    assert answer.error is None
    assert bench.frontier.calls + unknown == calls


def test_every_state_says_what_follows_and_is_died_in_here():
    killed_in = {
        mark.args[1][n][0]
        for test in (
            test_a_step_whose_process_dies_is_answered_once_more_at_most,
            test_a_step_that_is_given_up_by_a_process_that_dies_is_one_dead_letter_and_one_error,
            test_an_escalation_whose_process_dies_is_paid_for_once_more_at_most,
        )
        for mark in test.pytestmark
        for n in range(len(mark.args[1]))
    }

    assert killed_in | {StepState.HANDING_BACK} == set(StepState)
    assert all(state.value.startswith("delivered again") for state in StepState)
