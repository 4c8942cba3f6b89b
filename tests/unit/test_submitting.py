"""Submitting many tasks, over the bus in memory."""

import asyncio

import pytest

from smallmesh.bus.memory import MemoryBus
from smallmesh.cli.intake import submitting
from smallmesh.cli.intake.lines import LineReader
from smallmesh.cli.intake.pace import AWAY_S, AWAY_WAIT_S, FULL_WAIT_S, Pace
from smallmesh.cli.intake.submitting import Submitter
from smallmesh_contracts import ContractError, DataClass, ErrorCode, Lane, Status, TaskResult, digest_of, subjects

FULL = ContractError(ErrorCode.OVERLOADED, "full", retry_after_s=4.0)
AWAY = ContractError(ErrorCode.UNAVAILABLE, "the broker does not answer")


class CountedBus(MemoryBus):
    """Counts what is read and published."""

    def __init__(self):
        super().__init__()
        self.reads = []
        self.published = []

    async def read(self, subject):
        self.reads.append(subject)
        return await super().read(subject)

    async def store(self, subject, body, headers=None, *, ttl_s=None):
        if ".submit." in subject:
            self.published.append(subject)
        return await super().store(subject, body, headers, ttl_s=ttl_s)


class RefusingBus(CountedBus):
    """Refuses the next submissions with these errors, in turn."""

    def __init__(self, *errors):
        super().__init__()
        self.errors = list(errors)

    async def store(self, subject, body, headers=None, *, ttl_s=None):
        if ".submit." in subject and self.errors:
            raise self.errors.pop(0)
        return await super().store(subject, body, headers, ttl_s=ttl_s)


class DeafBus(CountedBus):
    """Announces nothing; whoever watches can be told that something was missed."""

    async def watch(self, subject, seen, *, missed=None):  # noqa: ARG002 - the form is the seam's
        self.missed = missed
        return await super().watch("nothing", seen)


@pytest.fixture
def bus():
    return CountedBus()


@pytest.fixture
def outcomes():
    return []


@pytest.fixture
def submissions():
    reader = LineReader("shop", DataClass.INTERNAL, Lane.BULK)
    return [reader.read(n, b'{"id": "t%d", "text": "text %d"}' % (n, n)) for n in range(1, 6)]


def timed(monkeypatch, **seconds):
    """Set the submitter's times."""
    for name, value in seconds.items():
        monkeypatch.setattr(submitting, name, value)


def quick(in_flight=10):
    """Return a pace whose waits are those asked for, without jitter."""
    return Pace(in_flight, jitter=lambda: 0.0)


async def finish(bus, submission, digest=None, status=Status.COMPLETED):
    """Do what an orchestrator does in the end."""
    result = TaskResult(
        task_id=submission.address.task_id,
        tenant=submission.address.tenant,
        data_class=submission.address.data_class,
        status=status,
        digest=digest or submission.digest,
        took_ms=1.0,
    )
    await bus.store(subjects.done(submission.address), result.to_bytes())


async def published(bus, submission):
    return await MemoryBus.read(bus, subjects.submit(submission.lane, submission.address)) is not None


async def test_every_task_has_one_outcome(bus, submissions, outcomes):
    async with Submitter(bus, "shop", outcomes.append, in_flight=10) as submitter:
        for submission in submissions:
            await submitter.submit(submission)
            await finish(bus, submission)
        await submitter.finished()

    assert sorted(o.submission.line for o in outcomes) == [1, 2, 3, 4, 5]
    assert all(o.ok for o in outcomes)
    assert {o.submission.line: o.result.task_id for o in outcomes} == {n: f"t{n}" for n in range(1, 6)}


async def test_no_more_are_out_than_may_be(bus, submissions, outcomes, until):
    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:

        async def submit_all():
            for submission in submissions:
                await submitter.submit(submission)

        submitting_all = asyncio.create_task(submit_all())
        await until(lambda: published(bus, submissions[1]))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not await published(bus, submissions[2])

        for submission in submissions:
            await finish(bus, submission)
        await submitting_all
        await submitter.finished()

    assert len(outcomes) == 5


