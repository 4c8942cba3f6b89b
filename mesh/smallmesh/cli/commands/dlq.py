"""``smallmesh dlq``: what was given up, and what to do with it."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from smallmesh.cli.completing import complete_processes
from smallmesh.cli.exits import Exit
from smallmesh.cli.moments import moment
from smallmesh.cli.options import AsJson, Nats
from smallmesh_contracts import DataClass, ErrorCode, is_subject_safe

if TYPE_CHECKING:
    from smallmesh.cli.letters import Tally, Which
    from smallmesh.dead_letters.reading import Letter, Wanted

T = TypeVar("T")
EXAMPLES = (
    ("smallmesh dlq ls", "the newest dead letters, and how many there are of each reason"),
    ("smallmesh dlq ls --reason model_failed --origin ner --since 2h", "what one agent gave up in the last two hours"),
    ("smallmesh dlq ls --json | jq -r '[.number, .error.code, .id] | @tsv'", "all of them, for a program"),
    ("smallmesh dlq show 17", "all that one says of itself; its text only with --payload"),
    ("smallmesh dlq show 17 --payload --json | jq -r .payload", "the text, as it came"),
    ("smallmesh dlq replay 17 18 --wait", "again as new tasks, and wait for what becomes of them"),
    ("smallmesh dlq replay --reason unavailable --since 1d", "after an outage: all that died of it"),
    ("smallmesh dlq replay --origin ner --yes --json | jq -r .id", "from a script: the ids of the new tasks"),
    ("smallmesh dlq drop 17", "what is not worth another try"),
    ("smallmesh dlq drop --reason invalid_request --until 7d --yes", "from a script: what was no task, and is a week old"),
)
SHOWN = 100
"""Letters in a table unless --limit says otherwise."""
MOST_SHOWN = 10_000
"""A longer table is more than a terminal keeps; --json has no end."""
_WHICH = "Which dead letters"

Reasons = Annotated[
    list[ErrorCode] | None,
    typer.Option("--reason", metavar="CODE", help="Given up for this reason. Repeatable.", show_default=False, rich_help_panel=_WHICH),
]
Origin = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Given up by this agent or service, or by `orchestrator`.",
        show_default=False,
        rich_help_panel=_WHICH,
        autocompletion=complete_processes,
    ),
]
OfTenant = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="Of one tenant's tasks.", show_default=False, rich_help_panel=_WHICH)
]
OfClass = Annotated[
    DataClass | None, typer.Option("--class", help="Of one data class; without it, of all.", show_default=False, rich_help_panel=_WHICH)
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Given up since then: 30m, 2h, 7d ago, or ISO 8601.", show_default=False, rich_help_panel=_WHICH),
]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Given up until then, likewise.", show_default=False, rich_help_panel=_WHICH)
]
Numbers = Annotated[list[int] | None, typer.Argument(metavar="NUMBER", min=1, help="Of letters, as `ls` tells them.", show_default=False)]
Everything = Annotated[bool, typer.Option("--all", help="All there are.", rich_help_panel=_WHICH)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


# ---------------------------------------------------------------- ls and show


def ls(  # noqa: PLR0913 - its options
    *,
    reasons: Reasons = None,
    origin: Origin = None,
    tenant: OfTenant = None,
    data_class: OfClass = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_SHOWN, metavar="N", help=f"Show the newest so many. Default: {SHOWN}, with --json all.", show_default=False
        ),
    ] = None,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, oldest first, and count them by reason.

    A dead letter is a message that the mesh gave up: a submission that is no task, or a step that
    failed as often as it may. It is kept for 30 days with its payload, its headers and the reason.
    Texts are not shown. With --json it is one object a line, and all of them.
    """
    from smallmesh.cli.letters import look  # noqa: PLC0415 - what follows is not for a Tab to load
    from smallmesh.cli.output import console, notes, print_json  # noqa: PLC0415
    from smallmesh.cli.views.dead import letter_as_json, letters_table, reason_of, summary  # noqa: PLC0415

    wanted = Filters(reasons, origin, tenant, data_class, since, until).wanted()
    newest: deque[Letter] = deque(maxlen=limit or SHOWN)
    counts: Counter[str] = Counter()

    def came(letter: "Letter") -> None:
        counts[reason_of(letter)] += 1
        if as_json and limit is None:
            print_json(letter_as_json(letter))
        else:
            newest.append(letter)

    _run(look(wanted, came, nats))
    if as_json:
        for letter in newest:
            print_json(letter_as_json(letter))
    elif counts:
        console.print(letters_table(newest, console.width))
        console.print()
        console.print(summary(counts, len(newest)))
    else:
        notes.print("there are no dead letters of this kind: nothing was given up, or it was replayed or dropped")


