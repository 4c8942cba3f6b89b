"""Entities in their text: marked where they stand, by type, and in their normal forms."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from smallmesh.cli.output import printable, printable_lines
from smallmesh.cli.views.show import KINDS, dotted
from smallmesh_contracts import EntitiesResult, Entity, EntityType

WHOLE = 1200
"""Characters up to which a text is shown whole: about a screen of 80 columns. Of a longer one only what stands around entities is."""
AROUND = 60
"""Characters shown on each side of an entity of a longer text."""
_WORD = 16
"""A cut moves outwards by at most so many characters, to the end of a word."""


def marked_text(text: str, result: EntitiesResult, *, plain: bool) -> RenderableType:
    """Return the text with its entities marked, a legend, and their normal forms.

    Args:
        text: The text that was asked about, to which offsets refer.
        result: What was found in it.
        plain: Mark by characters, where there are no colours.
    """
    parts: list[RenderableType] = [marked(text, result.entities, plain=plain), Text()] if result.entities else []
    parts.append(legend(result.entities))
    astray = len(result.entities) - len(_there(text, result.entities))
    if astray:
        parts.append(Text(f"{astray} of them not marked: the text reads otherwise where they say they stand", "red"))
    parts.extend(unread(result))
    return Group(*parts, *normal_forms(result.entities))


def marked(text: str, entities: Sequence[Entity], *, plain: bool) -> Text:
    """Return the text, or what of a long one stands around entities, with every entity marked that stands where it says."""
    there = _there(text, entities)
    return Text("\n").join(_part(text, there, part, plain=plain) for part in excerpts(text, there))


def _there(text: str, entities: Iterable[Entity]) -> list[Entity]:
    return sorted((e for e in entities if text[e.start : e.end] == e.text), key=lambda e: e.start)


def legend(entities: Sequence[Entity]) -> Text:
    """Return every type that was found, in its colour, with how many there are."""
    counts = Counter(e.type for e in entities)
    found = [Text.assemble((kind.value, f"{KINDS[kind]} bold"), f" {counts[kind]}") for kind in EntityType if counts[kind]]
    return dotted(found) if found else Text("no entities", "dim")


def unread(result: EntitiesResult) -> list[Text]:
    """Return what to know where the model did not read the text."""
    if "model" in result.read_by or not result.read_by:
        return []
    return [Text("read by rules only: persons, organisations and locations were not looked for in this language", "yellow")]


def by_type(entities: Sequence[Entity]) -> RenderableType:
    """Return entities type by type, each once, with its normal form where it has another."""
    if not entities:
        return Text("none", "dim")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for kind in EntityType:
        named = Counter((printable(e.text), normal_form(e)) for e in entities if e.type is kind)
        if named:
            table.add_row(Text(kind.value, KINDS[kind]), Text(", ").join(_named(*one, count) for one, count in named.items()))
    return table


def _named(name: str, normal: str | None, count: int) -> Text:
    return Text.assemble(name, (f" = {normal}" if normal else "", "dim"), (f" ×{count}" if count > 1 else "", "dim"))  # noqa: RUF001 - times


def normal_form(entity: Entity) -> str | None:
    """Return an entity's normal form; None where it has none, or its text is that already."""
    if entity.value is None:
        return None
    form = printable(f"{entity.value} {entity.currency}" if entity.currency else entity.value)
    return form if form != entity.text else None


def normal_forms(entities: Iterable[Entity]) -> list[RenderableType]:
    """Return a table of the normal forms; nothing where there are none."""
    formed = dict.fromkeys((e.type, printable(e.text), normal_form(e)) for e in entities if normal_form(e))
    if not formed:
        return []
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for kind, name, form in formed:
        table.add_row(Text(kind.value, KINDS[kind]), Text(name), Text(f"= {form}"))
    return [Text(), table]


def excerpts(text: str, entities: Sequence[Entity]) -> list[tuple[int, int]]:
    """Return the parts to show: the whole of a short text, else what stands around entities; in order, without overlap."""
    if len(text) <= WHOLE:
        return [(0, len(text))]
    parts: list[tuple[int, int]] = []
    for entity in entities:
        start, end = _outwards(text, entity.start - AROUND, -1), _outwards(text, entity.end + AROUND, 1)
        if parts and start <= parts[-1][1]:
            start, end = parts[-1][0], max(parts.pop()[1], end)
        parts.append((start, end))
    return parts


def _outwards(text: str, at: int, step: int) -> int:
    """Move a cut to the nearest white space outside, where there is one near."""
    at = min(max(at, 0), len(text))
    for moved in range(at, at + step * _WORD, step):
        if not 0 < moved < len(text):
            return min(max(moved, 0), len(text))
        if text[moved - (step < 0)].isspace():
            return moved
    return at


def _part(text: str, entities: Sequence[Entity], part: tuple[int, int], *, plain: bool) -> Text:
    start, end = part
    whole = (start, end) == (0, len(text))
    shown = Text()
    shown.append("" if start == 0 else "… ", "dim")
    at = start
    for entity in entities:
        if at <= entity.start and entity.end <= end:
            shown.append(_harmless(text[at : entity.start], whole=whole))
            shown.append(_mark(entity, plain=plain))
            at = entity.end
    shown.append(_harmless(text[at:end], whole=whole))
    shown.append("" if end == len(text) else " …", "dim")
    return shown


def _mark(entity: Entity, *, plain: bool) -> Text:
    name = printable_lines(entity.text)
    return Text(f"[{name}|{entity.type.value}]") if plain else Text(name, f"{KINDS[entity.type]} bold underline")


def _harmless(text: str, *, whole: bool) -> str:
    """Return a piece between entities: in its lines where the text is shown whole, else in one."""
    if whole:
        return printable_lines(text)
    words = " ".join(text.split())
    return printable(f"{' ' if text[:1].isspace() else ''}{words}{' ' if words and text[-1:].isspace() else ''}")
