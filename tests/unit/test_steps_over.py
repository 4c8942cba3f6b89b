"""Steps that nobody waits for any more: their task is cancelled, or its id belongs to another text."""

import pytest

from smallmesh.serving.in_hand import StepIsOver
from smallmesh_contracts import Answer, DataClass, ErrorCode, StepResult, subjects
from tests.support.patience import until
from tests.support.step_bench import ANSWER, DIGEST, OLD_S, StepBench


@pytest.fixture
def bench(new_address):
    return StepBench(new_address(DataClass.PUBLIC))


CANCELLED = StepResult(digest=DIGEST, answer=Answer())
"""Stands for a terminal result: of that only the digest is read here."""


async def cancel(bench, digest=DIGEST, *, announced=True):
    await bench.bus.store(subjects.done(bench.address), CANCELLED.model_copy(update={"digest": digest}).to_bytes())
    if announced:
        await bench.bus.announce(subjects.cancelled(bench.address))


@pytest.mark.parametrize("announced", [True, False])
async def test_a_step_of_a_cancelled_task_is_broken_off_and_leaves_nothing(bench, soon, announced):
    began, broken_off = bench.hold()
    await bench.publish()
    async with bench.working(beats=not announced):
        await soon(began.wait())
        await cancel(bench, announced=announced)
        await bench.acknowledged()

    assert broken_off == [1]
    assert (bench.deliveries, bench.dead(), await bench.bus.read(bench.result)) == ([1], [], None)


async def test_an_announcement_without_a_terminal_result_breaks_nothing_off(bench, soon):
    began, broken_off = bench.hold()
    await bench.publish()
    async with bench.working():
        await soon(began.wait())
        await bench.bus.announce(subjects.cancelled(bench.address))
        await until(lambda: len(bench.in_hand.announced) == 1, "it was heard")
        await bench.looks(2)

        assert broken_off == []


async def test_a_cancelled_task_does_not_touch_another(bench, soon, new_address):
    began, broken_off = bench.hold()
    await bench.publish()
    read, reads = bench.bus.read, []

    async def remember(subject):
        reads.append(subject)
        return await read(subject)

    bench.bus.read = remember
    async with bench.working(beats=False):
        await soon(began.wait())
        other = new_address(DataClass.PUBLIC)
        await bench.bus.store(subjects.done(other), CANCELLED.to_bytes())
        await bench.bus.announce(subjects.cancelled(other))
        await until(lambda: len(bench.in_hand.announced) == 1, "it was heard")

        assert (broken_off, reads) == ([], [])


async def test_a_fresh_step_of_a_task_that_was_announced_as_cancelled_is_not_begun(bench):
    async with bench.working():
        await cancel(bench)
        await until(lambda: len(bench.in_hand.announced) == 1, "it was heard")
        await bench.publish()
        await bench.acknowledged()

    assert (bench.calls, bench.dead(), await bench.bus.read(bench.result)) == ([], [], None)


async def test_after_a_gap_a_step_of_a_cancelled_task_is_found_out(bench, soon):
    began, broken_off = bench.hold()
    await bench.publish()
    bench.in_hand.movement.look = lambda: None
    async with bench.working():
        await soon(began.wait())
        await cancel(bench, announced=False)
        bench.in_hand._missed()
        await bench.acknowledged()

    assert broken_off == [1]
    assert bench.in_hand.announced.may_concern(bench.address)


async def test_an_answer_that_is_held_is_let_go_when_its_task_is_cancelled(bench):
    bench.bus.full.add("SLM_RESULTS")
    await bench.publish()
    tried = bench.tries_to_store()
    async with bench.working():
        await until(lambda: tried, "it is held")
        await cancel(bench)
        await bench.acknowledged()

    assert (bench.deliveries, bench.dead(), await bench.bus.read(bench.result)) == ([1], [], None)


async def test_a_stop_in_the_moment_of_a_cancellation_hands_the_step_back(bench, soon):
    began, _ = bench.hold()
    await bench.publish()
    async with bench.working() as taking:
        await soon(began.wait())
        (held,) = bench.in_hand._held.values()
        await cancel(bench, announced=False)
        held.break_off(StepIsOver())
        held._task.cancel()  # what stopping does
        await bench.acknowledged()
        await taking.stop()

    assert (bench.deliveries, len(bench.calls)) == ([1, 2], 1)


OTHER = "e" * 64


@pytest.mark.parametrize("what", ["done", "result"])
async def test_a_step_whose_id_belongs_to_another_text_is_a_dead_letter(bench, what):
    await bench.publish()
    subject = subjects.done(bench.address) if what == "done" else bench.result
    first = StepResult(digest=OTHER, answer=ANSWER)
    await bench.bus.store(subject, first.to_bytes())
    bench.bus.ahead_s = OLD_S

    await bench.to_the_end()

    assert (bench.calls, bench.deliveries) == ([], [1])
    assert [code for _, _, code in bench.dead()] == [ErrorCode.ID_CONFLICT]
    assert (await bench.bus.read(subject)).body == first.to_bytes()


async def test_a_fresh_step_that_finds_the_result_of_another_text_in_its_place_is_a_dead_letter(bench):
    first = StepResult(digest=OTHER, answer=ANSWER)
    await bench.bus.store(bench.result, first.to_bytes())
    await bench.publish()

    assert await bench.to_the_end() == first
    assert [code for _, _, code in bench.dead()] == [ErrorCode.ID_CONFLICT]


async def test_a_step_in_hand_whose_task_turns_out_to_be_about_another_text_is_a_dead_letter(bench, soon):
    began, broken_off = bench.hold()
    await bench.publish()
    async with bench.working():
        await soon(began.wait())
        await cancel(bench, OTHER)
        await bench.acknowledged()

    assert broken_off == [1]
    assert [code for _, _, code in bench.dead()] == [ErrorCode.ID_CONFLICT]
