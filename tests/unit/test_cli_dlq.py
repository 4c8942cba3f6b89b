"""``smallmesh dlq`` without a broker: what is asked, what is told to people and programs, and the exit code."""

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from smallmesh.bus import Entry
from smallmesh.bus.layout import DEAD
from smallmesh.bus.memory import MemoryBus
from smallmesh.cli import letters
from smallmesh.cli.app import app
from smallmesh.cli.commands import dlq
from smallmesh.cli.exits import Exit
from smallmesh.cli.moments import moment
from smallmesh.cli.views.dead import letters_table
from smallmesh.dead_letters import bury
from smallmesh.dead_letters.reading import letter_of
from smallmesh.doctor import Facts, Host, Level
from smallmesh.doctor.checks.dead_letters import DeadLetters
from smallmesh.doctor.checks.streams import Streams
from smallmesh.doctor.facts import Broker, StreamFacts
from smallmesh.settings import settings
from smallmesh_contracts import (
    Address,
    Answer,
    ContractError,
    DataClass,
    ErrorCode,
    ErrorInfo,
    Lane,
    Status,
    Step,
    StepInput,
    Task,
    TaskResult,
    decode,
    digest_of,
    subjects,
)
from tests.support.rules import write_agent

NOW = 1_800_000_000.0
ORDER = Address("shop", DataClass.INTERNAL, "order-1")
SECRET = "The treasure lies under the oak."
FAILED = ErrorInfo(code=ErrorCode.MODEL_FAILED, message="RuntimeError in ner", step="ner")
NO_TASK = ErrorInfo(code=ErrorCode.INVALID_REQUEST, message="not a valid Task: text: Field required")


class Delivered:
    """A delivery that is given up."""

    def __init__(self, subject, body, sequence):
        self.subject, self.body, self.sequence = subject, body, sequence
        self.headers, self.deliveries, self.arrived_at = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, 5, NOW


def a_step(agent="ner", address=ORDER):
    body = Step(digest="d", timeout_s=1.0, request=StepInput(text=SECRET)).to_bytes()
    return subjects.work(agent, Lane.BULK, address), body, agent, FAILED


def a_broken_one(address=ORDER):
    return subjects.submit(Lane.BULK, address), b'{"texts": "\xff"}', "orchestrator", NO_TASK


class BusyBus(MemoryBus):
    """A bus with an orchestrator that is done at once, where it is told to be."""

    ends_as = None

    async def store(self, subject, body, carried=None, *, ttl_s=None):
        first = await super().store(subject, body, carried, ttl_s=ttl_s)
        if first and ".submit." in subject and self.ends_as:
            await self._end(subjects.address_of(subject), body)
        return first

    async def _end(self, address, body):
        task = decode(Task, body)
        answers = {name: Answer(value={"said": "x"}) for name in task.wanted}
        told = {"status": self.ends_as, "answers": answers, "digest": digest_of(body), "took_ms": 7.0, "replay_of": task.replay_of}
        result = TaskResult(task_id=address.task_id, tenant=address.tenant, data_class=address.data_class, **told)
        await super().store(subjects.done(address), result.to_bytes())


@pytest.fixture
def bus():
    return BusyBus()


@pytest.fixture
def bury_them(bus):
    def some(*given):
        async def all_of_them():
            for number, (subject, body, origin, error) in enumerate(given, len(bus.log) + 1):
                await bury(bus, Delivered(subject, body, number), origin, error)

        asyncio.run(all_of_them())

    return some


