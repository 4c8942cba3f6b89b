"""Watching: messages into events, events onto a board, the board into a table, lines or JSON; never a text, never without bound."""

import asyncio
import io
import json

import pytest
from rich.console import Console

from smallmesh.bus import Message
from smallmesh.cli.commands.watch import AHEAD, Inbox, Told, Wanted, look_up
from smallmesh.cli.views import watch as watch_views
from smallmesh.cli.views.watch import Head, board_view, view
from smallmesh.cli.watching import KEPT, OVERDUE_S, Board, Event, Glimpse, Kind, Only, event_of, subjects_of
from smallmesh_contracts import (
    Address,
    Answer,
    ContractError,
    DataClass,
    ErrorCode,
    ErrorInfo,
    Lane,
    Provenance,
    Status,
    StepResult,
    Task,
    TaskResult,
    headers,
    subjects,
)

SECRET = "The treasure lies under the oak."
ADDRESS = Address("shop", DataClass.INTERNAL, "t-1")
RESTRICTED = Address("shop", DataClass.RESTRICTED, "t-1")
WAITED_S = 5.0
ANSWER = Answer(
    value={"summary": SECRET, "method": "extractive", "sentences": 1},
    marked=True,
    provenance=Provenance(model_id="m", prompt_version="p", answered_by="summarizer", waited_ms=1.0, worked_ms=12.5),
)
BROKEN = ErrorInfo(code=ErrorCode.MODEL_FAILED, message="no model")


def submitted(address=ADDRESS, lane=Lane.BULK):
    return Message(subjects.submit(lane, address), Task(text=SECRET).to_bytes())


def stored(address=ADDRESS, answer=ANSWER):
    subject = subjects.stored(subjects.result(address, "summarizer", "summary"))
    return Message(subject, StepResult(digest="d", answer=answer).to_bytes())


def done(address=ADDRESS, status=Status.COMPLETED, took_ms=40.0, answers=None, error=None):
    result = TaskResult(
        task_id=address.task_id,
        tenant=address.tenant,
        data_class=address.data_class,
        status=status,
        answers={"summary": ANSWER} if answers is None else answers,
        error=error,
        digest="d",
        took_ms=took_ms,
    )
    return Message(subjects.done(address), result.to_bytes())


def dead(address=ADDRESS):
    carried = {headers.REASON: BROKEN.model_dump_json(), headers.ORIGIN: subjects.work("ner", Lane.BULK, address)}
    return Message(subjects.dead(address.data_class, "ner"), SECRET.encode(), carried)


def seen(board, *messages, values=False):
    """Let a board see messages; return the rows it gives."""
    return [board.see(event_of(message, values=values)) for message in messages]


def addresses(number):
    return [Address("shop", DataClass.PUBLIC, f"t-{n}") for n in range(number)]


def takes(patterns, subject):
    """Tell whether one of some patterns takes a subject, as the broker decides it."""
    return any(
        len(pattern.split(".")) == len(subject.split("."))
        and all(p in ("*", s) for p, s in zip(pattern.split("."), subject.split("."), strict=True))
        for pattern in patterns
    )


# ---------------------------------------------------------------- messages into events


def test_what_is_listened_to_takes_every_message_of_a_task():
    patterns = subjects_of(tuple(DataClass), None)

    assert all(takes(patterns, message.subject) for message in (submitted(), stored(), done(), dead(RESTRICTED)))


def test_of_other_classes_and_tenants_results_are_not_even_listened_to():
    patterns = subjects_of((DataClass.INTERNAL,), "shop")

    assert takes(patterns, done().subject)
    assert not takes(patterns, done(RESTRICTED).subject)
    assert not takes(patterns, done(Address("other", DataClass.INTERNAL, "t-1")).subject)


def test_messages_are_read_as_events():
    first, second, third, fourth = (event_of(m, values=False) for m in (submitted(), stored(), done(status=Status.PARTIAL), dead()))

    assert (first.kind, first.address, first.lane) == (Kind.SUBMITTED, ADDRESS, Lane.BULK)
    assert second.answers == {"summary": Glimpse("summarizer", 12.5, None, marked=True)}
    assert (third.status, third.took_ms, third.marked) == (Status.PARTIAL, 40.0, True)
    assert (fourth.origin, fourth.address, fourth.error) == ("ner", ADDRESS, BROKEN)


