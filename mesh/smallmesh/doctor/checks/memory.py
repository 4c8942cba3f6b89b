"""Is there memory for the mesh?"""

from collections.abc import Iterator

from smallmesh.doctor.facts import Facts, Host
from smallmesh.doctor.findings import Check, Finding

AGENT = 125_000_000
"""Bytes of an agent's process without its model: 105 to 110 measured when idle, and what a full window takes on top."""
PROCESS = 60_000_000
"""Bytes of an orchestrator or of escalation: 54 and 60 measured when idle."""
ORCHESTRATORS = 2
SPARE = 200_000_000
"""Bytes that should be left for everything else; under it the kernel begins to end processes."""
_MB = 1e6


class Memory(Check):
    """Whether the processes that do not run yet would fit, or those that run have room."""

    name = "memory"
    needs_broker = False

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield one finding."""
        free = facts.host.memory_free
        if free is None:
            yield self.warning("free memory cannot be told here", "install psutil (the extra `broker`), or look yourself")
            return
        running = bool(facts.host.running_here) or bool(facts.broker and facts.broker.replicas)
        needed = 0 if running else needed_by(facts.host)
        told = f"{free / _MB:.0f} MB are free" + (f", a whole mesh needs about {needed / _MB:.0f}" if needed else "; the mesh runs already")
        if free < needed:
            yield self.problem(told, "free some memory, or leave agents out: `smallmesh up --scale NAME=0`")
        elif free < needed + SPARE:
            yield self.warning(told, "free some memory: long texts and backlogs take more")
        else:
            yield self.ok(told)


def needed_by(host: Host) -> int:
    """Return the bytes that one process each of everything on the agent path takes."""
    models = sum(model.memory for model in host.models)
    return AGENT * len(host.agents) + models + PROCESS * (len(host.services) + ORCHESTRATORS)