def show(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Of the letter, as `ls` tells it.", show_default=False)],
    *,
    payload: Annotated[bool, typer.Option("--payload", help="Show the payload, too: it holds the text.")] = False,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Show all that one dead letter says of itself, and what a replay of it would be.

    The payload holds somebody's text, so it is shown only with --payload.
    """
    from smallmesh.cli.letters import look_at  # noqa: PLC0415
    from smallmesh.cli.output import console, print_json  # noqa: PLC0415
    from smallmesh.cli.views.dead import letter_card, shown_as_json  # noqa: PLC0415

    shown = _run(look_at(number, nats))
    given = shown.payload if payload else None
    if as_json:
        print_json(shown_as_json(shown.letter, shown.replay, given))
    else:
        console.print(letter_card(shown.letter, shown.replay, given))


# ---------------------------------------------------------------- replay and drop


def replay(  # noqa: PLR0913 - its options
    *,
    numbers: Numbers = None,
    reasons: Reasons = None,
    origin: Origin = None,
    tenant: OfTenant = None,
    data_class: OfClass = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the letters where they are.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the results, and tell how they ended.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.001, help="Wait so long at most. Default: until all have ended.", show_default=False),
    ] = None,
    yes: Yes = False,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Try again what was given up: by numbers, or all of a reason at once.

    A replay is a new task, called as the first one with -r1 at its end, with its whole time ahead;
    its result names the first one as replay_of. A dead submission is submitted again as it was.
    Dead steps of one task become one task that wants their answers. Tenant, class and lane stay.

    It is safe to repeat, and for two people at once: the same letter becomes the same task. Once the
    broker has taken the task its letters are removed. A letter that cannot be replayed stays, and
    the exit code is 1.
    """
    from smallmesh.cli import letters  # noqa: PLC0415
    from smallmesh.cli.output import notes  # noqa: PLC0415

    which = _which(numbers, Filters(reasons, origin, tenant, data_class, since, until), everything=everything)
    planner = _run(letters.plan(which, nats, quiet=as_json))
    plans = planner.plans()
    tally = letters.Tally(as_json=as_json, alone=len(plans) == 1)
    for refused in planner.refused:
        tally.refused(refused)
    if plans and not numbers and not yes and letters.can_ask():
        _confirm(letters.planned(plans))
    if plans:
        _run(letters.replay(plans, tally, nats, keep=keep))
    elif not tally.failed and not as_json:
        notes.print("nothing to replay: there are no dead letters of this kind")
    if wait and tally.new:
        _wait(tally, nats, timeout)
    if tally.failed:
        raise typer.Exit(Exit.ERROR)


def drop(  # noqa: PLR0913 - its options
    *,
    numbers: Numbers = None,
    reasons: Reasons = None,
    origin: Origin = None,
    tenant: OfTenant = None,
    data_class: OfClass = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    yes: Yes = False,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Remove dead letters for good: by numbers, or all of a reason at once.

    Nobody can bring them back, so it asks first; a script says --yes. What is not there any more is
    no error.
    """
    from smallmesh.cli import letters  # noqa: PLC0415
    from smallmesh.cli.output import console, notes  # noqa: PLC0415
    from smallmesh.cli.views.dead import counted  # noqa: PLC0415

    which = _which(numbers, Filters(reasons, origin, tenant, data_class, since, until), everything=everything)
    if not yes and not letters.can_ask():
        raise typer.BadParameter("nobody can be asked here, and what is dropped is gone: say --yes", param_hint="--yes")
    found = _run(letters.numbers_of(which, nats, quiet=as_json))
    if found and not yes:
        _confirm(f"Drop {counted(len(found), 'dead letter')} for good?")
    dropped = _run(letters.drop(found, nats, as_json=as_json)) if found else 0
    if not as_json:
        gone = f"; {counted(len(found) - dropped, 'letter')} had gone before" if dropped < len(found) else ""
        (console if dropped else notes).print(f"dropped {counted(dropped, 'dead letter')}{gone}")


COMMANDS = {"ls": ls, "show": show, "replay": replay, "drop": drop}


# ---------------------------------------------------------------- what they share


@dataclass(frozen=True, slots=True)
class Filters:
    """The options that say which letters are looked for, as they were given."""

    reasons: list[ErrorCode] | None
    origin: str | None
    tenant: str | None
    data_class: DataClass | None
    since: str | None
    until: str | None

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return any((self.reasons, self.origin, self.tenant, self.data_class, self.since, self.until))

    def wanted(self) -> "Wanted":
        """Return what they say.

        Raises:
            typer.BadParameter: A time or a name is none.
        """
        from smallmesh.dead_letters.reading import Wanted  # noqa: PLC0415

        for option, name in (("--origin", self.origin), ("--tenant", self.tenant)):
            if name is not None and not is_subject_safe(name):
                raise typer.BadParameter("it must match [A-Za-z0-9_-]{1,64}", param_hint=option)
        now = time.time()
        since, until = moment(self.since, now, "--since"), moment(self.until, now, "--until")
        return Wanted(frozenset(self.reasons or ()), self.origin, self.tenant, self.data_class, since, until)


def _which(numbers: list[int] | None, filters: Filters, *, everything: bool) -> "Which":
    """Return which letters are meant: some numbers, what is looked for, or all; never all by accident."""
    if bool(numbers) + filters.given + everything != 1:
        raise typer.BadParameter("give numbers, or --reason or other filters, or --all: one of the three", param_hint="NUMBER")
    return numbers or filters.wanted()


def _run(doing: Coroutine[Any, Any, T]) -> T:
    from smallmesh.signals import run_until_signalled  # noqa: PLC0415

    done = run_until_signalled(doing)
    if done is None:
        raise typer.Exit(Exit.INTERRUPTED)
    return done


def _confirm(question: str) -> None:
    if not typer.confirm(question, err=True):
        raise typer.Exit(Exit.INTERRUPTED)


def _wait(tally: "Tally", nats: str | None, timeout_s: float | None) -> None:
    from smallmesh.cli import letters  # noqa: PLC0415
    from smallmesh.cli.output import notes  # noqa: PLC0415

    try:
        _run(asyncio.wait_for(letters.wait(tally, nats), timeout_s))
    except TimeoutError:
        notes.print(f"not all have ended within {timeout_s:g} s: ask with `smallmesh result ID`")
        raise typer.Exit(Exit.ERROR) from None
