"""Is there a broker, and is it new enough?"""

from collections.abc import Iterator

from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding

LEAST = (2, 11)
"""Results have a message TTL, which nats-server takes from 2.11 on."""
SAFE = (2, 12, 5)
"""Before this, work queues kept on three brokers could lose messages that ran out of deliveries."""
SLOW_MS = 50.0
"""A step is a few round trips: at this one they take longer than a small model's answer to a short text."""


class BrokerThere(Check):
    """Whether the broker answers, how fast, and which version it is."""

    name = "broker"
    needs_broker = False

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield one finding on its being there and one where it is old or far."""
        broker = facts.broker
        if broker is None:
            yield self.problem(
                facts.unreachable, "start a mesh with `smallmesh up`, or name a broker with --nats URL or SMALLMESH_NATS_URL"
            )
            return
        version = version_of(broker.version)
        if version and version < LEAST:
            yield self.problem(f"nats-server {broker.version} at {facts.url} is too old", f"install {_dotted(LEAST)} or newer")
        elif version and version < SAFE:
            yield self.warning(
                f"nats-server {broker.version} at {facts.url} is old", f"install {_dotted(SAFE)} or newer before you cluster it"
            )
        else:
            told = f"nats-server {broker.version}" if broker.version else "a nats-server that does not tell its version"
            yield self.ok(f"{told} answers at {facts.url} in {broker.round_trip_ms:.1f} ms")
        if broker.round_trip_ms > SLOW_MS:
            yield self.warning(
                f"a round trip to the broker takes {broker.round_trip_ms:.0f} ms", "run it near the processes, or see what keeps it busy"
            )


def version_of(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, up to the first part that is none; empty for a text without any."""
    numbers: list[int] = []
    for part in text.split("-", maxsplit=1)[0].split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
