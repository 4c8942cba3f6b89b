"""Are the streams there, as the layout says, and do they have room?"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from smallmesh.bus.keeping import differences
from smallmesh.bus.layout import DEAD
from smallmesh.doctor.facts import Facts, StreamFacts
from smallmesh.doctor.findings import Check, Finding, counted

NEARLY_FULL = 0.8
"""A stream that is full refuses: this leaves some time to act."""
PROVISION = "create or update them with `smallmesh provision`"
_SET = {
    "num_replicas": "SMALLMESH_STREAM_REPLICAS",
    "max_bytes": "SMALLMESH_STORE_SIZE",
    "max_age": "SMALLMESH_DONE_KEPT_S and SMALLMESH_DEAD_KEPT_S",
}
"""What an operator decides; it may have been set elsewhere, and not here."""

SILENT_NS = 5_000_000_000
"""Brokers of a cluster speak to each other every second; nats-server itself calls one offline only after minutes."""
MUCH_BEHIND = 1000
"""Messages: less is made good in a moment."""
_CURE = {
    "away": "start it again: without one more of them streams take nothing",
    "behind": "wait until it has caught up before another is stopped; its disk or the network may be too slow",
}


class Streams(Check):
    """Whether every stream of the layout is there, configured as it should be, and not nearly full."""

    name = "streams"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield a finding for everything that is amiss, or one that nothing is."""
        streams = facts.broker.streams if facts.broker else None
        if streams is None:
            yield self.warning(
                "streams cannot be looked at",
                "allow this user to publish to $JS.API.STREAM.INFO.>, or start the brokers of its cluster",
            )
            return
        missing = [stream.name for stream in streams if stream.config is None]
        if missing:
            yield self.problem(f"there is no stream {', '.join(missing)}", PROVISION)
        amiss = [finding for stream in streams if stream.config is not None for finding in self._one(stream, stream.config)]
        away = list(self._brokers(streams))
        yield from amiss
        yield from away
        if not missing and not amiss and not away:
            yield self.ok(f"{counted(len(streams), 'stream')} as the layout says")

    def _one(self, stream: StreamFacts, config: Mapping[str, Any]) -> Iterator[Finding]:
        other = differences(stream.expected, config)
        if other:
            yield self.problem(f"{stream.name} is not as the layout says: {', '.join(other)}", _todo(other))
        used, limit = stream.state.get("bytes", 0), config.get("max_bytes", -1)
        if stream.name != DEAD.name and limit > 0 and used >= limit * NEARLY_FULL:  # what that one means is another check's
            yield self.warning(
                f"{stream.name} is {used / limit:.0%} full: when it is full it refuses, and clients are told `overloaded`",
                "start more replicas of what is behind, or wait until what is kept is old enough to go",
            )

    def _brokers(self, streams: Sequence[StreamFacts]) -> Iterator[Finding]:
        """Yield a finding for every broker that is away, or behind, with what it should keep."""
        told = ((str(one.get("name", "?")), _amiss(one)) for stream in streams for one in stream.cluster.get("replicas") or ())
        for (name, amiss), count in sorted(Counter((name, amiss) for name, amiss in told if amiss).items()):
            yield self.warning(f"{name}, which keeps {counted(count, 'stream')}, is {amiss}", _CURE[amiss])


def _amiss(replica: Mapping[str, Any]) -> str:
    silent_ns, current = replica.get("active", 0), replica.get("current", False)
    if replica.get("offline") or silent_ns > SILENT_NS or not (current or silent_ns):  # none: not heard of since another leads
        return "away"
    return "behind" if not current and replica.get("lag", 0) > MUCH_BEHIND else ""


def _todo(other: Sequence[str]) -> str:
    set_here = " and ".join(_SET[name] for name in other if name in _SET)
    return f"{PROVISION}, or set {set_here} here as it was set for that" if set_here else PROVISION