@pytest.fixture
def run(bus, monkeypatch, tmp_path):
    """Call the command line over the bus in memory."""

    @asynccontextmanager
    async def connected(*_, **__):
        yield bus

    for agent, answer in (("ner", "entities"), ("sentiment", "sentiment")):
        write_agent(tmp_path / "agents", agent, answer)
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", str(tmp_path / "agents"))
    monkeypatch.setenv("SMALLMESH_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(letters, "connected", connected)
    settings.cache_clear()
    yield lambda *arguments, **options: CliRunner().invoke(app, ["dlq", *arguments], prog_name="smallmesh", **options)
    settings.cache_clear()


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def numbers(bus):
    return [number for number, _ in bus.numbers.values()]


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ("90s", NOW - 90),
        ("2h", NOW - 7200),
        ("1d12h", NOW - 129_600),
        ("1w", NOW - 604_800),
        ("2026-03-02T09:14:07Z", datetime(2026, 3, 2, 9, 14, 7, tzinfo=UTC).timestamp()),
        ("2026-03-02", datetime(2026, 3, 2).astimezone().timestamp()),
        (None, None),
    ],
)
def test_a_time_is_so_long_ago_or_when(told, at):
    assert moment(told, NOW, "--since") == at


@pytest.mark.parametrize("told", ["", "yesterday", "2", "2 h", "h", "-2h", "2026-13-01", "9999999999h"])
def test_what_is_no_time_is_said_with_the_forms_there_are(told):
    with pytest.raises(typer.BadParameter, match="30m, 2h or 7d, or ISO 8601"):
        moment(told, NOW, "--since")


# ---------------------------------------------------------------- ls


def test_letters_are_listed_with_their_reasons_and_counted_by_them(run, bury_them):
    bury_them(a_step(), a_step("sentiment"), a_broken_one())

    result = run("ls")

    rows = result.stdout.splitlines()
    assert result.exit_code == Exit.OK
    assert rows[0].split() == ["number", "when", "class", "origin", "tenant", "task", "reason", "message", "tries", "bytes"]
    assert [row.split()[0] for row in rows[1:4]] == ["1", "2", "3"]
    assert "order-1" in rows[1]
    assert "RuntimeError in ner" in rows[1]
    assert rows[-1] == "3 dead letters: 2 model_failed · 1 invalid_request"
    assert SECRET not in result.output


def test_a_long_list_shows_the_newest_and_counts_all(run, bury_them):
    bury_them(*[a_step()] * 30)

    result = run("ls", "--limit", "2")

    assert [row.split()[0] for row in result.stdout.splitlines()[1:3]] == ["29", "30"]
    assert result.stdout.splitlines()[-1] == "30 dead letters: 30 model_failed; the newest 2 are shown"


def test_programs_are_told_all_of_them_one_a_line(run, bury_them):
    bury_them(*[a_step()] * 150)

    everything, newest = lines(run("ls", "--json")), lines(run("ls", "--json", "--limit", "2"))

    assert len(everything) == 150
    assert [one["number"] for one in newest] == [149, 150]
    assert everything[0] == {
        "number": 1,
        "at": everything[0]["at"],
        "arrived_at": NOW,
        "tenant": "shop",
        "class": "internal",
        "id": "order-1",
        "lane": "bulk",
        "origin": "ner",
        "subject": "slm.v1.work.ner.bulk.shop.internal.order-1",
        "error": {"code": "model_failed", "message": "RuntimeError in ner", "retryable": False, "step": "ner"},
        "deliveries": 5,
        "bytes": len(a_step()[1]),
        "trace_id": "a" * 32,
    }


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("--reason", "model_failed"), [1, 2]),
        (("--reason", "model_failed", "--reason", "invalid_request"), [1, 2, 3]),
        (("--origin", "orchestrator"), [3]),
        (("--tenant", "web"), [2]),
        (("--class", "public"), [2]),
        (("--since", "1h"), [1, 2, 3]),
        (("--until", "1h"), []),
    ],
)
def test_letters_are_looked_for_by_options(run, bury_them, filters, found):
    bury_them(a_step(), a_step(address=Address("web", DataClass.PUBLIC, "x")), a_broken_one())

    assert [one["number"] for one in lines(run("ls", "--json", *filters))] == found


def test_an_empty_list_is_no_error(run):
    result = run("ls")

    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert "there are no dead letters of this kind" in result.stderr


