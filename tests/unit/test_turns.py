"""Turns: how many submissions may be beginning at once."""

import asyncio

import pytest

from smallmesh_contracts import Lane
from smallmesh_orchestrator.turns import Turns
from tests.support.patience import until


class Crowd:
    """Many that want a turn."""

    def __init__(self, turns, many=10, lane=Lane.BULK):
        self.turns = turns
        self.lane = lane
        self.began = []
        self.tasks = [asyncio.create_task(self._one(n)) for n in range(many)]
        self._ends = []

    async def _one(self, number):
        self._ends.append(await self.turns.take(self.lane))
        self.began.append(number)

    def end(self):
        """Let one that has begun hand its turn on."""
        self._ends.pop()()

    async def begun(self):
        """Return how many have begun, once everybody has had the time to."""
        for _ in range(3):
            await asyncio.sleep(0)
        return len(self.began)

    def leave(self):
        for task in self.tasks:
            task.cancel()


@pytest.fixture
async def crowd():
    made = Crowd(Turns(alone=4, beside=1, quiet_s=0.02))
    yield made
    made.leave()


async def test_so_many_begin_at_once_and_no_more(crowd):
    assert await crowd.begun() == 4


async def test_each_that_has_begun_lets_the_next_one_begin_in_the_order_of_their_coming(crowd):
    await crowd.begun()

    crowd.end()
    crowd.end()

    assert await crowd.begun() == 6
    assert crowd.began == list(range(6))


async def test_beside_an_interactive_one_and_for_a_moment_after_it_fewer_begin():
    turns = Turns(alone=4, beside=1, quiet_s=0.02)
    with turns.in_hand(Lane.INTERACTIVE):
        crowd = Crowd(turns)
        assert await crowd.begun() == 1
    assert await crowd.begun() == 1

    await until(lambda: len(crowd.began) == 4, "it has been quiet for a while")
    crowd.leave()


async def test_those_that_had_begun_before_are_counted(crowd):
    await crowd.begun()
    with crowd.turns.in_hand(Lane.INTERACTIVE):
        for _ in range(3):
            crowd.end()
        assert await crowd.begun() == 4
        crowd.end()
        assert await crowd.begun() == 5


async def test_a_turn_goes_to_nobody_who_has_left(crowd):
    await crowd.begun()
    for task in crowd.tasks[4:6]:
        task.cancel()

    crowd.end()

    assert await crowd.begun() == 5
    assert crowd.began[-1] == 6


async def test_a_turn_that_was_given_to_one_who_leaves_at_that_moment_is_handed_on(crowd):
    await crowd.begun()

    crowd.end()
    crowd.tasks[4].cancel()

    assert await crowd.begun() == 5
    assert crowd.began[-1] == 5


async def test_interactive_ones_have_turns_of_their_own(crowd):
    await crowd.begun()
    interactive = Crowd(Turns(interactive=3), lane=Lane.INTERACTIVE)

    assert await interactive.begun() == 3
    interactive.end()
    assert await interactive.begun() == 4
    interactive.leave()


async def test_a_bulk_one_in_hand_holds_nobody_up(crowd):
    with crowd.turns.in_hand(Lane.BULK):
        assert await crowd.begun() == 4
