"""``smallmesh eval`` with an agent that is not started: what it answers is said here."""

import json
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from smallmesh.catalogue import CatalogueError
from smallmesh.cli.app import app, load_command
from smallmesh.cli.commands.eval import EXAMPLES
from smallmesh.cli.exits import Exit
from smallmesh.evaluation.answers import Memory, Outcome, Served
from smallmesh.hosting.card import ModelError
from smallmesh.settings import settings
from tests.support.rules import write_agent

GOOD = {"id": "good", "text": "hello there", "said": "HELLO"}
WRONG = {"id": "wrong", "text": "bye then", "said": "HELLO"}


class Shouts:
    """Answers with the first word in capitals, as the agent in the folder would."""

    served = Served(model_id="rules", prompt_version="1")

    def answer(self, body):
        return Outcome(value={"said": json.loads(body)["text"].split()[0].upper(), "confidence": 0.9}, ms=2.0)

    def finish(self):
        return Memory(before=40.0, ready=50.0, peak=60.0)


@pytest.fixture
def agents(tmp_path):
    """Two agents, one of which has golden cases."""
    write_agent(tmp_path / "agents", "shouter", "shout")
    write_agent(tmp_path / "agents", "whisperer", "whisper")
    write(tmp_path / "agents" / "shouter" / "golden.jsonl", GOOD, WRONG)
    return tmp_path / "agents"


def write(file, *lines):
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return str(file)


@pytest.fixture
def run(monkeypatch, tmp_path, agents):
    """Call ``smallmesh eval`` with a state folder of its own."""

    @contextmanager
    def process(name, tier):
        if name == "whisperer":
            raise ModelError(f"model file of {tier or 'what serves'} is missing")
        yield Shouts()

    monkeypatch.setattr("smallmesh.cli.evaluating.agent_process", process)
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", str(agents))
    monkeypatch.setenv("SMALLMESH_STATE_DIR", str(tmp_path / "state"))
    settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(app, ["eval", *arguments], prog_name="smallmesh")
    settings.cache_clear()


# ---------------------------------------------------------------- run


def test_without_a_name_every_agent_with_golden_cases_is_measured(run):
    result = run("run")

    assert result.exit_code == Exit.OK
    assert "shouter · rules · 2 cases of golden.jsonl" in result.stdout
    assert "whisperer" not in result.output


def test_a_second_run_is_compared_with_the_first(run, agents):
    run("run")
    first = json.loads(run("show", "shouter", "--json").stdout)[0]

    result = run("run")

    assert "before" in result.stdout
    assert "the same cases pass" in result.stdout
    assert json.loads(run("show", "--json").stdout)[0]["compared"]["with"] == first["name"]
    assert (agents / "shouter" / "golden.jsonl").exists()


def test_a_file_of_ones_own_is_for_one_agent_and_has_runs_of_its_own(run, tmp_path):
    mine = write(tmp_path / "mine.jsonl", {"text": "hello", "said": "HELLO"})
    run("run")

    result = run("run", "shouter", "--data", mine)

    assert result.exit_code == Exit.OK
    assert "1 case of mine.jsonl" in result.stdout
    assert "compared" not in result.stdout


def test_a_tier_is_measured_whatever_serves(run, agents):
    write(agents / "whisperer" / "golden.jsonl", GOOD)

    result = run("run", "whisperer", "--tier", "embedded")

    assert result.exit_code == Exit.INSTALLATION
    assert "model file of embedded is missing" in result.stderr


def test_a_tier_that_is_not_there_is_said_before_anything_is_measured(run):
    result = run("run", "shouter", "--tier", "embedded", "--tier", "huge")

    assert result.exit_code == Exit.INSTALLATION
    assert "shouter has no tier called 'huge'; there are: embedded" in result.stderr
    assert "2 cases" not in result.stdout


def test_a_broken_line_is_reported_with_its_number_and_the_rest_goes_on(run, tmp_path):
    mine = write(tmp_path / "mine.jsonl", GOOD, "nope", {"text": "x", "sayd": "X"}, WRONG)

    result = run("run", "shouter", "--data", mine)

    assert result.exit_code == Exit.ERROR
    assert "mine.jsonl of shouter, line 2: it is not JSON in UTF-8" in result.stderr
    assert "mine.jsonl of shouter, line 3: it expects nothing" in result.stderr
    assert "2 cases of mine.jsonl" in result.stdout


def test_a_file_without_a_case_is_no_run(run, tmp_path):
    result = run("run", "shouter", "--data", write(tmp_path / "mine.jsonl", "nope"))

    assert result.exit_code == Exit.ERROR
    assert "of shouter has no case" in result.stderr
    assert run("show").exit_code == Exit.ERROR