@pytest.mark.parametrize(
    "message",
    [
        Message(subjects.done(ADDRESS), b"not json"),
        Message(subjects.done(ADDRESS), b"[" * 200_000),
        Message(stored().subject, b"{}"),
        Message(f"{subjects.ROOT}.done.shop.secret.t-1", done().body),
        Message(f"{subjects.ROOT}.submit.express.shop.public.t-1", b""),
        Message(subjects.ask("ner"), b""),
        Message("other.thing", b""),
        Message("", b""),
    ],
)
def test_what_nobody_can_read_is_no_event(message):
    assert event_of(message, values=True) is None


def test_a_dead_letter_without_a_reason_or_a_task_is_one_all_the_same():
    event = event_of(Message(subjects.dead(DataClass.PUBLIC, "ner"), b"x", {headers.ORIGIN: "nowhere"}), values=False)

    assert event.address is None
    assert event.error.code is ErrorCode.INTERNAL


@pytest.mark.parametrize("message", [submitted(), stored(), done(), dead()])
def test_no_text_is_in_an_event_unless_values_are_asked_for(message):
    assert SECRET not in repr(event_of(message, values=False))


def test_values_are_those_of_answers_and_never_of_restricted_tasks():
    assert event_of(stored(), values=True).as_json()["answers"]["summary"]["value"]["summary"] == SECRET
    assert SECRET not in repr(event_of(submitted(), values=True))
    assert SECRET not in repr(event_of(dead(), values=True))
    for message in (stored(RESTRICTED), done(RESTRICTED)):
        assert SECRET not in repr(event_of(message, values=True))


# ---------------------------------------------------------------- events onto the board


def test_a_row_follows_its_task():
    board = Board()

    row, *_ = seen(board, submitted())
    assert (row.status, row.answers, board.in_hand) == (None, {}, 1)

    seen(board, stored(), done())
    assert (row.status, row.took_ms, list(row.answers), board.in_hand) == (Status.COMPLETED, 40.0, ["summary"], 0)
    assert board.counts == {"completed": 1}


def test_a_task_that_has_ended_stays_as_it_ended():
    """A core listener sees what the broker refuses, too: a second result, a repeated submission."""
    board = Board()

    row, *_ = seen(board, done(), submitted(), stored(), done(status=Status.FAILED, took_ms=1.0))

    assert (row.status, row.took_ms) == (Status.COMPLETED, 40.0)
    assert board.counts == {"completed": 1}


def test_a_dead_letter_stays_with_its_task():
    board = Board()

    row, *_ = seen(board, submitted(), dead(), done(status=Status.PARTIAL))

    assert row.dead == {"ner": BROKEN}
    assert row.failed
    assert board.counts == {"dead": 1, "partial": 1}


@pytest.mark.parametrize(
    ("only", "shown"),
    [(None, ["t-2", "t-1", "t-0"]), (Only.FAILED, ["t-1"]), (Only.COMPLETED, ["t-0"]), (Only.MARKED, ["t-1", "t-0"])],
)
def test_tasks_are_shown_that_are_looked_for_newest_first(only, shown):
    board = Board()
    first, second, third = addresses(3)
    seen(board, done(first), done(second, status=Status.EXPIRED), submitted(third))

    assert [row.address.task_id for row in board.rows(only)] == shown


def test_the_board_is_bounded_and_counts_all():
    board = Board(kept=10)

    seen(board, *(done(address) for address in addresses(25)))

    assert [row.address.task_id for row in board.rows()] == [f"t-{n}" for n in range(24, 14, -1)]
    assert board.full
    assert board.counts["completed"] == 25
    assert Board().full is False
    assert KEPT <= 10_000


