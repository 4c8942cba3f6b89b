"""Models for people, in the width there is, and for programs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from smallmesh.cli.output import console, printable
from smallmesh.doctor.inventory import FileState, ModelFacts

if TYPE_CHECKING:
    from smallmesh.cli.pulling import Wanted
    from smallmesh.hosting.ladder.pull import Pulled

WIDE = 120
"""Columns of the terminal from which every part of a card has a column of its own."""
_STYLES = {FileState.OK: "green", FileState.NO_CARD: "dim", FileState.NOT_PULLED: "dim"}
_NUMBERS = ("MB", "memory MB")
_LANGUAGES = 3
"""Named in a table; --json has all."""
_MB = 1e6


def cards_table(models: Sequence[ModelFacts], width: int) -> Table:
    """Return the cards: in columns where there is room, else two lines each."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    parts = ("id", *_NUMBERS, "quantisation", "languages", "licence") if width >= WIDE else ("model",)
    for heading in ("agent", "tier", *parts, "file"):
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left", no_wrap=heading in ("agent", "tier", "file"))
    before = None
    for model in models:
        first = model.agent if model.agent != before else ""
        before = model.agent
        described = _parts(model) if width >= WIDE else [_in_short(model)]
        table.add_row(Text(printable(first)), Text(printable(model.tier), "bold" if model.in_use else ""), *described, _state(model))
    return table


def _parts(model: ModelFacts) -> list[Text]:
    card = model.card
    if card is None:
        return [Text("answers by rules" if model.state is FileState.NO_CARD else "", "dim"), *[Text()] * 5]
    size = f"{model.size / _MB:,.1f}" if model.size else ""
    told = (card.id, size, _memory(model), card.quantisation, _languages(card.languages), card.licence)
    return [Text(printable(one)) for one in told]


def _memory(model: ModelFacts) -> str:
    card = model.card
    if card is None or card.ram_mb is None:
        return ""
    return f"{card.ram_mb:,}" if card.ram == "measured" else f"~{card.ram_mb:,}"


def _languages(codes: Sequence[str]) -> str:
    more = len(codes) - _LANGUAGES
    return ", ".join(codes[:_LANGUAGES]) + (f" +{more}" if more > 0 else "")


def _in_short(model: ModelFacts) -> Text:
    name, *others = _parts(model)
    size, memory, *rest = [one.plain for one in others]
    told = ", ".join(one for one in (f"{size} MB" if size else "", f"{memory} MB of memory" if memory else "", *rest) if one)
    return Text.assemble(name, (f"\n{told}" if told else "", "dim"))


def _state(model: ModelFacts) -> Text:
    sha256 = f" {model.sha256[:12]}" if model.sha256 and model.state is not FileState.NOT_PULLED else ""
    serves = ("in use, ", "bold") if model.in_use and model.card is not None else ""
    said = model.state.value if model.card is not None or model.message else "-"
    return Text.assemble(serves, (said, _STYLES.get(model.state, "red")), sha256)


def verdict(model: ModelFacts) -> Text:
    """Return whether a model is the one of its card, and what to do where it is not."""
    state = Text(model.state.value, _STYLES.get(model.state, "red"))
    sha256 = f" {model.sha256}" if model.sha256 and model.state is FileState.OK else ""
    tier = f" {printable(model.tier)}" if model.tier != "embedded" else ""
    what_to_do = (f"\n→ {printable(model.message)}" if model.message else "", "dim")
    return Text.assemble(f"{printable(model.agent)}{tier}: ", state, sha256, what_to_do)


def model_as_json(model: ModelFacts) -> dict[str, Any]:
    """Return a model for programs: its card, and what the file is."""
    card = model.card.model_dump(mode="json") if model.card is not None else {}
    told = {"agent": model.agent, "tier": model.tier, "in_use": model.in_use, "state": model.state.value}
    lies = {"path": str(model.path) if model.path is not None else None, "sha256": model.sha256, "size": model.size}
    return {**card, **told, **lies, "message": model.message or None}


def say_pulled(wanted: "Wanted", pulled: "Pulled") -> None:
    """Print where a file lies now, and what to do next."""
    tier = wanted.tier
    how = "lay here already" if pulled.already else f"pulled, {pulled.size / _MB:,.1f} MB"
    console.print(f"{tier.id}: {how}, sha256 {pulled.sha256[:12]}… verified\n  {pulled.path}", markup=False, soft_wrap=True)
    agents = ", ".join(wanted.agents)
    console.print(f"  serves once it is chosen: smallmesh models use {wanted.agents[0]} {tier.tier}", markup=False, soft_wrap=True)
    if len(wanted.agents) > 1:
        console.print(f"  the same file for {agents}", markup=False, soft_wrap=True)


def pulled_as_json(wanted: "Wanted", pulled: "Pulled") -> dict[str, Any]:
    """Return what was pulled for programs."""
    told = {"id": wanted.tier.id, "tier": wanted.tier.tier, "agents": list(wanted.agents), "path": str(pulled.path)}
    return {**told, "sha256": pulled.sha256, "commit": pulled.commit, "size": pulled.size, "already": pulled.already}
