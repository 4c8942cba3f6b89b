"""Do replicas of one agent serve the same model?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from smallmesh.bus import ServiceInfo
from smallmesh.bus.replicas import NEXT_MODEL_ID
from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding

SAME = ("model_id", "sha256", "prompt_version", NEXT_MODEL_ID)
"""What decides an answer: replicas that differ in it answer the same text differently."""
_SHOWN = 12


class Replicas(Check):
    """Whether all replicas of an agent have one model and one prompt version, and the one that lies here."""

    name = "replicas"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield a finding for every agent whose replicas differ, or one that none do."""
        by_name: dict[str, list[ServiceInfo]] = defaultdict(list)
        for one in facts.broker.replicas if facts.broker else ():
            if "model_id" in one.metadata:
                by_name[one.name].append(one)
        amiss = [finding for name in sorted(by_name) for finding in self._one(facts, name, by_name[name])]
        yield from amiss
        if not amiss:
            yield self.ok("all replicas of an agent serve one model and one prompt version")

    def _one(self, facts: Facts, name: str, replicas: Sequence[ServiceInfo]) -> Iterator[Finding]:
        for what in SAME:
            values = sorted({one.metadata.get(what, "") for one in replicas})
            if len(values) > 1:
                told = ", ".join(value[:_SHOWN] or "none" for value in values)
                yield self.warning(f"replicas of {name} differ in {what}: {told}", f"restart the old ones: {_pids(replicas, what)}")
        here = {model.card.sha256 for model in facts.host.models if model.agent == name and model.card is not None}
        other = [one for one in replicas if here and one.metadata.get("sha256") not in here]
        if other:
            yield self.warning(
                f"{name} runs with another model file than the card here names",
                "restart it here, or update this checkout, whichever is behind",
            )


def _pids(replicas: Sequence[ServiceInfo], what: str) -> str:
    return ", ".join(f"pid {one.metadata.get('pid', '?')} has {one.metadata.get(what, '')[:_SHOWN] or 'none'}" for one in replicas)
