"""Experiment 13: the same submission ten times, at every moment at which a client may repeat it."""

import asyncio
from collections import Counter

import pytest
from nats.js.errors import APIError

from smallmesh_contracts import DataClass, ErrorCode, Lane, Status, Task, digest_of, subjects
from tests.faults.load import PAID, SENTIMENT, Kind
from tests.faults.share import share
from tests.support.patience import until

pytestmark = [pytest.mark.mesh, pytest.mark.experiment(13), pytest.mark.asyncio(loop_scope="session")]

TIMES = 10
DEDUP_WINDOW_S = 0.2
"""Twice what the stream of submissions is given: its window is for a whole stream, so it is the least there is."""
ALREADY_THERE = {10071, 10077}
SLOW = Kind(("sentiment",), windows=5)
LANES = tuple(Lane)


async def again(shaken, address, lane, body, *, message_id=None) -> str:
    """Submit what may be there already, as a client in any language does; say what the broker said."""
    headers = {} if message_id is None else {"Nats-Msg-Id": message_id}
    try:
        stored = await shaken.client.js.publish(subjects.submit(lane, address), body, headers=headers or None)
    except APIError as refused:
        if refused.err_code not in ALREADY_THERE:
            raise
        return "refused"
    return "duplicate" if stored.duplicate else "stored"


async def submitted(ledger, lane, kind=SENTIMENT, data_class=DataClass.PUBLIC) -> tuple:
    """Submit a task; return its address and body."""
    address = ledger.address(data_class)
    task = kind.task(address)
    assert await ledger.submit(address, task, lane)
    return address, task.to_bytes()


@pytest.mark.parametrize("lane", LANES)
async def test_ten_times_while_the_first_is_in_the_mesh(shaken, ledger, outcome, trials, lane):
    said = Counter()
    for _ in range(share(trials, 0.1)):
        address, body = await submitted(ledger, lane, SLOW)
        said.update([await again(shaken, address, lane, body) for _ in range(TIMES - 1)])
        outcome.trials += 1
    audit = await ledger.settled()

    outcome.note(**said)
    assert audit.clean, audit
    assert set(said) == {"refused"}
    assert audit.extra_inferences == 0


@pytest.mark.parametrize("lane", LANES)
async def test_ten_times_with_a_message_id_inside_the_dedup_window_and_after_it(shaken, ledger, outcome, trials, lane):
    said = Counter()
    for _ in range(share(trials, 0.1)):
        address = ledger.address()
        body = SENTIMENT.task(address).to_bytes()
        ledger.expect(address, body)
        for number in range(TIMES):
            said.update([await again(shaken, address, lane, body, message_id=address.task_id)])
            await asyncio.sleep(DEDUP_WINDOW_S if number == TIMES // 2 else 0)
        outcome.trials += 1
    audit = await ledger.settled()

    outcome.note(**said)
    assert audit.clean, audit
    assert audit.extra_inferences <= said["stored"] - outcome.trials  # a repetition that the broker took may be worked on, in vain


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("kind", [SENTIMENT, PAID], ids=["local", "paid"])
async def test_ten_times_after_its_result_change_nothing(shaken, ledger, outcome, trials, lane, kind):  # noqa: PLR0913, PLR0917 - fixtures
    sent = [await submitted(ledger, lane, kind) for _ in range(share(trials, 0.05))]
    first = await ledger.settled()
    numbers = [await shaken.client.sequence(subjects.done(address)) for address, _ in sent]
    for address, body in sent:
        for _ in range(TIMES - 1):
            assert await again(shaken, address, lane, body) == "stored"
            await gone(shaken, address, lane)
        outcome.trials += 1
    audit = await ledger.settled()

    assert audit.clean, audit
    assert [await shaken.client.sequence(subjects.done(address)) for address, _ in sent] == numbers
    assert audit.extra_inferences <= outcome.trials * (TIMES - 1)
    assert (audit.extra_calls, audit.dead_letters, audit.dead_steps) == (0, first.dead_letters, first.dead_steps)


async def gone(shaken, address, lane) -> None:
    """Wait until a submission is acknowledged, and its subject free again."""

    async def free() -> bool:
        return await shaken.client.bus.read(subjects.submit(lane, address)) is None

    await until(free, "the repetition is acknowledged")


async def test_in_both_lanes_at_once_is_one_result(shaken, ledger, outcome, trials):
    for _ in range(share(trials, 0.1)):
        address, body = await submitted(ledger, Lane.INTERACTIVE, SLOW)
        for number in range(TIMES - 1):
            await again(shaken, address, LANES[number % 2], body)
        outcome.trials += 1
    audit = await ledger.settled()

    assert audit.clean, audit
    assert audit.extra_inferences <= outcome.trials  # a lane has work messages of its own; the second result is refused


@pytest.mark.parametrize("lane", LANES)
async def test_another_body_under_the_same_id_is_a_conflict_and_never_the_answer_to_another_text(shaken, ledger, outcome, trials, lane):
    other = Task(text="Something else altogether", wanted=("sentiment",)).to_bytes()
    conflicts = 0
    for _ in range(share(trials, 0.1)):
        address, _ = await submitted(ledger, lane, SLOW)
        assert await again(shaken, address, lane, other) == "refused"  # while the first is there nobody reads the second
        await ledger.settled()
        for _ in range(TIMES - 1):
            conflicts += await again(shaken, address, lane, other) == "stored"
            await gone(shaken, address, lane)
        outcome.trials += 1
    audit = await ledger.settled()

    assert audit.clean, audit
    assert audit.statuses == {Status.COMPLETED: outcome.trials}
    assert audit.dead_letters == {ErrorCode.ID_CONFLICT.value: conflicts}
    assert audit.extra_inferences == 0


async def test_another_body_in_the_other_lane_meanwhile_is_a_conflict_for_one_of_the_two(shaken, ledger, outcome, trials):
    said = {}
    for _ in range(share(trials, 0.1)):
        address, body = await submitted(ledger, Lane.INTERACTIVE, SLOW)
        other = Task(text="Something else altogether", wanted=("sentiment",)).to_bytes()
        ledger.expect(address, other)
        assert await again(shaken, address, Lane.BULK, other) == "stored"
        said[address] = {digest_of(body): "HELLO", digest_of(other): "SOMETHING"}
        outcome.trials += 1
    audit = await ledger.settled()

    given = {address: ledger.done(address).answers["sentiment"] for address in said}
    answered = {address: answer.value["said"] for address, answer in given.items() if answer.value}
    unanswered = {answer.error.code for answer in given.values() if answer.error}
    assert audit.clean, audit
    assert answered == {address: said[address][ledger.done(address).digest] for address in answered}
    assert unanswered <= {ErrorCode.ID_CONFLICT}
    assert audit.dead_letters == {ErrorCode.ID_CONFLICT.value: outcome.trials}
