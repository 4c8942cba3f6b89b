"""Does work wait, and is somebody there to take it?"""

from collections.abc import Iterator, Sequence

from smallmesh.doctor.facts import ConsumerFacts, Facts
from smallmesh.doctor.findings import Check, Finding, counted
from smallmesh_contracts import Lane

MANY_INTERACTIVE = 100
"""Interactive work that waits: at 20 ms a short text it is two seconds for one replica, of the four that an answer may take."""
MANY_BULK = 100_000
"""Bulk work that waits: at 50 texts a second and replica it is more than half an hour."""
_MANY = {Lane.INTERACTIVE.value: MANY_INTERACTIVE, Lane.BULK.value: MANY_BULK}


class Backlog(Check):
    """Whether queues are taken from, and are short where somebody waits."""

    name = "backlog"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield a finding for every queue that stands still or is long, or one that says what waits."""
        consumers = facts.broker.consumers if facts.broker else None
        if consumers is None:
            yield self.warning("queues cannot be looked at", "allow this user to publish to $JS.API.CONSUMER.INFO.>")
            return
        amiss = [finding for consumer in consumers for finding in self._one(consumer)]
        yield from amiss
        if not amiss:
            yield self.ok(f"{counted(_sum(consumers, 'pending'), 'message')} waiting, {_sum(consumers, 'in_hand')} in hand")

    def _one(self, consumer: ConsumerFacts) -> Iterator[Finding]:
        lane = consumer.name.split("-")[1] if "-" in consumer.name else ""
        who = consumer.name.partition("-")[0]
        if consumer.pending and not consumer.waiting and not consumer.in_hand:
            yield self.problem(
                f"{counted(consumer.pending, 'message')} waiting for {consumer.name}, and nobody there to take it",
                f"`smallmesh serve {who}`",
            )
        elif consumer.pending > _MANY.get(lane, MANY_BULK):
            yield self.warning(
                f"{counted(consumer.pending, 'message')} waiting for {consumer.name}",
                f"start more replicas: `smallmesh serve {who}` on another core, or `smallmesh up --scale {who}=2`",
            )


def _sum(consumers: Sequence[ConsumerFacts], what: str) -> int:
    return sum(getattr(consumer, what) for consumer in consumers)
