"""Was anything given up?"""

from collections.abc import Iterator

from smallmesh.bus.layout import DEAD
from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding, counted


class DeadLetters(Check):
    """How many dead letters are kept, and of whom."""

    name = "dead letters"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield one finding: how many there are."""
        letters = facts.broker.dead_letters if facts.broker else None
        if letters is None:
            yield self.warning("dead letters cannot be looked at", f"allow this user to publish to $JS.API.STREAM.INFO.{DEAD.name}")
        elif letters:
            told = ", ".join(f"{number} {whose}" for whose, number in sorted(letters.items()))
            yield self.warning(
                f"{counted(sum(letters.values()), 'dead letter')} kept ({told})",
                f"each says in its headers why and where it came from; it goes by itself after {DEAD.max_age_s / 86400:.0f} days",
            )
        else:
            yield self.ok("no dead letters")
