"""The checks, in the order in which a person would look."""

from collections.abc import Iterator

from smallmesh.doctor.checks.backlog import Backlog
from smallmesh.doctor.checks.broker import BrokerThere
from smallmesh.doctor.checks.consumers import Consumers
from smallmesh.doctor.checks.dead_letters import DeadLetters
from smallmesh.doctor.checks.disk import Disk
from smallmesh.doctor.checks.extras import Extras
from smallmesh.doctor.checks.jetstream import JetStream
from smallmesh.doctor.checks.memory import Memory
from smallmesh.doctor.checks.models import Models
from smallmesh.doctor.checks.permissions import MayDo
from smallmesh.doctor.checks.processes import Processes
from smallmesh.doctor.checks.replicas import Replicas
from smallmesh.doctor.checks.streams import Streams
from smallmesh.doctor.checks.versions import Versions
from smallmesh.doctor.facts import Facts
from smallmesh.doctor.findings import Check, Finding

CHECKS: tuple[Check, ...] = (
    BrokerThere(),
    JetStream(),
    Streams(),
    Consumers(),
    Processes(),
    Replicas(),
    Versions(),
    Backlog(),
    DeadLetters(),
    MayDo(),
    Models(),
    Memory(),
    Disk(),
    Extras(),
)


def examine(facts: Facts) -> Iterator[Finding]:
    """Yield what all checks find; those that need a broker are left out where there is none."""
    for check in CHECKS:
        if facts.broker is not None or not check.needs_broker:
            yield from check.look(facts)
