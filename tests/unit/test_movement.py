"""Whether a model moves is seen by looking at its thread now and then."""

import pytest

from smallmesh.serving.movement import HEARTBEATS_A_WAIT, STUCK_WAITS, Movement


class Turns:
    def __init__(self, *turns):
        self.turns = list(turns)
        self.movement = Movement(lambda: self.turns.pop(0))

    def look(self, times=1):
        for _ in range(times):
            self.movement.look()
        return self.movement


def test_a_model_with_nothing_to_do_moves():
    assert Turns(None, None, None).look(3).moves


def test_a_model_that_is_at_another_job_at_each_look_moves():
    assert Turns(1, 2, 9).look(3).moves


def test_a_job_that_has_just_begun_is_no_standstill():
    assert Turns(None, 1).look(2).moves


def test_the_same_job_at_two_looks_is_a_standstill():
    assert not Turns(1, 1).look(2).moves


@pytest.mark.parametrize("then", [2, None])
def test_a_model_that_goes_on_moves_again(then):
    assert Turns(1, 1, 1, then).look(4).moves


def test_a_model_is_stuck_after_some_ack_waits_at_one_job_and_not_before():
    looks = STUCK_WAITS * HEARTBEATS_A_WAIT
    turns = Turns(*[7] * (looks + 1))

    assert not turns.look(looks).stuck
    assert turns.look().stuck