def ended(at, took_ms=1.0):
    address = Address("shop", DataClass.PUBLIC, f"at-{at}")
    return Event(Kind.DONE, at, address, address.data_class, status=Status.COMPLETED, took_ms=took_ms)


def test_a_rate_is_of_the_last_seconds():
    board = Board()
    for at in range(100):
        board.see(ended(at=1000.0 + at / 10))

    assert board.rate(1010.0) == pytest.approx(9.9, abs=0.2)
    assert board.rate(1030.0) == 0.0


def test_percentiles_are_of_tasks_that_have_ended():
    board = Board()
    assert board.percentile(0.5) is None

    for number in range(1, 101):
        board.see(ended(float(number), took_ms=float(number)))

    assert (board.percentile(0.5), board.percentile(0.95), board.percentile(1.0)) == (51.0, 96.0, 100.0)


# ---------------------------------------------------------------- results that passed by unseen


async def test_the_result_of_a_task_that_takes_long_is_looked_up(bus, soon):
    board, inbox = Board(), Inbox(Wanted(tuple(DataClass), None, values=False))
    (row,) = seen(board, submitted())
    row.seen_at -= OVERDUE_S + 1
    await bus.store(subjects.done(ADDRESS), done().body)

    looking = asyncio.create_task(look_up(bus, board, inbox, every_s=0.001))
    await soon(inbox.arrived.wait())
    looking.cancel()

    (event,) = inbox.taken()
    assert board.see(event).status is Status.COMPLETED


def test_a_task_is_not_looked_up_before_its_time_nor_again_at_once():
    board = Board()
    (row,) = seen(board, submitted())

    assert board.overdue(row.seen_at + OVERDUE_S - 0.1, 8) == []
    assert board.overdue(row.seen_at + OVERDUE_S + 0.1, 8) == [row]
    row.looked_up_at = row.seen_at + OVERDUE_S
    assert board.overdue(row.seen_at + OVERDUE_S + 0.1, 8) == []


async def test_what_may_not_be_read_is_left_at_that(soon):
    class Fenced:
        def __init__(self):
            self.asked = asyncio.Event()

        async def read(self, subject):
            self.asked.set()
            raise ContractError(ErrorCode.UNAVAILABLE, f"cannot read {subject}")

    board, inbox, bus = Board(), Inbox(Wanted(tuple(DataClass), None, values=False)), Fenced()
    (row,) = seen(board, submitted())
    row.seen_at -= OVERDUE_S + 1

    looking = asyncio.create_task(look_up(bus, board, inbox, every_s=0.001))
    await soon(bus.asked.wait())

    assert not looking.done()
    looking.cancel()


# ---------------------------------------------------------------- what waits to be shown


def test_events_of_other_tenants_are_not_taken_in():
    inbox = Inbox(Wanted(tuple(DataClass), "other", values=False))

    inbox.came(submitted())
    inbox.came(dead())

    assert list(inbox.taken()) == []


@pytest.fixture
def told():
    """Notes as a view gets them: the second value is the list of them."""
    notes = []
    return Told(type("View", (), {"note": lambda _, text: notes.append(text)})()), notes


def test_what_comes_too_fast_is_missed_and_told_once(told):
    inbox, (telling, notes) = Inbox(Wanted(tuple(DataClass), None, values=False)), told

    for _ in range(AHEAD + 3):
        inbox.came(submitted())
    for _ in range(2):
        telling.missed(inbox.missed)

    assert len(list(inbox.taken())) == AHEAD
    assert notes == ["3 events came too fast to be shown"]


def test_a_lost_connection_is_told_once_and_when_it_is_back(told):
    telling, notes = told

    for _ in range(3):
        telling.problem(ConnectionError("refused"))
    for _ in range(3):
        telling.arrived()

    assert [note.partition(":")[0] for note in notes] == [
        "the connection is lost, and is tried again",
        "the connection is back; what passed by meanwhile was missed",
    ]


def test_what_may_not_be_listened_to_is_told_and_is_no_lost_connection(told):
    telling, notes = told

    telling.problem(PermissionError('nats: permissions violation for subscription to "x"'))
    telling.arrived()

    assert len(notes) == 1
    assert notes[0].startswith("not everything may be seen")