async def test_texts_are_not_kept_once_the_broker_has_them(bus, submissions, outcomes, until):
    async with Submitter(bus, "shop", outcomes.append, in_flight=10) as submitter:
        await submitter.submit(submissions[0])
        await until(lambda: published(bus, submissions[0]))

        assert [sent.submission.body for sent in submitter._sent.values()] == [b""]


# ---------------------------------------------------------------- results


async def test_a_result_is_taken_as_it_passes_by(bus, submissions, outcomes, monkeypatch, until):
    timed(monkeypatch, LOOK_EVERY_S=3600, _GUESSES=0)

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await until(lambda: published(bus, submissions[0]))
        await finish(bus, submissions[0])
        await submitter.finished(timeout_s=10)

    assert [o.ok for o in outcomes] == [True]
    assert bus.reads == []


async def test_a_result_that_the_broker_does_not_store_is_not_taken(nats_bus, new_address, outcomes, monkeypatch, until):
    timed(monkeypatch, LOOK_EVERY_S=3600, _GUESSES=0)
    tenant = new_address().tenant
    submission = LineReader(tenant, DataClass.INTERNAL, Lane.BULK).read(1, b'{"text": "hello"}')
    await finish(nats_bus, submission)

    async def taken():
        return await nats_bus.read(subjects.submit(submission.lane, submission.address)) is not None

    async with Submitter(nats_bus, tenant, outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submission)
        await until(taken)
        late = (await nats_bus.read(subjects.done(submission.address))).body.replace(b'"completed"', b'"expired"')
        await nats_bus.client.publish(subjects.done(submission.address), late)  # a second orchestrator's, which is refused
        await nats_bus.client.request("$JS.API.INFO")  # and by now it has passed by
        assert outcomes == []

        submitter._gap.set()
        await submitter.finished(timeout_s=10)

    assert [o.status for o in outcomes] == [Status.COMPLETED]


async def test_the_result_of_another_text_under_the_same_id_is_not_taken_for_ours(bus, submissions, outcomes):
    await finish(bus, submissions[0], digest=digest_of(b"another text"))

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await submitter.finished()

    assert [o.error.code for o in outcomes] == [ErrorCode.ID_CONFLICT]


async def test_a_repeated_task_gets_the_result_that_is_there_and_is_not_submitted_again(bus, submissions, outcomes):
    for submission in submissions:
        await finish(bus, submission)

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        for submission in submissions:
            await submitter.submit(submission)
        await submitter.finished()

    assert [o.ok for o in outcomes] == [True] * 5
    assert bus.published == []


async def test_where_no_task_has_a_result_from_before_none_is_read_any_more(bus, submissions, outcomes, monkeypatch):
    monkeypatch.setattr(submitting, "_GUESSES", 2)

    async with Submitter(bus, "shop", outcomes.append, in_flight=1) as submitter:
        for submission in submissions:
            finishing = asyncio.create_task(submitter.submit(submission))
            await finishing
            await finish(bus, submission)
        await submitter.finished()

    assert bus.reads == [subjects.done(submission.address) for submission in submissions[:2]]


async def test_a_repeated_task_among_new_ones_is_found_after_a_while(submissions, outcomes, monkeypatch):
    timed(monkeypatch, LOOK_EVERY_S=0.01, LOOK_AFTER_S=0.02, _GUESSES=0)
    bus = CountedBus()
    await finish(bus, submissions[0])

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await submitter.finished()

    assert [o.ok for o in outcomes] == [True]
    assert len(bus.published) == 1


async def test_what_was_missed_while_the_connection_was_away_is_read_at_once(submissions, outcomes, monkeypatch, until):
    timed(monkeypatch, LOOK_EVERY_S=3600, LOOK_AFTER_S=3600, _GUESSES=0)
    bus = DeafBus()

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await until(lambda: published(bus, submissions[0]))
        await finish(bus, submissions[0])
        bus.missed()
        await submitter.finished()

    assert [o.ok for o in outcomes] == [True]


