"""Are the consumers there, as the layout says?"""

from collections.abc import Iterator

from smallmesh.bus.keeping import differences
from smallmesh.doctor.checks.streams import PROVISION
from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding, counted


class Consumers(Check):
    """Whether every agent, service and orchestrator of the agent path has its durable consumers."""

    name = "consumers"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield a finding for everything that is amiss, or one that nothing is."""
        consumers = facts.broker.consumers if facts.broker else None
        if consumers is None:
            yield self.warning(
                "consumers cannot be looked at", "allow this user to publish to $JS.API.CONSUMER.INFO.>, or ask an operator to look"
            )
            return
        missing = [consumer.name for consumer in consumers if consumer.config is None]
        if missing:
            yield self.problem(f"there is no consumer {', '.join(missing)}", PROVISION)
        other = [(c.name, differences(c.expected, c.config)) for c in consumers if c.config is not None]
        for name, amiss in other:
            if amiss:
                yield self.warning(
                    f"{name} is not as it would be provisioned here: {', '.join(amiss)}", f"if that is not meant, {PROVISION}"
                )
        if not missing and not any(amiss for _, amiss in other):
            yield self.ok(f"{counted(len(consumers), 'consumer')} as the layout says")