# ---------------------------------------------------------------- views


def drawn(board, width=80, height=24, now=None, **head):
    console = Console(width=width, height=height, file=io.StringIO(), highlight=False)
    now = max((row.seen_at for row in board.rows()), default=0.0) + WAITED_S if now is None else now
    console.print(board_view(board, Head("nats://broker", **head), console, now))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 160])
@pytest.mark.parametrize("height", [6, 12, 40])
def test_a_board_fits_its_terminal_and_shows_the_newest_below(width, height):
    board = Board()
    seen(board, *(done(address) for address in addresses(50)), submitted(), dead())

    lines = drawn(board, width, height, note="trouble").splitlines()

    assert len(lines) <= max(height, 8)
    assert max(map(len, lines)) <= width
    shown = [line.split()[0] for line in lines if line.startswith("t-")]
    assert shown[-1] == "t-1"
    assert any("trouble" in line for line in lines)


def test_a_row_says_how_far_a_task_is():
    board = Board()
    first, second, third = addresses(3)
    seen(board, submitted(first), submitted(second), stored(second), done(third))

    out = drawn(board, 160)

    waiting, working, finished = (next(line for line in out.splitlines() if line.startswith(f"t-{n} ")) for n in range(3))
    assert waiting.split()[1:] == ["shop", "public", "bulk", "waiting", "5.0", "s"]
    assert working.split()[4:] == ["working", "5.0", "s", "summary", "12", "marked"]
    assert finished.split()[3:] == ["completed", "40", "ms", "summary", "12", "marked"]
    assert "1 completed" in out
    assert "2 in hand" in out


def test_an_empty_board_says_so():
    assert "nothing has gone by yet" in drawn(Board())


def test_values_are_shown_in_short_where_they_were_asked_for():
    board, hidden = Board(), Board()
    seen(board, done(), values=True)
    seen(hidden, done(RESTRICTED), values=True)

    assert SECRET in drawn(board, 200)
    assert SECRET not in drawn(hidden, 200)


def test_an_id_cannot_drive_the_terminal():
    board = Board()
    seen(board, done(Address("sh\x1b[31mop", DataClass.PUBLIC, "t\x07-1")))

    assert not set(drawn(board, 160)) & {"\x1b", "\x07"}


@pytest.fixture
def elsewhere(monkeypatch):
    """A console that is no terminal."""
    console = Console(width=160, file=io.StringIO(), highlight=False)
    monkeypatch.setattr(watch_views, "console", console)
    return console.file


def test_elsewhere_a_line_is_printed_a_task_that_has_ended(elsewhere):
    shown, board = view("title", None, json=False), Board()

    with shown:
        for message in (submitted(), stored(), dead(), done(status=Status.PARTIAL)):
            event = event_of(message, values=False)
            shown.saw(event, board, board.see(event))
        shown.draw(board)

    letter, task = elsewhere.getvalue().splitlines()
    assert "dead letter shop/t-1 internal ner  model_failed: no model" in letter
    assert "partial shop/t-1 internal bulk 40 ms" in task


def test_for_programs_every_event_is_a_line_of_json(capsys):
    shown, board = view("title", None, json=True), Board()

    for message in (submitted(), stored(), dead(), done()):
        event = event_of(message, values=False)
        shown.saw(event, board, board.see(event))

    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["event"] for one in events] == ["submitted", "answered", "dead", "done"]
    assert all((one["tenant"], one["class"], one["id"]) == ("shop", "internal", "t-1") for one in events)
    assert events[3]["answers"] == {"summary": {"by": "summarizer", "ms": 12.5, "marked": True}}


def test_for_programs_too_only_what_is_looked_for_is_printed(capsys):
    shown, board = view("title", Only.FAILED, json=True), Board()
    failed, fine = addresses(2)

    for message in (submitted(failed), done(fine), dead(failed), done(failed, status=Status.FAILED)):
        event = event_of(message, values=False)
        shown.saw(event, board, board.see(event))

    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["dead", "done"]
