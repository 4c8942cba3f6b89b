"""Models for people, in the width there is, and for programs."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from smallmesh.cli.output import printable
from smallmesh.doctor.inventory import FileState, ModelFacts

WIDE = 120
"""Columns of the terminal from which every part of a card has a column of its own."""
_STYLES = {FileState.OK: "green", FileState.NO_CARD: "dim"}
_MB = 1e6


def cards_table(models: Sequence[ModelFacts], width: int) -> Table:
    """Return the cards: in columns where there is room, else two lines each."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    headings = (
        ("agent", "id", "file", "MB", "quantisation", "languages", "licence", "sha256") if width >= WIDE else ("agent", "model", "sha256")
    )
    for heading in headings:
        table.add_column(heading, justify="right" if heading == "MB" else "left", no_wrap=heading in ("agent", "sha256"))
    for model in models:
        if width >= WIDE:
            table.add_row(Text(printable(model.agent)), *_parts(model), _state(model))
        else:
            table.add_row(Text(printable(model.agent)), _in_short(model), _state(model))
    return table


def _parts(model: ModelFacts) -> list[Text]:
    card = model.card
    if card is None:
        return [Text("answers by rules" if model.state is FileState.NO_CARD else "", "dim"), *[Text()] * 5]
    told = (card.id, card.file, f"{model.size / _MB:.1f}" if model.size else "", card.quantisation, ", ".join(card.languages), card.licence)
    return [Text(printable(one)) for one in told]


def _in_short(model: ModelFacts) -> Text:
    name, *others = _parts(model)
    file, size, *rest = [one.plain for one in others]
    told = ", ".join(one for one in (file, f"{size} MB" if size else "", *rest) if one)
    return Text.assemble(name, (f"\n{told}" if told else "", "dim"))


def _state(model: ModelFacts) -> Text:
    sha256 = f" {model.card.sha256[:12]}" if model.card is not None else ""
    return Text.assemble((model.state.value if model.card is not None or model.message else "-", _STYLES.get(model.state, "red")), sha256)


def verdict(model: ModelFacts) -> Text:
    """Return whether a model is the one of its card, and what to do where it is not."""
    state = Text(model.state.value, _STYLES.get(model.state, "red"))
    sha256 = f" {model.card.sha256}" if model.card is not None and model.state is FileState.OK else ""
    return Text.assemble(f"{printable(model.agent)}: ", state, sha256, (f"\n→ {printable(model.message)}" if model.message else "", "dim"))


def model_as_json(model: ModelFacts) -> dict[str, Any]:
    """Return a model for programs: its card, and what the file is."""
    card = model.card.model_dump(mode="json") if model.card is not None else {}
    return {"agent": model.agent, "state": model.state.value, **card, "size": model.size, "message": model.message or None}
