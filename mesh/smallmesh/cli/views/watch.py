"""What ``watch`` shows: a table that lives at a terminal, a line a task elsewhere, JSON for programs."""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from smallmesh.cli.output import console, notes, print_json, printable
from smallmesh.cli.views.show import STYLES, dotted, value_text
from smallmesh.cli.watching import Board, Event, Glimpse, Kind, Only, Row

WIDE = 110
"""Columns of the terminal from which whole ids, tenants and lanes are shown."""
NARROW = 76
"""Columns from which classes are."""
_AROUND = 5
"""Lines that are not rows, beside the counts: title, empty line, headings, an empty one below, and the shell's own."""


class View(AbstractContextManager["View"], Protocol):
    """One way to show what goes by.

    Attributes:
        draws: Whether it draws, and so needs a pause between two drawings.
    """

    draws: bool

    def saw(self, event: Event, board: Board, row: Row | None) -> None:
        """Take in one event, which the board has seen."""

    def draw(self, board: Board) -> None:
        """Draw, where something is drawn at all."""

    def note(self, text: str) -> None:
        """Tell of the connection."""


class TableView(ExitStack):
    """The latest tasks, newest below, as many as the terminal holds."""

    draws = True

    def __init__(self, title: str, only: Only | None) -> None:
        """Show tasks that are looked for, under a title."""
        super().__init__()
        self._head = Head(title, only)

    def __enter__(self) -> Self:
        """Open the table."""
        super().__enter__()
        self._live = self.enter_context(Live(console=console, auto_refresh=False))
        return self

    def saw(self, event: Event, board: Board, row: Row | None) -> None:
        """Wait for the next drawing."""

    def draw(self, board: Board) -> None:
        """Draw the board anew."""
        self._live.update(board_view(board, self._head, console, time.time()), refresh=True)

    def note(self, text: str) -> None:
        """Show what is wrong with the connection in the head."""
        self._head = replace(self._head, note=text)


class LinesView(ExitStack):
    """A line a task, when it has ended."""

    draws = False

    def __init__(self, only: Only | None) -> None:
        """Show tasks that are looked for."""
        super().__init__()
        self._only = only

    def saw(self, event: Event, board: Board, row: Row | None) -> None:  # noqa: ARG002 - one form for all views
        """Print a task that has ended, or a letter that is dead."""
        if event.kind is Kind.DEAD and self._only in (None, Only.FAILED):
            console.print(_dead_line(event), soft_wrap=True)
        elif event.kind is Kind.DONE and row is not None and row.is_shown(self._only):
            console.print(_line(row, event.at), soft_wrap=True)

    def draw(self, board: Board) -> None:
        """Draw nothing."""

    def note(self, text: str) -> None:
        """Tell it beside the tasks."""
        notes.print(Text(text))


class JsonView(ExitStack):
    """One JSON object a line, for every event."""

    draws = False

    def __init__(self, only: Only | None) -> None:
        """Print events of tasks that are looked for."""
        super().__init__()
        self._only = only

    def saw(self, event: Event, board: Board, row: Row | None) -> None:  # noqa: ARG002 - one form for all views
        """Print the event."""
        if self._only is None or (event.kind is Kind.DEAD and self._only is Only.FAILED) or self._is_wanted_end(event, row):
            print_json(event.as_json())

    def _is_wanted_end(self, event: Event, row: Row | None) -> bool:
        return event.kind is Kind.DONE and row is not None and row.is_shown(self._only)

    def draw(self, board: Board) -> None:
        """Draw nothing."""

    def note(self, text: str) -> None:
        """Tell it beside the events."""
        notes.print(Text(text))


