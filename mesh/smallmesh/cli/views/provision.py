"""Streams as ``provision`` shows them."""

from collections.abc import Sequence

from rich.table import Table

from smallmesh.bus.keeping import in_units
from smallmesh.bus.provision import Provisioned

_SPANS = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"))


def table(streams: Sequence[Provisioned]) -> Table:
    """Return a table of what each stream keeps, how much and how long."""
    shown = Table(box=None, pad_edge=False)
    for heading in ("stream", "", "refuses more at", "holds", "messages", "keeps them", "brokers"):
        shown.add_column(heading, justify="left" if heading in ("stream", "", "keeps them") else "right")
    for one in streams:
        shown.add_row(
            one.name,
            one.change,
            in_units(one.max_bytes),
            in_units(one.held_bytes),
            f"{one.messages:,}",
            span(one.max_age_s),
            str(one.replicas),
        )
    return shown


def span(seconds: float) -> str:
    """Return a time as a person reads it: ``30 days``; 0 is for ever."""
    if not seconds:
        return "for ever"
    for of_seconds, unit in _SPANS:
        if seconds >= of_seconds:
            count = seconds / of_seconds
            return f"{count:.3g} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:.3g} seconds"
