"""``smallmesh watch``: tasks as they go by."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from smallmesh.cli.options import AsJson, Nats
from smallmesh.cli.watching import KEPT, Board, Event, Only, event_of, subjects_of
from smallmesh_contracts import ContractError, DataClass, is_subject_safe, subjects

if TYPE_CHECKING:
    from smallmesh.bus import Bus, Message
    from smallmesh.cli.views.watch import View

EXAMPLES = (
    ("smallmesh watch", "a table of the latest tasks, newest below, until Ctrl-C"),
    ("smallmesh watch --tenant shop --only failed", "what went wrong for one tenant"),
    ("smallmesh watch --class public --class internal --show-values", "with what the agents said, in short"),
    ("smallmesh watch --json | jq -c 'select(.took_ms > 4000)'", "one object an event, for a program"),
)
AHEAD = 2000
"""Events that may wait to be shown. What comes on top is missed, and that is told."""
DRAW_S = 0.25
"""Seconds between two drawings; nothing is drawn while nothing changes."""
_TICK_S = 1.0
"""Seconds after which the time that tasks in hand take is drawn again."""
_LOOKED_UP = 8
"""Results that are looked up in one go."""
_KEPT_WITH_VALUES = 200
"""Tasks on the board where it holds what agents said."""


def command(  # noqa: PLR0913 - its options
    *,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Tasks of one tenant.", show_default=False)] = None,
    data_class: Annotated[
        list[DataClass] | None, typer.Option("--class", help="Tasks of one data class. Repeatable; without it, of all.", show_default=False)
    ] = None,
    only: Annotated[
        Only | None, typer.Option(help="Tasks that ended so, or were marked complex; `failed` is all but completed.", show_default=False)
    ] = None,
    show_values: Annotated[bool, typer.Option("--show-values", help="Show what agents answered, but never of restricted tasks.")] = False,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Watch tasks go by: who, how far, what came back and how long it took.

    Submitted tasks only: what is asked or run passes by directly and is not kept. Texts are never
    shown, and what agents said about them only with --show-values. At a terminal it is a table;
    elsewhere, a line a task that has ended. Watching only listens: it takes nothing away and holds
    nothing up.
    """
    from smallmesh.cli.views.watch import view  # noqa: PLC0415 - what follows is not for a Tab to load
    from smallmesh.cli.where import find_url, without_password  # noqa: PLC0415
    from smallmesh.signals import run_until_signalled  # noqa: PLC0415

    if tenant is not None and not is_subject_safe(tenant):
        raise typer.BadParameter("it must match [A-Za-z0-9_-]{1,64}", param_hint="--tenant")
    wanted = Wanted(tuple(data_class or DataClass), tenant, show_values)
    title = f"{without_password(find_url(nats))}{wanted.described()}{f' · only {only.value}' if only else ''} · Ctrl-C ends"
    run_until_signalled(_watch(wanted, view(title, only, json=as_json), nats))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose tasks are watched, and whether with what agents said."""

    classes: tuple[DataClass, ...]
    tenant: str | None
    values: bool

    def described(self) -> str:
        """Return it for people; nothing where it is everything."""
        classes = ", ".join(self.classes) if len(self.classes) < len(DataClass) else ""
        told = (classes, f"tenant {self.tenant}" if self.tenant else "")
        return "".join(f" · {one}" for one in told if one)


class Inbox:
    """What came and was not shown yet: a bounded number of events, and none of their texts."""

    def __init__(self, wanted: Wanted) -> None:
        """Take in what is wanted."""
        self.missed = 0
        self.arrived = asyncio.Event()
        self._wanted = wanted
        self._events: deque[Event] = deque()

    def came(self, message: "Message") -> None:
        """Take a message in, or count it as missed."""
        event = event_of(message, values=self._wanted.values)
        if event is None or not self._is_wanted(event):
            return
        self.arrived.set()
        if len(self._events) < AHEAD:
            self._events.append(event)
        else:
            self.missed += 1

    def _is_wanted(self, event: Event) -> bool:
        tenant = self._wanted.tenant
        return tenant is None or (event.address is not None and event.address.tenant == tenant)

    def taken(self) -> Iterator[Event]:
        """Yield what waits, and forget it."""
        while self._events:
            yield self._events.popleft()


async def _watch(wanted: Wanted, shown: "View", nats: str | None) -> None:
    from smallmesh.cli.where import connected  # noqa: PLC0415

    inbox = Inbox(wanted)
    board = Board(_KEPT_WITH_VALUES if wanted.values else KEPT)
    told = Told(shown)
    async with connected(nats, problem=told.problem) as bus:
        for subject in subjects_of(wanted.classes, wanted.tenant):
            await bus.watch(subject, inbox.came)
        looking = asyncio.create_task(look_up(bus, board, inbox))
        try:
            with shown:
                await _show(inbox, board, shown, told)
        finally:
            looking.cancel()


async def _show(inbox: Inbox, board: Board, shown: "View", told: "Told") -> None:
    while True:
        for event in inbox.taken():
            told.arrived()
            shown.saw(event, board, board.see(event))
        told.missed(inbox.missed)
        shown.draw(board)
        await asyncio.sleep(DRAW_S if shown.draws else 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TICK_S if board.in_hand else None):
                await inbox.arrived.wait()
        inbox.arrived.clear()


async def look_up(bus: "Bus", board: Board, inbox: Inbox, every_s: float = _TICK_S) -> None:
    """Read the results of tasks that seem to take long: a repeated one had its own before, and a lost connection misses some."""
    while True:
        await asyncio.sleep(every_s)
        for row in board.overdue(time.time(), _LOOKED_UP):
            row.looked_up_at = time.time()
            try:
                found = await bus.read(subjects.done(row.address))
            except ContractError:  # the broker is away, or results may not be read from here: events alone must do
                break
            if found is not None:
                inbox.came(found)


class Told:
    """Notes about the connection, each told once until there is another."""

    def __init__(self, shown: "View") -> None:
        """Tell in a view."""
        self._shown = shown
        self._last = ""
        self._lost = False
        self._missed = 0

    def problem(self, error: Exception) -> None:
        """Tell of an error of the connection, which comes back by itself, or of what may not be seen."""
        text = str(error) or type(error).__name__
        if "permission" in text.lower():
            self._tell(f"not everything may be seen: {text}")
        else:
            self._lost = True
            self._tell(f"the connection is lost, and is tried again: {text}")

    def arrived(self) -> None:
        """Tell that events come again, where they did not."""
        if self._lost:
            self._lost = False
            self._tell("the connection is back; what passed by meanwhile was missed")

    def missed(self, number: int) -> None:
        """Tell that events came faster than they could be shown."""
        if number > self._missed:
            self._missed = number
            self._tell(f"{number} events came too fast to be shown")

    def _tell(self, text: str) -> None:
        if text != self._last:
            self._last = text
            self._shown.note(text)
