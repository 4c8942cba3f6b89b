"""Does the broker keep messages, and large enough ones?"""

from collections.abc import Iterator

from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding
from smallmesh_contracts import Lane, limits

ROOM = 64 * limits.KIB
"""What a message has beside its text: instruction, metadata, headers, and the reason that a dead letter carries."""
NEEDED = limits.TEXT_BYTES[Lane.BULK] + ROOM
"""Bytes of a message with the longest text, where no character of it is escaped."""
ENOUGH = 6 * limits.TEXT_BYTES[Lane.BULK] + ROOM
"""The same with every character escaped as six bytes, which is what JSON makes of control characters."""


class JetStream(Check):
    """Whether JetStream is on, and what one message may hold."""

    name = "jetstream"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield one finding on JetStream and one where messages must be small."""
        broker = facts.broker
        if broker is None:
            return
        if broker.jetstream is None:
            yield self.warning("the broker does not tell whether JetStream is on", "allow this user to publish to $JS.API.INFO")
        elif not broker.jetstream:
            yield self.problem("JetStream is off: nothing is kept", "start nats-server with -js, or enable JetStream for this account")
        else:
            yield self.ok("JetStream is on")
        if 0 < broker.max_payload < NEEDED:
            yield self.problem(
                f"the broker takes messages of {broker.max_payload} bytes: long texts do not fit", f"set max_payload to {ENOUGH} or more"
            )
        elif 0 < broker.max_payload < ENOUGH:
            yield self.warning(
                f"the broker takes messages of {broker.max_payload} bytes: a long text with many escaped characters may not fit",
                f"set max_payload to {ENOUGH} or more",
            )
