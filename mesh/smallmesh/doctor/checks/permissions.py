"""What may this connection not do?"""

from collections.abc import Iterator, Sequence

from smallmesh.bus.layout import STREAMS
from smallmesh.doctor.facts import Facts, Permissions
from smallmesh.doctor.findings import Check, Finding
from smallmesh_contracts import DataClass, Lane, subjects

_ANY, _REST = "*", ">"
PUBLISHES: dict[str, tuple[str, ...]] = {
    **{f"submit {c} tasks": tuple(subjects.any_submit(lane, c) for lane in Lane) for c in DataClass},
    **{f"run {c} tasks": (subjects.any_run(c),) for c in DataClass},
    "ask agents": (subjects.ask(_ANY),),
    "see who answers": ("$SRV.INFO",),
    "provision": tuple(f"$JS.API.STREAM.{verb}.{stream.name}" for verb in ("CREATE", "UPDATE") for stream in STREAMS),
}
"""What commands do, by the subjects they publish to."""
SUBSCRIBES: dict[str, tuple[str, ...]] = {
    **{f"watch {c} tasks": (*(subjects.any_submit(lane, c) for lane in Lane), subjects.any_done(c)) for c in DataClass},
    "get replies": ("_INBOX.>",),
}


class MayDo(Check):
    """What commands cannot do with this user's permissions."""

    name = "permissions"

    def look(self, facts: Facts) -> Iterator[Finding]:
        """Yield one finding: what this connection may not do, or that nothing is denied."""
        broker = facts.broker
        if broker is None:
            return
        who = f"{broker.user} " if broker.user else "this connection "
        if broker.permissions is None and broker.denied:
            yield self.warning(f"{who}may not do everything: {'; '.join(broker.denied)}", "ask whoever runs the broker, if you need it")
            return
        if broker.permissions is None:
            yield self.warning("the broker does not tell what this connection may do", "allow this user to publish to $SYS.REQ.USER.INFO")
            return
        refused = not_allowed(broker.permissions)
        if refused:
            yield self.warning(f"{who}may not: {', '.join(refused)}", "that may be meant; if not, ask whoever runs the broker")
        else:
            yield self.ok(f"{who}may do all that commands do")


def not_allowed(permissions: Permissions) -> list[str]:
    """Return what commands cannot do."""
    may_publish, may_subscribe = permissions.may_publish, permissions.may_subscribe
    refused = [
        *(what for what, wanted in PUBLISHES.items() if not _all(wanted, may_publish, permissions.never_publish)),
        *(what for what, wanted in SUBSCRIBES.items() if not _all(wanted, may_subscribe, permissions.never_subscribe)),
    ]
    return list(dict.fromkeys(refused))


def _all(wanted: Sequence[str], allowed: Sequence[str] | None, denied: Sequence[str]) -> bool:
    return all(_may(one, allowed, denied) for one in wanted)


def _may(wanted: str, allowed: Sequence[str] | None, denied: Sequence[str]) -> bool:
    listed = allowed is None or any(covers(pattern, wanted) for pattern in allowed)
    return listed and not any(meet(pattern, wanted) for pattern in denied)


def covers(pattern: str, wanted: str) -> bool:
    """Tell whether a pattern takes every subject that another one takes."""
    tokens, others = pattern.split("."), wanted.split(".")
    for number, one in enumerate(tokens):
        if one == _REST:
            return len(others) > number
        if number >= len(others) or others[number] == _REST or one not in (_ANY, others[number]):
            return False
    return len(tokens) == len(others)


def meet(pattern: str, other: str) -> bool:
    """Tell whether there is a subject that both patterns take."""
    tokens, others = pattern.split("."), other.split(".")
    for one, another in zip(tokens, others, strict=False):
        if _REST in (one, another):
            return True
        if _ANY not in (one, another) and one != another:
            return False
    return len(tokens) == len(others)
