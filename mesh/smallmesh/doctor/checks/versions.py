"""Does one version of smallmesh run everywhere?"""

from collections.abc import Iterator

from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding


class Versions(Check):
    """Whether all processes are of this version."""

    name = "versions"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield one finding for each other version, or one that there is none."""
        here = f"smallmesh {facts.host.version}, Python {facts.host.python}"
        others: dict[str, list[str]] = {}
        for one in facts.broker.replicas if facts.broker else ():
            if one.version != facts.host.version:
                others.setdefault(one.version, []).append(one.name)
        for version, names in sorted(others.items()):
            yield self.warning(
                f"{', '.join(sorted(set(names)))} runs smallmesh {version}, here is {facts.host.version}",
                "bring all to one version; an older reader ignores what is new",
            )
        if not others:
            yield self.ok(here)
