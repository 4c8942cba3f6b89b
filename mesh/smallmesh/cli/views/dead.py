"""Dead letters and what becomes of them: tables and cards for people, values for programs."""

import base64
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from smallmesh.cli.output import notes, printable, printable_lines
from smallmesh.cli.views.show import STYLES, dotted, error_text
from smallmesh.dead_letters.reading import Letter
from smallmesh.dead_letters.repeating import replay_id
from smallmesh.dead_letters.replaying import Plan, Refused, Replayed, State
from smallmesh_contracts import ErrorCode, ErrorInfo, TaskResult

UNKNOWN = "unknown"
"""The reason of a letter that says none."""
MANY = 20
"""From here on somebody wants to see how far it is."""
_COLUMNS: Mapping[str, int] = {
    "number": 0,
    "when": 76,
    "class": 120,
    "origin": 100,
    "tenant": 150,
    "task": 0,
    "reason": 0,
    "message": 76,
    "tries": 150,
    "bytes": 150,
}
"""By column, the width of the terminal from which there is room for it."""
_RIGHT = frozenset({"number", "tries", "bytes"})
_WIDEST = 20
"""Columns for a name; a longer one is cut."""
_LEAST = 4
_GAP = 2
_MEND = "see to the reason first, then replay it"
_TELL = "tell whoever sent it, and drop it: another try is no better"
_BACK = "replay it when what was away is back: `smallmesh doctor` looks"
_LOG = "the log of whoever gave it up says why; replay it when that is mended"
_TODO: Mapping[ErrorCode, str] = {
    ErrorCode.INVALID_REQUEST: _TELL,
    ErrorCode.TOO_LONG: _TELL,
    ErrorCode.UNSUPPORTED_VERSION: _TELL,
    ErrorCode.ID_CONFLICT: "another text had its id before: a replay has an id of its own",
    ErrorCode.UNKNOWN_ANSWER: "`smallmesh agents` says who gives what; replay it when somebody gives that",
    ErrorCode.OVERLOADED: _BACK,
    ErrorCode.UNAVAILABLE: _BACK,
    ErrorCode.MODEL_FAILED: _LOG,
    ErrorCode.INVALID_OUTPUT: _LOG,
    ErrorCode.INTERNAL: _LOG,
    ErrorCode.FRONTIER_FAILED: "the frontier failed: replay it, and it is asked anew",
}
"""What an operator does about each reason."""
_AGES = ((86_400, "d"), (3600, "h"), (60, "min"))


# ---------------------------------------------------------------- letters


def letters_table(letters: Iterable[Letter], width: int) -> Table:
    """Return letters as a table that fits into so many columns."""
    rows = [_cells(letter) for letter in letters]
    names = [name for name, from_width in _COLUMNS.items() if width >= from_width]
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for name, needed in _widths(names, rows, width).items():
        table.add_column(name, width=needed, no_wrap=True, overflow="ellipsis", justify="right" if name in _RIGHT else "left")
    for cells in rows:
        table.add_row(*(cells[name] for name in names))
    return table