def test_a_narrow_terminal_shows_what_matters_most(bus, bury_them):
    bury_them(a_step(address=replace(ORDER, task_id="x" * 64)))
    ((_, (number, at)), message) = (*bus.numbers.items(), *bus.log.values())
    letter = letter_of(Entry(number, at, message))

    for width in (50, 60, 80, 100, 130, 200):
        console = Console(width=width)
        with console.capture() as shown:
            console.print(letters_table([letter], width))
        assert "model_failed" in shown.get()
        assert len(shown.get().splitlines()) == 2
        assert max(map(len, shown.get().splitlines())) <= width


def test_what_a_letter_says_cannot_drive_the_terminal(run, bury_them):
    bury_them((*a_step()[:3], ErrorInfo(code=ErrorCode.INTERNAL, message="\x1b[2Jgone [red]x[/red]")))

    for called in (("ls",), ("show", "1")):
        assert "\x1b" not in run(*called).output
        assert "[red]x[/red]" in run(*called).output


# ---------------------------------------------------------------- show


def test_a_letter_is_shown_with_all_but_its_text(run, bury_them):
    bury_them(a_step())

    result = run("show", "1")

    told = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line[:1] not in ("", " "))
    assert result.exit_code == Exit.OK
    assert (told["why"].strip(), told["trace"].strip()) == ("model_failed: RuntimeError in ner", "a" * 32)
    assert told["from"].strip() == "slm.v1.work.ner.bulk.shop.internal.order-1"
    assert told["payload"].strip() == f"{len(a_step()[1])} bytes; --payload shows it"
    assert told["replay"].strip() == "`smallmesh dlq replay 1` submits order-1-r1 in lane bulk, which wants entities"
    assert SECRET not in result.output


def test_its_text_is_shown_where_it_is_asked_for(run, bury_them):
    bury_them(a_step(), a_broken_one())

    assert SECRET in run("show", "1", "--payload").stdout
    assert '{"texts": "\\xff"}' in run("show", "2", "--payload").stdout
    assert json.loads(lines(run("show", "1", "--payload", "--json"))[0]["payload"])["request"]["text"] == SECRET
    assert lines(run("show", "2", "--payload", "--json"))[0]["payload_base64"] == "eyJ0ZXh0cyI6ICL/In0="


