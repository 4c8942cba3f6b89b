"""Are the streams there, as the layout says, and do they have room?"""

from collections.abc import Iterator, Mapping
from typing import Any

from smallmesh.doctor.facts import Facts, StreamFacts
from smallmesh.doctor.findings import Check, Finding, counted

NEARLY_FULL = 0.8
"""A stream that is full refuses: this leaves some time to act."""
CHOSEN_BY_OPERATORS = frozenset({"num_replicas"})
"""Part of a stream's configuration that `provision --replicas` decides, and not the layout."""
PROVISION = "create or update them with `smallmesh provision`"


class Streams(Check):
    """Whether every stream of the layout is there, configured as it should be, and not nearly full."""

    name = "streams"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield a finding for everything that is amiss, or one that nothing is."""
        streams = facts.broker.streams if facts.broker else None
        if streams is None:
            yield self.warning(
                "streams cannot be looked at", "allow this user to publish to $JS.API.STREAM.INFO.>, or ask an operator to look"
            )
            return
        missing = [stream.name for stream in streams if stream.config is None]
        if missing:
            yield self.problem(f"there is no stream {', '.join(missing)}", PROVISION)
        amiss = [finding for stream in streams if stream.config is not None for finding in self._one(stream, stream.config)]
        yield from amiss
        if not missing and not amiss:
            yield self.ok(f"{counted(len(streams), 'stream')} as the layout says")

    def _one(self, stream: StreamFacts, config: Mapping[str, Any]) -> Iterator[Finding]:
        other = differences(stream.expected, config)
        if other:
            yield self.problem(f"{stream.name} is not as the layout says: {', '.join(other)}", PROVISION)
        used, limit = stream.state.get("bytes", 0), config.get("max_bytes", -1)
        if limit > 0 and used >= limit * NEARLY_FULL:
            yield self.warning(
                f"{stream.name} is {used / limit:.0%} full: when it is full it refuses, and clients are told `overloaded`",
                "start more replicas of what is behind, or wait until what is kept is old enough to go",
            )


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the names of settings that are not as they should be. What a broker does not mention is off, or nothing."""
    wanted = {name: value for name, value in expected.items() if name not in CHOSEN_BY_OPERATORS}
    return sorted(name for name, value in wanted.items() if found.get(name, value if not value else None) != value)
