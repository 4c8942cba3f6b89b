"""Is there room for what the broker keeps?"""

from collections.abc import Iterator

from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding

LITTLE = 2_000_000_000
"""Bytes. A million kept results of 1 KB take about one gigabyte."""
TOO_LITTLE = 200_000_000
"""Bytes. JetStream refuses before the disk is full, and logs grow as well."""
_GB = 1e9


class Disk(Check):
    """Whether the disk has room where a mesh that `up` starts keeps its store."""

    name = "disk"
    needs_broker = False

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield one finding."""
        host = facts.host
        told = f"{host.disk_free / _GB:.1f} GB are free for {host.state_dir}"
        if host.disk_free < TOO_LITTLE:
            yield self.problem(told, "free some space, or set SMALLMESH_STATE_DIR to another disk")
        elif host.disk_free < LITTLE:
            yield self.warning(told, "free some space, or set SMALLMESH_STATE_DIR to another disk")
        else:
            yield self.ok(told)