def test_programs_are_told_headers_and_what_a_replay_would_be(run, bury_them):
    bury_them(a_step(), a_broken_one())

    (step,), (broken,) = lines(run("show", "1", "--json")), lines(run("show", "2", "--json"))

    assert step["headers"] == {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    assert step["replay"] == {"id": "order-1-r1", "lane": "bulk", "wanted": ["entities"]}
    assert broken["replay"]["error"]["code"] == "invalid_request"
    assert "payload" not in step


def test_a_number_that_nobody_has_is_said_with_what_to_do(run):
    result, told = run("show", "7"), lines(run("show", "7", "--json"))

    assert result.exit_code == Exit.ERROR
    assert "there is no dead letter 7" in result.stderr
    assert "smallmesh dlq ls" in result.stderr
    assert told[0]["error"]["code"] == "invalid_request"


# ---------------------------------------------------------------- replay


def test_a_whole_reason_is_replayed_and_the_new_ids_are_told(run, bus, bury_them):
    bury_them(a_step(), a_step("sentiment"), a_broken_one(), a_step(address=replace(ORDER, task_id="order-2")))

    result = run("replay", "--reason", "model_failed")

    assert result.exit_code == Exit.OK
    assert sorted(result.stdout.splitlines()) == [
        "order-1-r1 submitted from 1, 2, wants entities, sentiment",
        "order-2-r1 submitted from 4, wants entities",
    ]
    assert numbers(bus) == [3]


def test_programs_are_told_what_became_of_each(run, bury_them):
    bury_them(a_step(), a_broken_one())

    result = run("replay", "1", "2", "9", "--json", "--keep")
    again = run("replay", "1", "--json")

    told = {one["event"]: one for one in lines(result)}
    assert result.exit_code == Exit.ERROR
    assert told["replayed"] == {
        "event": "replayed",
        "state": "submitted",
        "id": "order-1-r1",
        "tenant": "shop",
        "class": "internal",
        "lane": "bulk",
        "replay_of": "order-1",
        "wanted": ["entities"],
        "numbers": [1],
    }
    assert [(one["number"], one["error"]["code"]) for one in lines(result) if one["event"] == "refused"] == [
        (2, "invalid_request"),
        (9, "invalid_request"),
    ]
    assert (again.exit_code, lines(again)[0]["state"]) == (Exit.OK, "already_there")


def test_what_cannot_be_replayed_is_said_stays_and_tells_the_exit_code(run, bus, bury_them):
    bury_them(a_broken_one(), a_step())

    result = run("replay", "--all", "--yes")

    assert result.exit_code == Exit.ERROR
    assert "1 cannot be replayed: invalid_request: not a valid Task" in result.stderr
    assert "order-1-r1 submitted" in result.stdout
    assert numbers(bus) == [1]


def test_a_reason_that_nothing_died_of_leaves_nothing_to_do(run):
    result = run("replay", "--reason", "unavailable", "--yes")

    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert "nothing to replay" in result.stderr


def test_results_are_waited_for_and_told(run, bus, bury_them):
    bus.ends_as = Status.COMPLETED
    bury_them(a_step(), a_step(address=replace(ORDER, task_id="order-2")))

    one = run("replay", "1", "--wait", "--keep")
    both = run("replay", "--all", "--wait", "--keep")
    told = run("replay", "--all", "--wait", "--json")

    assert [result.exit_code for result in (one, both, told)] == [Exit.OK] * 3
    assert "completed in 7 ms" in one.stdout
    assert "order-2-r1 completed in 7 ms" in both.stdout
    assert {e["result"]["replay_of"] for e in lines(told) if e["event"] == "ended"} == {"order-1", "order-2"}


def test_a_replay_that_fails_again_tells_the_exit_code(run, bus, bury_them):
    bus.ends_as = Status.FAILED
    bury_them(a_step())

    result = run("replay", "1", "--wait")

    assert result.exit_code == Exit.ERROR
    assert "failed in 7 ms" in result.stdout


def test_waiting_ends_when_it_was_said_to(run, bury_them):
    bury_them(a_step())

    result = run("replay", "1", "--wait", "--timeout", "0.05")

    assert result.exit_code == Exit.ERROR
    assert "smallmesh result ID" in result.stderr


@pytest.mark.parametrize("command", ["replay", "drop"])
@pytest.mark.parametrize("given", [(), ("1", "--reason", "internal"), ("1", "--all"), ("--all", "--tenant", "shop")])
def test_all_letters_are_never_meant_by_accident(run, bus, bury_them, command, given):
    bury_them(a_step())

    result = run(command, *given, "--yes")

    assert result.exit_code == Exit.USAGE
    assert "one of the three" in " ".join(result.stderr.replace("│", " ").split())
    assert numbers(bus) == [1]


@pytest.mark.parametrize("option", ["--tenant", "--origin"])
def test_a_name_that_nobody_can_have_is_said(run, option):
    result = run("ls", option, "a.*")

    assert result.exit_code == Exit.USAGE
    assert "must match" in result.stderr


# ---------------------------------------------------------------- asking


@pytest.fixture
def at_a_terminal(monkeypatch):
    monkeypatch.setattr(letters, "can_ask", lambda: True)


@pytest.mark.usefixtures("at_a_terminal")
def test_a_whole_reason_is_asked_about(run, bus, bury_them):
    bury_them(a_step(), a_step("sentiment"))

    no = run("replay", "--reason", "model_failed", input="n\n")
    assert (no.exit_code, numbers(bus)) == (Exit.INTERRUPTED, [1, 2])
    assert "Replay 2 dead letters as 1 new task?" in no.stderr

    yes = run("replay", "--reason", "model_failed", input="y\n")
    assert (yes.exit_code, numbers(bus)) == (Exit.OK, [])


@pytest.mark.usefixtures("at_a_terminal")
def test_named_letters_are_replayed_without_asking_and_dropped_with(run, bus, bury_them):
    bury_them(a_step(), a_step("sentiment"))

    assert run("replay", "1", input="").exit_code == Exit.OK
    no = run("drop", "2", input="n\n")

    assert (no.exit_code, numbers(bus)) == (Exit.INTERRUPTED, [2])
    assert "Drop 1 dead letter for good?" in no.stderr


def test_where_nobody_can_be_asked_dropping_has_to_be_said_twice(run, bus, bury_them):
    bury_them(a_step())

    result = run("drop", "1")

    assert result.exit_code == Exit.USAGE
    assert "say --yes" in result.stderr
    assert numbers(bus) == [1]


# ---------------------------------------------------------------- drop


def test_letters_are_dropped_and_to_do_it_twice_is_the_same(run, bus, bury_them):
    bury_them(a_step(), a_step("sentiment"), a_broken_one())

    first, again = run("drop", "1", "2", "--yes"), run("drop", "1", "2", "--yes")

    assert [result.exit_code for result in (first, again)] == [Exit.OK] * 2
    assert first.stdout.strip() == "dropped 2 dead letters"
    assert "2 letters had gone before" in again.stderr
    assert numbers(bus) == [3]


def test_programs_are_told_of_each_that_is_dropped(run, bus, bury_them):
    bury_them(a_step(), a_broken_one())

    result = run("drop", "--reason", "invalid_request", "--yes", "--json")

    assert lines(result) == [{"event": "dropped", "number": 2}]
    assert lines(run("drop", "2", "--yes", "--json")) == [{"event": "gone", "number": 2}]
    assert numbers(bus) == [1]


# ---------------------------------------------------------------- a broker that does not let us


async def test_what_this_user_may_not_do_is_told_as_that(monkeypatch):
    @asynccontextmanager
    async def connected(_, *, problem):
        problem(RuntimeError('nats: permissions violation for publish to "$js.api.direct.get.slm_dead"'))
        yield None

    monkeypatch.setattr(letters, "connected", connected)

    with pytest.raises(ContractError) as raised:
        async with letters.operating(None):
            raise ContractError(ErrorCode.UNAVAILABLE, "cannot read SLM_DEAD")

    assert raised.value.info.code is ErrorCode.UNAUTHORIZED
    assert "slm_dead" in str(raised.value)


# ---------------------------------------------------------------- the doctor


def looked_at(letters_by_whom, **state):
    stream = StreamFacts(DEAD.name, {}, {"max_bytes": 1000}, state)
    facts = Facts("nats://broker", Host(), Broker(dead_letters=letters_by_whom, streams=(stream,)))
    return list(DeadLetters().look(facts)), [one.message for one in Streams().look(facts)]


def test_the_doctor_names_the_commands_for_what_was_given_up():
    (found,), _ = looked_at({"public ner": 2, "restricted ner": 1}, bytes=10)

    assert (found.level, found.message) == (Level.WARNING, "3 dead letters kept (2 public ner, 1 restricted ner)")
    assert all(f"smallmesh dlq {command}" in found.todo for command in ("ls", "replay", "drop"))


def test_the_doctor_says_what_follows_where_no_more_letters_fit():
    (_, found), of_streams = looked_at({"public ner": 2}, bytes=800)

    assert found.level is Level.WARNING
    assert found.message.startswith("SLM_DEAD is 80% full: when it is full, what is given up stays in its queue")
    assert not any("full" in message for message in of_streams)


HEAVY = "'rich', 'nats', 'numpy', 'psutil', 'opentelemetry', 'uvicorn'"


def test_a_tab_loads_nothing_that_takes_long():
    code = f"import smallmesh.cli.commands.dlq, sys; print(*sorted({{*sys.modules}} & {{{HEAVY}}}))"

    end = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)

    assert end.stdout.split() == []


def test_every_command_has_examples():
    for name in dlq.COMMANDS:
        assert any(f"smallmesh dlq {name}" in example for example, _ in dlq.EXAMPLES)
