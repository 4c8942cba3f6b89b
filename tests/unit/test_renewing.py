"""Renewals: every lease in time, and never all at once."""

import asyncio
import contextlib

import pytest

from smallmesh_orchestrator.renewing import Renewals
from tests.support.patience import until


class Held:
    """A lease that counts its renewals."""

    def __init__(self, log):
        self._log = log
        self.renewed = 0

    async def in_progress(self):
        self.renewed += 1
        self._log.append(asyncio.get_running_loop().time())


@contextlib.asynccontextmanager
async def running(renewals):
    task = asyncio.create_task(renewals.run())
    try:
        yield
    finally:
        task.cancel()


@pytest.fixture
def log():
    return []


async def test_every_lease_is_renewed_again_and_again(log):
    renewals, leases = Renewals(0.05), [Held(log) for _ in range(20)]
    for lease in leases:
        renewals.add(lease)

    async with running(renewals):
        await until(lambda: all(lease.renewed >= 3 for lease in leases), "three renewals each")


async def test_one_that_was_let_go_is_not_renewed(log):
    renewals, gone, kept = Renewals(0.02), Held(log), Held(log)
    renewals.add(gone)
    renewals.add(kept)
    renewals.remove(gone)

    async with running(renewals):
        await until(lambda: kept.renewed >= 2, "renewals of the other")

    assert gone.renewed == 0


async def test_leases_taken_in_one_burst_are_not_renewed_in_one(log):
    renewals = Renewals(10.0)
    for _ in range(10_000):
        renewals.add(Held(log))

    largest = max(len(each) for each in renewals._slices)

    assert len(renewals._slices) == 100
    assert largest < 200


async def test_after_a_gap_all_are_renewed_at_once(log):
    renewals, leases = Renewals(3600.0), [Held(log) for _ in range(50)]
    for lease in leases:
        renewals.add(lease)

    async with running(renewals):
        renewals.all_now()
        await until(lambda: all(lease.renewed == 1 for lease in leases), "one renewal each")


async def test_a_renewal_that_fails_does_not_keep_the_others_from_theirs(log):
    renewals, lease = Renewals(0.02), Held(log)

    class Away(Held):
        async def in_progress(self):
            raise ConnectionError

    renewals.add(Away(log))
    renewals.add(lease)

    async with running(renewals):
        await until(lambda: lease.renewed >= 2, "renewals of the other")


async def test_nobody_wakes_up_while_nothing_is_held(log):
    renewals, lease = Renewals(0.02), Held(log)

    async with running(renewals):
        await asyncio.sleep(0)
        assert not renewals._any.is_set()
        renewals.add(lease)
        await until(lambda: lease.renewed, "the first is renewed")