def view(title: str, only: Only | None, *, json: bool) -> View:
    """Return the view that fits the output."""
    if json:
        return JsonView(only)
    return TableView(title, only) if console.is_terminal else LinesView(only)


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above the tasks.

    Attributes:
        title: What is watched.
        only: Which tasks are shown.
        note: What is wrong with the connection.
    """

    title: str
    only: Only | None = None
    note: str = ""


def board_view(board: Board, head: Head, console: Console, now: float) -> RenderableType:
    """Return the board as it is drawn at a time: counts on top, the latest tasks below."""
    counts = _counts(board, now)
    room = console.height - _AROUND - ceil(counts.cell_len / console.width) - bool(head.note)
    rows = list(islice(board.rows(head.only), max(1, room)))[::-1]
    lines: list[RenderableType] = [Text(head.title, "dim", no_wrap=True, overflow="ellipsis"), counts]
    if head.note:
        lines.append(Text(head.note, "yellow", no_wrap=True, overflow="ellipsis"))
    below = _table(rows, now, console.width) if rows else Text("nothing has gone by yet", "dim")
    return Group(*lines, Text(), below, Text())  # the last line is for the ^C that the terminal shows: it would wrap a full one


def _counts(board: Board, now: float) -> Text:
    half, most = board.percentile(0.5), board.percentile(0.95)
    told = [
        Text.assemble((f"{board.rate(now):.1f}", "bold"), " tasks/s"),
        Text(f"{board.in_hand}{'+' if board.full else ''} in hand"),
        *(Text.assemble((str(number), STYLES.get(name, "red")), f" {name}") for name, number in board.counts.items()),
        *([Text(f"p50 {_ms(half)}, p95 {_ms(most)}", "dim")] if half is not None else []),
    ]
    return dotted(told)


def _table(rows: Iterable[Row], now: float, width: int) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    widths = {"id": 36 if width >= WIDE else 12, "tenant": 12, "class": 10, "lane": 11, "status": 9, "took": 6}
    columns = ["id", *(["tenant"] if width >= WIDE else []), *(["class"] if width >= NARROW else []), *(["lane"] if width >= WIDE else [])]
    for name in (*columns, "status", "took"):
        table.add_column(name, no_wrap=True, width=widths[name], justify="right" if name == "took" else "left")
    table.add_column("answers, ms each", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        lane = row.lane.value if row.lane else ""
        told = {"id": row.address.task_id, "tenant": row.address.tenant, "class": row.address.data_class.value, "lane": lane}
        table.add_row(*(Text(printable(told[name])) for name in columns), _status(row), _took(row, now), _answers(row))
    return table


def _status(row: Row) -> Text:
    if row.status is not None:
        return Text(row.status.value, STYLES.get(row.status.value, "red"))
    return Text("working" if row.answers else "waiting", "dim")


def _took(row: Row, now: float) -> Text:
    if row.took_ms is not None:
        return Text(_ms(row.took_ms))
    return Text(_ms(max(0.0, now - row.seen_at) * 1000), "dim")


def _ms(value: float | None) -> str:
    """Return milliseconds in the unit a person would choose."""
    ms = value or 0.0
    if ms < 1000:  # noqa: PLR2004 - milliseconds of a second
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - seconds of a minute


def _answers(row: Row) -> Text:
    told = [Text.assemble((f"{origin} gave up: {error.code.value}", "red")) for origin, error in row.dead.items()]
    told += [_answer(name, one) for name, one in row.answers.items()]
    if row.error is not None and not row.dead:
        told.append(Text(f"{row.error.code.value}: {printable(row.error.message)}", "red"))
    return Text("  ").join(told)


def _answer(name: str, one: Glimpse) -> Text:
    shown = Text(printable(name))
    if one.error is not None:
        shown.append(f" {one.error.code.value}", "red")
    elif one.ms is not None:
        shown.append(f" {one.ms:.0f}", "dim")
    if one.marked:
        shown.append(" marked", "magenta")
    if one.value is not None:
        shown.append_text(Text.assemble(" ", value_text(one.value)))
    return shown


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _line(row: Row, at: float) -> Text:
    address = row.address
    whose = f"{address.tenant}/{address.task_id} {address.data_class.value} {row.lane.value if row.lane else '-'}"
    return Text.assemble((f"{_clock(at)} ", "dim"), _status(row), f" {printable(whose)} ", _took(row, at), "  ", _answers(row))


def _dead_line(event: Event) -> Text:
    address, error = event.address, event.error
    whose = f"{address.tenant}/{address.task_id} {event.data_class.value}" if address else event.data_class.value
    why = f"{error.code.value}: {printable(error.message)}" if error else ""
    return Text.assemble((f"{_clock(event.at)} ", "dim"), ("dead letter", "red"), f" {printable(whose)} {printable(event.origin)}  {why}")