async def test_a_task_in_flight_is_not_read_again_and_again(submissions, outcomes, monkeypatch, until):
    timed(monkeypatch, LOOK_EVERY_S=0.001, LOOK_AFTER_S=0.0, _GUESSES=0)
    bus = CountedBus()

    async def looked():
        return bus.reads

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await until(looked)
        for _ in range(5):
            await asyncio.sleep(0.002)
        await finish(bus, submissions[0])
        await submitter.finished()

    assert len(bus.reads) == 1


async def test_a_status_that_this_version_does_not_know_is_another(bus, submissions, outcomes):
    address = submissions[0].address
    body = b'{"task_id": "t1", "status": "postponed", "digest": "%b"}' % submissions[0].digest.encode()
    await bus.store(subjects.done(address), body)

    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await submitter.finished()

    assert (outcomes[0].status, outcomes[0].ok, outcomes[0].body) == (Status.OTHER, False, body)


async def test_what_is_late_is_an_error_and_the_rest_is_kept(bus, submissions, outcomes):
    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        for submission in submissions[:2]:
            await submitter.submit(submission)
        await finish(bus, submissions[0])
        await submitter.finished(timeout_s=0.2)

    assert {o.submission.line: o.error.code if o.error else None for o in outcomes} == {1: None, 2: ErrorCode.EXPIRED}
    assert {o.submission.line: o.is_final for o in outcomes} == {1: True, 2: False}


