"""Was anything given up?"""

from collections.abc import Iterator

from smallmesh.bus.layout import DEAD
from smallmesh.doctor.checks.streams import NEARLY_FULL
from smallmesh.doctor.facts import Broker, Facts
from smallmesh.doctor.findings import Check, Finding, counted


class DeadLetters(Check):
    """How many dead letters are kept, of whom, and whether more would fit."""

    name = "dead letters"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield one finding on how many there are, and one where their stream is nearly full."""
        letters = facts.broker.dead_letters if facts.broker else None
        if letters is None:
            yield self.warning("dead letters cannot be looked at", f"allow this user to publish to $JS.API.STREAM.INFO.{DEAD.name}")
        elif letters:
            told = ", ".join(f"{number} {whose}" for whose, number in sorted(letters.items()))
            yield self.warning(
                f"{counted(sum(letters.values()), 'dead letter')} kept ({told})",
                "`smallmesh dlq ls` says why; when that is mended, `smallmesh dlq replay --reason CODE` tries them again, "
                "and `smallmesh dlq drop` removes what is not worth it",
            )
        else:
            yield self.ok("no dead letters")
        if facts.broker is not None:
            yield from self._room(facts.broker)

    def _room(self, broker: Broker) -> Iterator[Finding]:
        for stream in broker.streams or ():
            used, limit = stream.state.get("bytes", 0), (stream.config or {}).get("max_bytes", -1)
            if stream.name == DEAD.name and limit > 0 and used >= limit * NEARLY_FULL:
                yield self.warning(
                    f"{DEAD.name} is {used / limit:.0%} full: when it is full, what is given up stays in its queue and is tried again",
                    "make room: `smallmesh dlq replay` what can be done now, and `smallmesh dlq drop` the rest",
                )
