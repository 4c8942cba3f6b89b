"""Is everybody there whom the agent path promises?"""

from collections.abc import Iterator, Mapping, Sequence

from smallmesh.bus import ServiceInfo
from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding
from smallmesh_contracts import DataClass

ORCHESTRATOR = "orchestrator"


class Processes(Check):
    """Whether agents, services and, for every data class, an orchestrator answer under $SRV."""

    name = "processes"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield a finding for everybody who is missing or unknown, or one that nobody is."""
        replicas = facts.broker.replicas if facts.broker else ()
        if not replicas:
            yield self.problem("nobody answers on this broker", "start a mesh with `smallmesh up`, or its processes with `smallmesh serve`")
            return
        there = {one.name for one in replicas}
        amiss = [*self._orchestrators(replicas), *self._missing(facts, there), *self._unknown(facts, there)]
        yield from amiss
        if not amiss:
            yield self.ok(f"{len(replicas)} processes answer: {', '.join(sorted(there))}")

    def _orchestrators(self, replicas: Sequence[ServiceInfo]) -> Iterator[Finding]:
        served = {name for one in replicas if one.name == ORCHESTRATOR for name in one.metadata.get("classes", "").split(",")}
        left = [c.value for c in DataClass if c.value not in served]
        if left:
            yield self.problem(
                f"no orchestrator serves {', '.join(left)} tasks: they wait until they expire",
                f"`smallmesh serve orchestrator --classes {','.join(left)}`",
            )

    def _missing(self, facts: Facts, there: set[str]) -> Iterator[Finding]:
        for name, answer in _lacking(facts.host.agents, there):
            yield self.problem(f"{name} does not answer: tasks that want {answer} wait for it", f"`smallmesh serve {name}`")
        for name, answer in _lacking(facts.host.services, there):
            yield self.warning(f"{name} does not answer: a task that needs it for {answer} waits", f"`smallmesh serve {name}`")

    def _unknown(self, facts: Facts, there: set[str]) -> Iterator[Finding]:
        known = facts.host.agents.keys() | facts.host.services.keys() | {ORCHESTRATOR}
        unknown = sorted(there - known)
        if unknown and not facts.host.catalogue_error:
            yield self.warning(
                f"{', '.join(unknown)} answers, but is not on the agent path here",
                "set SMALLMESH_AGENT_PATH to the folders that the mesh has, or orchestrators started here will not know it",
            )


def _lacking(declared: Mapping[str, str], there: set[str]) -> list[tuple[str, str]]:
    return [(name, answer) for name, answer in sorted(declared.items()) if name not in there]
