"""Are the models here, and are they the ones of their cards?"""

from collections.abc import Iterator

from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding, counted


class Models(Check):
    """Whether the agent path loads, and every agent's model file is the one its card names."""

    name = "models"
    needs_broker = False

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield a finding for everything that cannot be served, or one that all can."""
        host = facts.host
        if host.catalogue_error:
            yield self.problem(f"the agent path cannot be loaded: {host.catalogue_error}", "correct that folder, or SMALLMESH_AGENT_PATH")
        for model in host.models:
            if not model.can_be_served:
                yield self.problem(f"{model.agent}: its model is {model.state.value}", model.message)
        if not host.catalogue_error and all(model.can_be_served for model in host.models):
            served = sum(model.card is not None for model in host.models)
            yield self.ok(f"{counted(served, 'model')} here, with the sha256 of the card")
