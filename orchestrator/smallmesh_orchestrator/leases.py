"""The durable door: a submission is the lease on its task.

It stays un-acknowledged while the task is worked on, renewed again and again, and
is acknowledged only after the terminal result is stored. :class:`State` names what a
replica can die in, and what follows.

A lease goes back to the broker only where this replica stops, dies, or fails for
a reason of its own. These deliveries are counted, and a submission that has had too many
is given up. What fails because the broker is full or away is held and tried again here.
"""

import asyncio
import contextlib
from typing import Final

from smallmesh.bus import Delivery
from smallmesh.retry import RetryPolicy, error_of
from smallmesh.telemetry import logger
from smallmesh_orchestrator.lease import Lease
from smallmesh_orchestrator.renewing import Renewals
from smallmesh_orchestrator.submissions import ORIGIN, Submissions

HAND_BACK_S: Final = 0.1
"""A replica that stops has left its consumers by then, so that it is not handed the same lease again."""


class Leases:
    """Holds submissions until each has its one terminal result."""

    def __init__(self, submissions: Submissions, renewals: Renewals, retry: RetryPolicy | None = None) -> None:
        """Hold what ``submissions`` works out, renewed by ``renewals``; what fails here is handed back as ``retry`` says."""
        self._submissions = submissions
        self._renewals = renewals
        self._retry = retry or RetryPolicy()
        self._held: dict[tuple[int, str], Lease] = {}
        self._closing = False

    def __len__(self) -> int:
        """Return how many are held."""
        return len(self._held)

    def hand_back(self) -> None:
        """Give every lease back at once, except those whose results are all in: they end within a moment."""
        self._closing = True
        for lease in list(self._held.values()):
            if not lease.ends_soon:
                lease.worker.cancel()

    async def handle(self, delivery: Delivery) -> None:
        """Hold one submission while it is worked on."""
        if self._closing:
            await delivery.retry(HAND_BACK_S)
        elif (mine := self._held.get(_key(delivery))) is not None:
            self._adopt(mine, delivery)
        else:
            await self._hold(delivery)

    def _adopt(self, lease: Lease, delivery: Delivery) -> None:
        """Go on with a lease that came again: its window passed while the connection was away, and nobody else has it."""
        self._renewals.remove(lease.delivery)
        self._renewals.add(delivery)
        lease.delivery = delivery

    async def _hold(self, delivery: Delivery) -> None:
        lease = self._held[_key(delivery)] = Lease(delivery)
        self._renewals.add(delivery)
        try:
            await self._submissions.work(lease)
        except asyncio.CancelledError:  # this replica is stopping: another shall have it at once
            logger().info("task_handed_back", subject=delivery.subject, state=lease.state.name)
            await asyncio.shield(self._back(lease, HAND_BACK_S))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the submission must not be lost
            info = error_of(error, ORIGIN)
            logger().warning("task_retried", subject=delivery.subject, state=lease.state.name, code=info.code.value, reason=info.message)
            await self._back(lease, self._retry.delay_s(lease.delivery.deliveries))
        finally:
            self._renewals.remove(lease.delivery)
            del self._held[_key(delivery)]

    async def _back(self, lease: Lease, delay_s: float) -> None:
        with contextlib.suppress(Exception):  # not connected: it goes back by itself, when its window has passed
            await lease.delivery.retry(delay_s)


def _key(delivery: Delivery) -> tuple[int, str]:
    """Return what tells one submission from another, even in a stream that was made anew."""
    return (delivery.sequence, delivery.subject)
