"""What is wrong here, and what to do about it: facts are gathered once, checks look at them, findings say what to do.

``facts`` says what is known, ``gather`` finds it out over the bus and on this machine, ``checks`` are the small units
that judge it, each without I/O. Adding one: a module in ``checks`` with one :class:`~smallmesh.doctor.findings.Check`,
its line in ``CHECKS``, and its tests.
"""

from smallmesh.doctor.checks import CHECKS, examine
from smallmesh.doctor.facts import Broker, ConsumerFacts, Facts, Host, Permissions, StreamFacts
from smallmesh.doctor.findings import Check, Finding, Level

__all__ = [
    "CHECKS",
    "Broker",
    "Check",
    "ConsumerFacts",
    "Facts",
    "Finding",
    "Host",
    "Level",
    "Permissions",
    "StreamFacts",
    "examine",
]