def test_limit_takes_the_first_cases(run):
    assert "1 case of golden.jsonl (--limit 1)" in run("run", "--limit", "1").stdout


@pytest.mark.parametrize(
    ("bars", "code"),
    [
        (("--fail-under", "score=0.5"), Exit.OK),
        (("--fail-under", "score=0.6"), Exit.ERROR),
        (("--fail-over", "p95_ms=4000"), Exit.OK),
        (("--fail-over", "p95_ms=1", "--fail-under", "score=0.5"), Exit.ERROR),
        (("--fail-under", "score"), Exit.USAGE),
        (("--fail-under", "scores=0.5"), Exit.USAGE),
    ],
)
def test_a_bar_that_is_missed_is_an_exit_code(run, bars, code):
    assert run("run", *bars).exit_code == code


def test_a_missed_bar_is_said(run):
    assert "shouter: score is 0.5, under 0.6" in run("run", "--fail-under", "score=0.6").stderr


def test_json_is_one_object_a_run_without_texts(run):
    result = run("run", "--json")

    (told,) = json.loads(result.stdout)
    assert {case["id"]: case["passed"] for case in told["cases"]} == {"good": True, "wrong": False}
    assert told["compared"] is None
    assert "hello" not in result.stdout.lower()


def test_markdown_is_written_for_a_page(run, tmp_path):
    run("run", "--markdown", str(tmp_path / "page.md"))

    assert "### shouter" in (tmp_path / "page.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("run", "whisperer"), Exit.USAGE, "whisperer has no golden.jsonl"),
        (("run", "nobody"), Exit.INSTALLATION, "shouter"),
        (("run", "--data", "{mine}"), Exit.USAGE, "name the one agent"),
        (("run", "shouter", "whisperer", "--data", "{mine}"), Exit.USAGE, "name the one agent"),
        (("run", "shouter", "--data", "no-such-file"), Exit.USAGE, "no-such-file"),
        (("run", "whisperer", "--data", "{mine}"), Exit.INSTALLATION, "model file of what serves is missing"),
        (("run", "--limit", "0"), Exit.USAGE, "limit"),
        (("run", "--markdown", "{mine}/x.md"), Exit.USAGE, "cannot be written"),
        (("show", "nobody"), Exit.ERROR, "eval run"),
    ],
)
def test_what_cannot_be_done_is_said_with_an_exit_code(run, tmp_path, arguments, code, says):
    mine = write(tmp_path / "mine.jsonl", GOOD)

    result = run(*(argument.format(mine=mine) for argument in arguments))

    assert result.exit_code == code
    assert says in result.output.replace("\n", " ").replace("│", "")
    assert "Traceback" not in result.output


# ---------------------------------------------------------------- ls and show


def test_ls_says_who_has_cases_and_how_the_last_run_went(run):
    before = {one["agent"]: one for one in json.loads(run("ls", "--json").stdout)}
    run("run")
    after = {one["agent"]: one for one in json.loads(run("ls", "--json").stdout)}

    assert (before["shouter"]["cases"], before["shouter"]["last"], before["whisperer"]["cases"]) == (2, None, 0)
    assert after["shouter"]["last"]["agent"] == "shouter"
    assert "never" in run("ls").stdout


def test_show_names_the_cases_that_did_not_pass(run):
    run("run")

    assert "not passed (1): wrong" in run("show", "shouter").stdout


# ---------------------------------------------------------------- help


@pytest.mark.parametrize("called", ["run", "ls", "show"])
def test_each_command_of_the_group_has_examples_of_its_own_that_parse(run, called, tmp_path):
    (tmp_path / "reviews.jsonl").touch()
    own = [example.split()[3:] for example, _ in EXAMPLES if example.split()[2] == called]

    for arguments in own:
        given = [argument.replace("reviews.jsonl", str(tmp_path / "reviews.jsonl")) for argument in arguments]
        load_command("eval").commands[called].make_context(called, given).close()

    shown = run(called, "--help").stdout
    assert own
    assert {line.split()[2] for line in shown.splitlines() if line.strip().startswith("smallmesh eval")} == {called}


def test_an_agent_that_cannot_be_started_is_an_error_of_the_installation(run, monkeypatch):
    def process(name, _):
        raise CatalogueError(name)

    monkeypatch.setattr("smallmesh.cli.evaluating.agent_process", process)

    assert run("run").exit_code == Exit.INSTALLATION