def _widths(names: Sequence[str], rows: Sequence[Mapping[str, Text]], width: int) -> dict[str, int]:
    """Return each column's width: what its cells need, and for ids and messages what is left, a half each."""
    needed = {name: max(len(name), *(cells[name].cell_len for cells in rows)) for name in names}
    widths = {name: min(one, _WIDEST) for name, one in needed.items()}
    left = width - _GAP * (len(names) - 1) - sum(one for name, one in widths.items() if name not in ("task", "message"))
    widths["task"] = min(needed["task"], max(_LEAST, left // 2 if "message" in widths else left))
    if "message" in widths:
        widths["message"] = min(needed["message"], max(_LEAST, left - widths["task"]))
    return widths


def _cells(letter: Letter) -> dict[str, Text]:
    address = letter.address
    told = {
        "number": str(letter.number),
        "when": _clock(letter.died_at),
        "class": letter.data_class.value,
        "origin": letter.origin,
        "tenant": address.tenant if address else "",
        "task": address.task_id if address else letter.subject,
        "message": letter.reason.message if letter.reason else "",
        "tries": "" if letter.deliveries is None else str(letter.deliveries),
        "bytes": str(letter.size),
    }
    return {**{name: Text(printable(one)) for name, one in told.items()}, "reason": Text(reason_of(letter), "red")}


def reason_of(letter: Letter) -> str:
    """Return the code of a letter's reason."""
    return letter.reason.code.value if letter.reason else UNKNOWN


def summary(counts: Counter[str], shown: int) -> Text:
    """Return how many letters there are for each reason, the most frequent first."""
    total = counts.total()
    parts = [Text.assemble(f"{number:,} ", (code, "red")) for code, number in counts.most_common()]
    told = Text.assemble((counted(total, "dead letter"), "bold"), ": ", dotted(parts))
    return told if shown >= total else told.append(f"; the newest {shown:,} are shown", "dim")


def letter_card(letter: Letter, replay: Plan | Refused, payload: bytes | None) -> RenderableType:
    """Return all that a letter says, and what its replay would be; the payload where it is given."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, cell in _rows(letter).items():
        table.add_row(name, cell)
    hidden = Text("" if payload is not None else "; --payload shows it", "dim")
    table.add_row("payload", Text.assemble(f"{letter.size:,} bytes", hidden))
    table.add_row("replay", _replay_text(replay))
    if payload is None:
        return table
    return Group(table, Text(), Text(printable_lines(payload.decode("utf-8", "backslashreplace"))))


def _rows(letter: Letter) -> dict[str, RenderableType]:
    address, lane = letter.address, letter.lane.value if letter.lane else None
    whose = (address.task_id, f"tenant {address.tenant}") if address else ("told by no subject",)
    after = f", {_age(letter.died_at - letter.arrived_at)} after it had come" if letter.arrived_at is not None else ""
    tries = f" at delivery {letter.deliveries}" if letter.deliveries is not None else ""
    return {
        "number": Text(str(letter.number)),
        "given up": Text(f"{_clock(letter.died_at)}, {_age(time.time() - letter.died_at)} ago{after}"),
        "by": Text(printable(f"{letter.origin}{tries}")),
        "why": _why(letter.reason),
        "task": Text(printable(" · ".join((*whose, letter.data_class.value, *([lane] if lane else []))))),
        "from": Text(printable(letter.subject or "it does not say")),
        "trace": Text(printable(letter.trace_id or "none")),
        "headers": Text("\n".join(printable(f"{name}: {value}") for name, value in letter.carried.items()) or "none of its own"),
    }


def _why(reason: ErrorInfo | None) -> RenderableType:
    if reason is None:
        return Text("it does not say")
    return Group(error_text(reason), Text(f"→ {_TODO.get(reason.code, _MEND)}", "dim"))


def letter_as_json(letter: Letter) -> dict[str, Any]:
    """Return a letter for programs; what it does not say is left out."""
    address = letter.address
    told = {
        "number": letter.number,
        "at": round(letter.died_at, 3),
        "arrived_at": letter.arrived_at,
        "tenant": address.tenant if address else None,
        "class": letter.data_class.value,
        "id": address.task_id if address else None,
        "lane": letter.lane.value if letter.lane else None,
        "origin": letter.origin,
        "subject": letter.subject or None,
        "error": letter.reason.model_dump(mode="json", exclude_none=True) if letter.reason else None,
        "deliveries": letter.deliveries,
        "bytes": letter.size,
        "trace_id": letter.trace_id,
    }
    return {name: one for name, one in told.items() if one is not None}


def shown_as_json(letter: Letter, replay: Plan | Refused, payload: bytes | None) -> dict[str, Any]:
    """Return for programs all that a letter says, what its replay would be, and the payload where it is given."""
    if isinstance(replay, Refused):
        again: dict[str, Any] = {"error": replay.error.model_dump(mode="json", exclude_none=True)}
    else:
        again = {"id": replay_id(replay.address.task_id, 1), "lane": replay.lane.value, "wanted": replay.wanted}
    return {
        **letter_as_json(letter),
        "headers": letter.carried,
        "replay": again,
        **(_payload_as_json(payload) if payload is not None else {}),
    }


def _payload_as_json(payload: bytes) -> dict[str, str]:
    """Return a payload as text, or in base64 where it is none."""
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(payload).decode()}


# ---------------------------------------------------------------- replays


def _replay_text(replay: Plan | Refused) -> Text:
    """Return what a replay of a letter would be."""
    if isinstance(replay, Refused):
        return Text.assemble("it cannot be replayed: ", error_text(replay.error))
    told = f"`smallmesh dlq replay {replay.numbers[0]}` submits {replay_id(replay.address.task_id, 1)}"
    return Text(printable(f"{told} in lane {replay.lane.value}, which wants {', '.join(replay.wanted)}"))


def refused_line(refused: Refused) -> Text:
    """Return why a letter was not replayed."""
    return Text.assemble(f"{refused.number} cannot be replayed: ", error_text(refused.error))


def replayed_line(replayed: Replayed) -> Text:
    """Return what became of one replay."""
    plan = replayed.plan
    numbers = ", ".join(map(str, plan.numbers))
    if replayed.address is None:
        return Text.assemble((f"{plan.address.task_id}", "dim"), f": {numbers} had been replayed or dropped before")
    state = Text("submitted", "green") if replayed.state is State.SUBMITTED else Text("there already", "yellow")
    return Text.assemble((replayed.address.task_id, "bold"), " ", state, (f" from {numbers}, wants {', '.join(plan.wanted)}", "dim"))


def replayed_as_json(replayed: Replayed) -> dict[str, Any]:
    """Return the same for programs."""
    plan, address = replayed.plan, replayed.address
    told = {
        "event": "replayed",
        "state": replayed.state.value,
        "id": address.task_id if address else None,
        "tenant": plan.address.tenant,
        "class": plan.address.data_class.value,
        "lane": plan.lane.value,
        "replay_of": plan.address.task_id,
        "wanted": plan.wanted,
        "numbers": plan.numbers,
    }
    return {name: one for name, one in told.items() if one is not None}


def refused_as_json(refused: Refused) -> dict[str, Any]:
    """Return for programs why a letter was not replayed."""
    return {"event": "refused", "number": refused.number, "error": refused.error.model_dump(mode="json", exclude_none=True)}


def ended_line(result: TaskResult) -> Text:
    """Return how a replay ended."""
    status = result.status.value
    errors = sorted({answer.error.code.value for answer in result.answers.values() if answer.error is not None})
    why = result.error.code.value if result.error else ", ".join(errors)
    told = Text.assemble((result.task_id, "bold"), " ", (status, STYLES.get(status, "red")), (f" in {result.took_ms:.0f} ms", "dim"))
    return told.append(f": {why}", "red") if why else told


@contextmanager
def progress(what: str, total: int | None, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show how far something is, where somebody sees it and it takes a while; yields what tells of one step."""
    hidden = quiet or not notes.is_terminal or (total is not None and total < MANY)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, disable=hidden, transient=True) as shown:
        bar = shown.add_task(what, total=total)
        yield lambda: shown.advance(bar)


def counted(number: int, one: str) -> str:
    """Return a number of things: ``1 task``, ``1,200 tasks``."""
    return f"{number:,} {one}" + ("" if number == 1 else "s")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _age(seconds: float) -> str:
    """Return a time in the unit a person would choose."""
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.1f} s"
