"""How far a submission is, in words and figures; what is said at its end."""

import io
import json

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn
from typer.testing import CliRunner

from smallmesh.cli.app import app
from smallmesh.cli.exits import Exit
from smallmesh.cli.intake import progress
from smallmesh.cli.intake.choices import Existing, Ids
from smallmesh.cli.intake.job import Files, Job
from smallmesh.cli.intake.lines import Ended, LineReader, Skipped
from smallmesh.cli.intake.progress import LINE_EVERY_S, RATE_OVER_S, Bar, Lines, Meter, Standing, Total
from smallmesh.cli.intake.results import Results
from smallmesh.cli.intake.sources import find_sources
from smallmesh.cli.intake.tally import Tally
from smallmesh_contracts import DataClass, ErrorCode, Lane

HALF = Standing(done=50_000, total=100_000, failed=20, per_s=512.4, left_s=97.6, trouble=None)


class Clock:
    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


# ---------------------------------------------------------------- figures


def test_the_rate_is_that_of_the_last_while():
    clock = Clock()
    meter = Meter(clock)
    for second in range(100):
        clock.time += 1
        slow = meter.per_s(10 * (second + 1))
    assert slow == pytest.approx(10)

    for second in range(int(RATE_OVER_S)):
        clock.time += 1
        fast = meter.per_s(1_000 + 200 * (second + 1))
    assert fast == pytest.approx(200)


def test_the_rate_falls_where_nothing_comes():
    clock = Clock()
    meter = Meter(clock)
    clock.time += 1
    meter.per_s(100)

    clock.time += RATE_OVER_S
    meter.per_s(100)
    clock.time += 1

    assert meter.per_s(100) == 0.0


def test_at_the_first_moment_there_is_no_rate():
    assert Meter(Clock()).per_s(0) == 0.0


def test_a_meter_remembers_no_more_than_it_needs():
    clock = Clock()
    meter = Meter(clock)
    for _ in range(10_000):
        clock.time += 0.25
        meter.per_s(1)

    assert len(meter._samples) <= RATE_OVER_S + 2


def test_lines_are_counted_beside_the_work(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "x"}\n\nnot json\n')

    total = Total(find_sources([str(tmp_path / "a.jsonl")], None, None))
    total.thread.join()

    assert total.known == 2


def test_what_cannot_be_counted_has_no_total(tmp_path):
    (tmp_path / "a.jsonl").write_bytes('{"text": "x"}'.encode("utf-16"))

    total = Total(find_sources([str(tmp_path / "a.jsonl")], None, None))
    total.thread.join()

    assert total.known is None


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (HALF, "50,000/100,000 · 512/s · 49,980 ok · 20 failed · 1:38 left"),
        (Standing(10, None, 0, 2.0, None, None), "10 · 2/s · 10 ok · 0 failed"),
        (Standing(1, 90_000, 0, 10.0, 9_000.0, None), "1/90,000 · 10/s · 1 ok · 0 failed · 2:30:00 left"),
        (Standing(1, 2, 0, 0.0, None, ErrorCode.OVERLOADED), "1/2 · the mesh is full, waiting · 1 ok · 0 failed"),
        (Standing(1, 2, 0, 0.0, None, ErrorCode.UNAVAILABLE), "1/2 · the broker does not answer, waiting · 1 ok · 0 failed"),
    ],
)
def test_how_far_it_is_is_said_in_words(standing, words):
    assert standing.words() == words


def test_a_program_is_told_the_same():
    told = HALF.as_json()["progress"]

    assert told == {"done": 50_000, "total": 100_000, "failed": 20, "per_s": 512.4, "left_s": 98, "waiting": None}


def test_without_a_terminal_there_is_a_line_now_and_then(capsys):
    clock = Clock()
    lines = Lines(as_json=True, clock=clock)

    for _ in range(100):
        clock.time += 0.25
        lines.show(HALF)

    told = capsys.readouterr().err.splitlines()
    assert len(told) == int(25 / LINE_EVERY_S)
    assert json.loads(told[0]) == HALF.as_json()


def test_on_a_terminal_the_words_stand_beside_a_bar():
    screen = io.StringIO()
    columns = (TextColumn("{task.fields[words]}"),)
    with Progress(*columns, console=Console(file=screen, force_terminal=True, width=100), auto_refresh=False) as shown:
        Bar(shown).show(HALF)

    assert HALF.words() in screen.getvalue()


