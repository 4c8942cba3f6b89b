"""Is what is installed whole?"""

from collections.abc import Iterator

from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding


class Extras(Check):
    """Which extras of the distribution are installed, and whether one is only in part."""

    name = "extras"
    needs_broker = False

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield a finding for every extra that is installed in part, and one that names the others."""
        extras = facts.host.extras
        for extra in extras:
            if extra.missing and extra.own_present:
                yield self.problem(
                    f"the extra `{extra.name}` is installed in part: {', '.join(extra.missing)} missing",
                    f"pip install 'smallmesh[{extra.name}]'",
                )
        whole = [extra.name for extra in extras if not extra.missing]
        absent = [extra.name for extra in extras if extra.missing and not extra.own_present]
        left_out = f"; not installed: {', '.join(absent)}" if absent else ""
        yield self.ok(f"installed: {', '.join(whole) or 'no extra'}{left_out}")
