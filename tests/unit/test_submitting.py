"""Submitting many tasks, over the bus in memory."""

import asyncio

import pytest

from smallmesh.bus.memory import MemoryBus
from smallmesh.cli.intake import submitting
from smallmesh.cli.intake.lines import LineReader
from smallmesh.cli.intake.submitting import Submitter
from smallmesh_contracts import ContractError, DataClass, ErrorCode, Lane, Status, TaskResult, digest_of, subjects


@pytest.fixture(autouse=True)
def _sweep_often(monkeypatch):
    monkeypatch.setattr(submitting, "SWEEP_S", 0.01)


@pytest.fixture
def submissions():
    reader = LineReader("shop", DataClass.INTERNAL, Lane.BULK)
    return [reader.read(n, b'{"id": "t%d", "text": "text %d"}' % (n, n)) for n in range(1, 6)]


async def finish(bus, submission, digest=None):
    """Do what an orchestrator does in the end."""
    result = TaskResult(
        task_id=submission.address.task_id,
        tenant=submission.address.tenant,
        data_class=submission.address.data_class,
        status=Status.COMPLETED,
        digest=digest or digest_of(submission.body),
        took_ms=1.0,
    )
    await bus.store(subjects.done(submission.address), result.to_bytes())


async def published(bus, submission):
    return await bus.read(subjects.submit(submission.lane, submission.address)) is not None


async def test_every_task_has_one_outcome(bus, submissions):
    outcomes = []

    async with Submitter(bus, "shop", outcomes.append, in_flight=10) as submitter:
        for submission in submissions:
            await submitter.submit(submission)
            await finish(bus, submission)
        await submitter.finished()

    assert sorted(o.submission.line for o in outcomes) == [1, 2, 3, 4, 5]
    assert all(o.ok for o in outcomes)


async def test_no_more_are_out_than_may_be(bus, submissions, until):
    outcomes = []

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:

        async def submit_all():
            for submission in submissions:
                await submitter.submit(submission)

        submitting_all = asyncio.create_task(submit_all())
        await until(lambda: published(bus, submissions[1]))
        await asyncio.sleep(0.05)
        assert not await published(bus, submissions[2])

        for submission in submissions:
            await finish(bus, submission)
        await submitting_all
        await submitter.finished()

    assert len(outcomes) == 5


async def test_the_result_of_another_text_under_the_same_id_is_not_taken_for_ours(bus, submissions):
    outcomes = []
    await finish(bus, submissions[0], digest="of another text")

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await submitter.finished()

    assert [o.error.code for o in outcomes] == [ErrorCode.ID_CONFLICT]


async def test_a_repeated_task_gets_the_result_that_is_there(bus, submissions):
    outcomes = []
    await finish(bus, submissions[0])

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await submitter.finished()

    assert [o.ok for o in outcomes] == [True]


async def test_what_is_late_is_an_error_and_the_rest_is_kept(bus, submissions):
    outcomes = []

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        for submission in submissions[:2]:
            await submitter.submit(submission)
        await finish(bus, submissions[0])
        await submitter.finished(timeout_s=0.2)

    assert {o.submission.line: o.error.code if o.error else None for o in outcomes} == {1: None, 2: ErrorCode.EXPIRED}


class FullAtFirst(MemoryBus):
    """Refuses the first task as a full stream does."""

    def __init__(self):
        super().__init__()
        self.refused = 0

    async def store(self, subject, body, headers=None, *, ttl_s=None):
        if not self.refused:
            self.refused += 1
            raise ContractError(ErrorCode.OVERLOADED, "full", retry_after_s=0.01)
        return await super().store(subject, body, headers, ttl_s=ttl_s)


async def test_a_full_stream_is_waited_for(submissions, until):
    bus, outcomes = FullAtFirst(), []

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await until(lambda: published(bus, submissions[0]))
        await finish(bus, submissions[0])
        await submitter.finished()

    assert bus.refused == 1
    assert [o.ok for o in outcomes] == [True]


async def test_what_breaks_while_results_are_written_ends_the_submission(bus, submissions):
    def came(_):
        raise BrokenPipeError

    async with Submitter(bus, "shop", came, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await finish(bus, submissions[0])

        with pytest.raises(BrokenPipeError):
            await submitter.finished()