def test_the_words_fit_a_terminal_of_80_columns_beside_the_bar():
    long = Standing(100_000, 100_000, 1_000, 1_000.0, 3_599.0, None)

    assert len(long.words()) + progress.BAR_COLUMNS + 1 <= 80


# ---------------------------------------------------------------- at the end


@pytest.fixture
def job():
    reader = LineReader("shop", DataClass.INTERNAL, Lane.BULK)
    return Job([], reader, Tally(Results(io.BytesIO()), as_json=True), 10, None, as_json=True)


def summed_up(job, files, capsys, *, complete):
    job.sum_up(files, complete=complete)
    return json.loads(capsys.readouterr().err)


def test_a_complete_run_says_its_totals_and_nothing_else(job, capsys):
    told = summed_up(job, Files(), capsys, complete=True)

    assert (told["totals"], told["complete"]) == ({}, True)
    assert "hints" not in told


def test_repeated_lines_are_said_to_be_one_task(job, capsys):
    job.tally.skipped(Skipped(2))

    told = summed_up(job, Files(), capsys, complete=True)

    assert told["totals"] == {"repeated": 1}
    assert "--id random" in told["hints"][0]


@pytest.mark.parametrize(
    ("files", "ids", "says"),
    [
        (Files("results.jsonl"), Ids.CONTENT, "--resume"),
        (Files(), Ids.CONTENT, "the same command again"),
        (Files("results.jsonl"), Ids.RANDOM, "submit all again"),
    ],
)
def test_an_interrupted_run_says_how_to_go_on(job, capsys, files, ids, says):
    job.outstanding = 987
    job.reader.ids = ids

    (hint,) = summed_up(job, files, capsys, complete=False)["hints"]

    assert says in hint
    assert "987" in hint


def test_results_of_another_input_are_noticed(job, capsys):
    job.reader.ended = Ended()
    job.reader.ended.bad_line("", 7)

    (hint,) = summed_up(job, Files("results.jsonl", None, Existing.RESUME), capsys, complete=True)["hints"]

    assert "1 results from before belong to no line" in hint


def test_where_nothing_was_begun_nothing_is_summed_up(job, capsys):
    job.sum_up(Files(), complete=False)

    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------- options


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.jsonl").write_text(
        '{"text": "x"}\n{"text": ""}\n{"id": "a", "text": "y", "lane": "interactive"}\n', encoding="utf-8"
    )
    (tmp_path / "full.jsonl").write_text("something\n", encoding="utf-8")
    return lambda *arguments: CliRunner().invoke(app, ["submit", "lines.jsonl", *arguments], prog_name="smallmesh")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--resume"], "--out"),
        (["--overwrite"], "--errors"),
        (["--errors", "full.jsonl"], "--overwrite"),
        (["--out", "o", "--resume", "--overwrite"], "either"),
        (["--out", "o", "--resume", "--id", "random"], "--id"),
        (["--out", "o", "--errors", "./o"], "a file each"),
        (["--out", "full.jsonl"], "--resume"),
        (["--out", "o", "--errors", "full.jsonl"], "--resume"),
        (["--out", "full.jsonl", "--resume"], "line 1"),
        (["--out", "o", "--dry-run"], "leave out"),
    ],
)
def test_options_that_do_not_go_together_are_said_before_anything_is_done(run, options, says):
    result = run(*options, "--nats", "nats://127.0.0.1:1")

    assert result.exit_code == Exit.USAGE
    assert says in " ".join(result.output.replace("│", " ").split())


def test_a_dry_run_needs_no_mesh_and_tells_the_ids(run):
    result = run("--dry-run", "--class", "internal", "--json", "--nats", "nats://127.0.0.1:1")

    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["line"], one["data_class"], one["lane"]) for one in told] == [(1, "internal", "bulk"), (3, "internal", "interactive")]
    assert told[1]["id"] == "a"
    assert len(told[0]["id"]) == 32
    bad, totals = (json.loads(line) for line in result.stderr.splitlines())
    assert (bad["line"], bad["error"]["code"], totals["totals"]) == (2, "invalid_request", {"good": 2, "bad": 1})
    assert result.exit_code == Exit.ERROR


def test_a_broker_that_is_not_there_leaves_the_files_as_they_are(run, tmp_path):
    result = run("--out", "new.jsonl", "--nats", "nats://127.0.0.1:1")

    assert result.exit_code == Exit.NOBODY_THERE
    assert (tmp_path / "new.jsonl").read_bytes() == b""
