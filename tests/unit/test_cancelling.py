"""Announcements of cancelled tasks are remembered for seconds, and never more of them than fit."""

import pytest

from smallmesh.serving import cancelling
from smallmesh.serving.cancelling import REMEMBERED_S, Announcements
from smallmesh.serving.steps import FRESH_S


class Clock:
    def __init__(self):
        self.s = 1000.0

    def __call__(self):
        return self.s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def announced(clock):
    return Announcements(clock)


def test_a_task_that_was_announced_may_be_cancelled_and_another_is_not(announced, new_address):
    address = new_address()
    announced.hear(address)

    assert announced.may_concern(address)
    assert not announced.may_concern(new_address())


def test_an_announcement_is_remembered_for_as_long_as_a_step_counts_as_fresh(announced, clock, new_address):
    address = new_address()
    announced.hear(address)
    clock.s += FRESH_S
    announced.hear(new_address())

    assert announced.may_concern(address)
    assert REMEMBERED_S > FRESH_S


def test_old_announcements_are_forgotten_as_new_ones_come(announced, clock, new_address):
    for _ in range(10):
        announced.hear(new_address())
    clock.s += REMEMBERED_S + 1

    announced.hear(new_address())

    assert len(announced) == 1


def test_an_announcement_heard_again_is_remembered_anew(announced, clock, new_address):
    first, second = new_address(), new_address()
    announced.hear(first)
    announced.hear(second)
    clock.s += REMEMBERED_S - 1
    announced.hear(first)
    clock.s += 2
    announced.hear(new_address())

    assert (announced.may_concern(first), announced.may_concern(second)) == (True, False)


def test_more_announcements_than_are_remembered_put_every_task_in_doubt_for_a_while(announced, clock, new_address, monkeypatch):
    monkeypatch.setattr(cancelling, "MOST", 3)
    first = new_address()
    announced.hear(first)
    for _ in range(3):
        announced.hear(new_address())

    assert len(announced) == 3
    assert announced.may_concern(first)
    clock.s += REMEMBERED_S + 1
    assert not announced.may_concern(new_address())


def test_after_a_gap_every_task_is_in_doubt_for_a_while(announced, clock, new_address):
    announced.unsure()
    assert announced.may_concern(new_address())

    clock.s += REMEMBERED_S + 1

    assert not announced.may_concern(new_address())