async def test_what_breaks_while_results_are_written_ends_the_submission(bus, submissions):
    def came(_):
        raise BrokenPipeError

    async with Submitter(bus, "shop", came, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        await finish(bus, submissions[0])

        with pytest.raises(BrokenPipeError):
            await submitter.finished()
        with pytest.raises(BrokenPipeError):
            await submitter.submit(submissions[1])


async def test_what_breaks_while_results_are_looked_for_ends_the_submission(submissions, outcomes, monkeypatch):
    timed(monkeypatch, LOOK_EVERY_S=0.001, LOOK_AFTER_S=0.0, _GUESSES=0)

    class BrokenBus(CountedBus):
        async def read(self, _):
            raise LookupError("a defect")

    bus = BrokenBus()
    async with Submitter(bus, "shop", outcomes.append, in_flight=2) as submitter:
        await submitter.submit(submissions[0])
        with pytest.raises(LookupError):
            await submitter.finished()


# ---------------------------------------------------------------- a mesh without room, a broker that is away


@pytest.mark.parametrize("error", [ContractError(ErrorCode.OVERLOADED, "full", retry_after_s=0.01), AWAY])
async def test_what_is_not_taken_is_offered_again_and_is_no_failure(submissions, outcomes, error, monkeypatch, until):
    monkeypatch.setattr("smallmesh.cli.intake.pace.AWAY_WAIT_S", (0.01,))
    bus, pace = RefusingBus(), quick()

    async with Submitter(bus, "shop", outcomes.append, in_flight=10, pace=pace) as submitter:
        await submitter.submit(submissions[0])
        await until(lambda: published(bus, submissions[0]))
        bus.errors = [error] * 3
        await submitter.submit(submissions[1])
        await until(lambda: published(bus, submissions[1]))
        for submission in submissions[:2]:
            await finish(bus, submission)
        await submitter.finished()

    assert [o.ok for o in outcomes] == [True, True]
    assert bus.errors == []
    assert pace.trouble is None


async def test_a_mesh_that_has_no_room_until_the_end_is_told_for_what_it_is(submissions, outcomes):
    bus = RefusingBus(*[FULL] * 100)

    async with Submitter(bus, "shop", outcomes.append, in_flight=10, pace=quick()) as submitter:
        await submitter.submit(submissions[0])
        await submitter.finished(timeout_s=0.05)

    assert [(o.error.code, o.is_final) for o in outcomes] == [(ErrorCode.OVERLOADED, False)]


@pytest.mark.parametrize("code", [ErrorCode.UNAVAILABLE, ErrorCode.UNAUTHORIZED])
async def test_a_broker_that_takes_nothing_from_the_first_on_ends_it(submissions, outcomes, code):
    bus = RefusingBus(ContractError(code, "no"))

    async with Submitter(bus, "shop", outcomes.append, in_flight=10) as submitter:
        await submitter.submit(submissions[0])
        with pytest.raises(ContractError) as raised:
            await submitter.finished()

    assert raised.value.info.code is code
    assert outcomes == []


async def test_a_task_that_the_broker_refuses_for_what_it_is_takes_no_other_with_it(submissions, outcomes):
    bus = RefusingBus(ContractError(ErrorCode.TOO_LONG, "more than the broker takes"))

    async with Submitter(bus, "shop", outcomes.append, in_flight=10) as submitter:
        for submission in submissions[:2]:
            await submitter.submit(submission)
        await finish(bus, submissions[1])
        await submitter.finished()

    assert {o.submission.line: o.error.code if o.error else None for o in outcomes} == {1: ErrorCode.TOO_LONG, 2: None}


# ---------------------------------------------------------------- pace


class Clock:
    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


def paced(most=64, jitter=0.0):
    clock = Clock()
    return Pace(most, clock=clock, jitter=lambda: jitter), clock


def test_a_full_mesh_is_obeyed_with_some_jitter():
    assert paced()[0].wait_s(FULL, 0, 64) == 4.0
    assert paced(jitter=1.0)[0].wait_s(FULL, 9, 64) == 6.0
    assert paced()[0].wait_s(ContractError(ErrorCode.OVERLOADED, "full"), 0, 64) == FULL_WAIT_S


def test_less_is_out_at_once_after_each_refusal_and_more_with_each_task_that_is_taken():
    pace, clock = paced()

    pace.wait_s(FULL, 0, 64)
    pace.wait_s(FULL, 0, 64)
    assert pace.limit == 32, "tasks that are refused together are one refusal"
    assert pace.trouble is ErrorCode.OVERLOADED

    clock.time += 4.0
    pace.wait_s(FULL, 1, 20)
    assert pace.limit == 10, "half of what is out, where that is less than may be"

    pace.taken()
    assert (pace.limit, pace.trouble) == (11, None)
    for _ in range(100):
        pace.taken()
    assert pace.limit == 64


def test_one_task_at_least_is_out():
    pace, clock = paced(most=1)
    for _ in range(3):
        pace.wait_s(FULL, 0, 1)
        clock.time += 10

    assert pace.limit == 1


def test_a_broker_that_went_away_is_waited_for_longer_and_longer_and_not_for_ever():
    pace, clock = paced()
    assert pace.wait_s(AWAY, 0, 1) is None, "one that was never there is not waited for"

    pace.taken()
    assert [pace.wait_s(AWAY, tries, 1) for tries in range(6)] == [*AWAY_WAIT_S, AWAY_WAIT_S[-1], AWAY_WAIT_S[-1]]

    clock.time += AWAY_S
    assert pace.wait_s(AWAY, 6, 1) is None


def test_what_no_wait_helps_is_about_one_task_or_about_all():
    pace, _ = paced()
    denied, too_long = ContractError(ErrorCode.UNAUTHORIZED, "no"), ContractError(ErrorCode.TOO_LONG, "long")

    assert pace.wait_s(denied, 0, 1) is None
    assert pace.wait_s(too_long, 0, 1) is None
    assert (pace.ends_all(AWAY), pace.ends_all(denied), pace.ends_all(too_long)) == (True, True, False)

    pace.taken()
    assert not pace.ends_all(denied), "some of it is permitted: then it is this class, or this task"
