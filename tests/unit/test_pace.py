"""How many messages a replica holds at once."""

import pytest

from smallmesh.bus.pull import Pace

AHEAD_S = 0.05


def worked_off(pace: Pace, each_s: float, count: int = 60) -> None:
    """Let ``count`` messages be in hand together, one ending after the other."""
    for number in range(count):
        pace.finished(0.0, (number + 1) * each_s)


@pytest.mark.parametrize(
    ("each_s", "held"),
    [
        (0.0005, 16),  # a step that does nothing: as many as there are slots
        (0.004, 12),
        (0.015, 3),  # a sentence
        (0.049, 1),
        (2.0, 1),  # a long document: the next one may go to an idle replica
    ],
)
def test_as_many_are_held_as_are_worked_off_in_the_time_ahead(each_s, held):
    pace = Pace(16, AHEAD_S)

    worked_off(pace, each_s)

    assert pace.limit == held


def test_the_first_message_is_held_alone():
    assert Pace(16, AHEAD_S).limit == 1


def test_messages_that_only_wait_are_held_in_every_slot():
    pace = Pace(500, None)

    worked_off(pace, 30.0)

    assert pace.limit == 500


def test_a_pause_without_work_does_not_make_the_work_slow():
    pace = Pace(16, AHEAD_S)
    worked_off(pace, 0.001)

    pace.finished(began=1000.0, now=1000.001)

    assert pace.limit == 16


def test_a_replica_that_was_slow_and_is_quick_again_holds_more():
    pace = Pace(16, AHEAD_S)
    worked_off(pace, 2.0, 3)
    slow = pace.limit

    for number in range(60):
        pace.finished(10.0 + number, 10.001 + number)

    assert (slow, pace.limit) == (1, 16)
