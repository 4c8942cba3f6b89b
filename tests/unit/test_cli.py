"""The command line without a broker: help, usage, exit codes, lines of input, and what is shown."""

import importlib
import json
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from typer.core import TyperGroup
from typer.testing import CliRunner

import smallmesh
from smallmesh.broker import BrokerUnavailable
from smallmesh.catalogue import CatalogueError
from smallmesh.cli import commands
from smallmesh.cli.app import COMMANDS, app, load_command
from smallmesh.cli.commands.up import parse_scale
from smallmesh.cli.errors import exit_of, message_in
from smallmesh.cli.exits import MEANING, Exit
from smallmesh.cli.state import MeshState, held, own_state, read_state, write_state
from smallmesh.cli.where import find_url, without_password
from smallmesh.hosting.card import ModelError
from smallmesh.settings import settings
from smallmesh.supervise import MeshError
from smallmesh_contracts import ContractError, ErrorCode

NOBODY = "nats://127.0.0.1:1"


def module_of(name):
    return importlib.import_module(f"smallmesh.cli.commands.{name}")


LEAVES = [(name, *inner) for name in COMMANDS for inner in [(one,) for one in getattr(module_of(name), "COMMANDS", ())] or [()]]
"""Every command, those of groups with their group."""
EXAMPLES = [example for name in COMMANDS for example, _ in module_of(name).EXAMPLES]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Call the command line with a state folder of its own."""
    monkeypatch.setenv("SMALLMESH_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("SMALLMESH_NATS_URL", raising=False)
    settings.cache_clear()
    yield lambda *arguments, **options: CliRunner().invoke(app, list(arguments), prog_name="smallmesh", **options)
    settings.cache_clear()


# ---------------------------------------------------------------- help


def test_help_lists_every_command_and_every_exit_code(run):
    result = run("--help")

    assert result.exit_code == Exit.OK
    assert all(name in result.stdout for name in COMMANDS)
    assert all(str(code.value) in result.stdout for code in MEANING)
    assert set(MEANING) == set(Exit)


def test_the_version_is_told(run):
    result = run("--version")

    assert result.exit_code == Exit.OK
    assert result.stdout.strip() == smallmesh.__version__


def test_every_module_of_commands_is_a_command_and_the_other_way_round():
    assert {module.name for module in pkgutil.iter_modules(commands.__path__)} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_says(name):
    assert load_command(name).help.splitlines()[0] == COMMANDS[name].summary


@pytest.mark.parametrize("called", LEAVES, ids=" ".join)
def test_help_of_every_command_has_examples_of_that_command(run, called):
    result = run(*called, "--help")

    assert result.exit_code == Exit.OK
    assert "Examples:" in result.stdout
    assert f"smallmesh {' '.join(called)}" in result.stdout.partition("Examples:")[2]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_parses(example, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for word in shlex.split(example):
        if re.fullmatch(r"[\w-]+\.(jsonl|csv|txt)", word):
            (tmp_path / word).touch()  # a file that an option wants to be there

    name, *arguments = arguments_of(example)

    parse(load_command(name), name, arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_says_what_it_is_for(name):
    assert all(what for _, what in module_of(name).EXAMPLES)


def parse(command, name, arguments):
    """Parse as the command line does, down to the command of a group."""
    with command.make_context(name, arguments) as context:
        if isinstance(command, TyperGroup):
            called, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            parse(inner, called, rest)


def arguments_of(example):
    """Cut what is the shell's from a line of an example."""
    words = shlex.split(example)
    words = words[words.index("smallmesh") + 1 :]
    ends = [i for i, word in enumerate(words) if word in {"<", ">", "|"}]
    return words[: ends[0]] if ends else words


def test_the_page_lists_the_commands_and_the_exit_codes_there_are():
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")

    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE)) == {n: one.summary for n, one in COMMANDS.items()}
    assert {int(code): told for code, told in re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)} == MEANING


# ---------------------------------------------------------------- usage and errors


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("agent",), Exit.USAGE, "agents"),
        (("ask", "sentiment"), Exit.USAGE, "TEXT"),
        (("ask", "sentiment", "x", "--timeout", "0"), Exit.USAGE, "timeout"),
        (("ask", "sentiment", "\udcff"), Exit.USAGE, "UTF-8"),
        (("run", "x", "--class", "secret"), Exit.USAGE, "restricted"),
        (("result", "no.id"), Exit.USAGE, "[A-Za-z0-9_-]{1,64}"),
        (("submit", "no-such-file"), Exit.USAGE, "no-such-file"),
        (("submit", "x", "--tenant", "a.b"), Exit.USAGE, "tenant"),
        (("serve", "orchestrator", "--classes", "public,secret"), Exit.USAGE, "secret"),
        (("serve", "nobody"), Exit.INSTALLATION, "sentiment"),
        (("up", "--scale", "sentiment"), Exit.USAGE, "sentiment=2"),
        (("up", "--port", "0"), Exit.USAGE, "port"),
        (("up", "--nats", NOBODY), Exit.NOBODY_THERE, "no NATS broker"),
        (("ask", "sentiment", "x", "--nats", NOBODY), Exit.NOBODY_THERE, "smallmesh up"),
        (("run", "x", "--nats", NOBODY), Exit.NOBODY_THERE, "smallmesh up"),
        (("run", " ", "--nats", NOBODY), Exit.ERROR, "empty"),
        (("run", "x" * 40_000, "--nats", NOBODY), Exit.ERROR, "limit"),
        (("agents", "--nats", NOBODY), Exit.NOBODY_THERE, "smallmesh up"),
        (("agents", "--nats", "nats://here:port"), Exit.ERROR, "not the address"),
        (("provision", "--nats", NOBODY), Exit.NOBODY_THERE, "smallmesh up"),
        (("down",), Exit.OK, "no mesh"),
    ],
)
def test_what_cannot_be_done_is_said_with_an_exit_code_and_without_a_traceback(run, arguments, code, says):
    result = run(*arguments)

    assert result.exit_code == code
    assert says in result.output.replace("\n", " ")
    assert "Traceback" not in result.output


def test_an_error_for_a_program_is_one_json_object_on_standard_output(run):
    result = run("ask", "sentiment", "x", "--nats", NOBODY, "--json")

    assert result.exit_code == Exit.NOBODY_THERE
    assert json.loads(result.stdout)["error"]["code"] == ErrorCode.UNAVAILABLE
    assert not result.stderr


def test_a_wrong_setting_is_said_by_its_name(run, monkeypatch):
    monkeypatch.setenv("SMALLMESH_HEALTH_PORT", "many")

    result = run("agents")

    assert result.exit_code == Exit.INSTALLATION
    assert "health_port" in result.output.lower()
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ContractError(ErrorCode.UNAVAILABLE, "gone"), Exit.NOBODY_THERE),
        (ContractError(ErrorCode.TOO_LONG, "long"), Exit.ERROR),
        (CatalogueError("no folder"), Exit.INSTALLATION),
        (ModelError("altered"), Exit.INSTALLATION),
        (BrokerUnavailable("port in use"), Exit.MESH),
        (MeshError("not ready"), Exit.MESH),
        (ZeroDivisionError("a bug"), None),
    ],
)
def test_every_expected_error_has_its_exit_code_and_a_bug_has_none(error, code):
    assert exit_of(error) == code


def test_the_error_of_another_command_is_read_from_its_json():
    assert message_in('{"error": {"message": "port in use"}}') == "port in use"
    assert message_in("Traceback") is None


def test_scale_is_read_by_name():
    assert parse_scale(["sentiment=2", "ner=0"]) == {"sentiment": 2, "ner": 0}


# ---------------------------------------------------------------- where the broker is


@pytest.mark.usefixtures("run")
def test_a_named_broker_goes_before_the_environment_and_that_before_the_mesh_that_runs_here(monkeypatch, tmp_path):
    write_state(tmp_path, own_state().model_copy(update={"url": "nats://running:1"}))
    assert find_url("nats://named:1") == "nats://named:1"
    assert find_url(None) == "nats://running:1"

    monkeypatch.setenv("SMALLMESH_NATS_URL", "nats://set:1")
    settings.cache_clear()

    assert find_url(None) == "nats://set:1"


@pytest.mark.usefixtures("run")
def test_without_any_of_these_the_broker_is_at_the_usual_place():
    assert find_url(None) == "nats://127.0.0.1:4222"


def test_a_password_is_not_shown():
    assert without_password("nats://ann:secret@broker:4222") == "nats://broker:4222"


def test_a_state_that_another_process_wrote_under_this_id_is_not_believed(tmp_path):
    mine = own_state()
    write_state(tmp_path, mine.model_copy(update={"born": mine.born - 100}))
    assert read_state(tmp_path) is None

    write_state(tmp_path, mine)
    assert read_state(tmp_path) == mine
    assert (tmp_path / "mesh.json").stat().st_mode & 0o077 == 0


def test_the_state_of_a_process_that_is_gone_is_not_believed(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    born = psutil.Process(gone.pid).create_time()
    gone.wait()
    write_state(tmp_path, MeshState(pid=gone.pid, born=born))

    assert read_state(tmp_path) is None


def test_two_meshes_cannot_hold_one_state_folder(tmp_path):
    with held(tmp_path):
        write_state(tmp_path, own_state())
        with pytest.raises(MeshError, match="SMALLMESH_STATE_DIR"), held(tmp_path):
            pass

    assert read_state(tmp_path) is None


# ---------------------------------------------------------------- without extras

WITHOUT = "import sys; sys.modules.update(dict.fromkeys({missing!r})); from smallmesh.cli import main; sys.argv[0] = 'smallmesh'; main()"


def without(missing, *arguments):
    """Call the command line where some modules are not installed."""
    code = WITHOUT.format(missing=list(missing))
    return subprocess.run([sys.executable, "-P", "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [("ask", "ner", "x"), ("watch",), ("submit", "lines.jsonl")], ids=lambda called: called[0])
def test_clients_commands_need_no_extra(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMALLMESH_STATE_DIR", str(tmp_path))
    (tmp_path / "lines.jsonl").touch()

    end = without(("psutil", "numpy", "faststream", "llama_cpp"), *arguments, "--nats", NOBODY)

    assert end.returncode == Exit.NOBODY_THERE
    assert "smallmesh up" in end.stderr
    assert "Traceback" not in end.stderr


def test_a_command_that_needs_an_extra_says_which(tmp_path, monkeypatch):
    monkeypatch.setenv("SMALLMESH_STATE_DIR", str(tmp_path))

    end = without(("psutil",), "down")

    assert end.returncode == Exit.INSTALLATION
    assert "smallmesh[broker]" in end.stderr


def test_the_doctor_does_without_extras(tmp_path, monkeypatch):
    monkeypatch.setenv("SMALLMESH_STATE_DIR", str(tmp_path))

    end = without(("psutil", "numpy", "faststream", "llama_cpp"), "doctor", "--nats", NOBODY)

    assert end.returncode == Exit.ERROR
    assert "MB are free" in end.stdout
    assert "Traceback" not in end.stderr


# ---------------------------------------------------------------- weight

LISTED = "import smallmesh.cli, sys; {then}; print(*sorted({{m.partition('.')[0] for m in sys.modules}} & {{{heavy}}}))"


@pytest.mark.parametrize(
    ("then", "heavy"),
    [
        ("pass", "'pydantic', 'nats', 'rich', 'numpy', 'psutil', 'opentelemetry', 'uvicorn'"),
        ("from smallmesh.cli.commands import serve", "'nats', 'rich', 'numpy', 'psutil', 'anthropic', 'llama_cpp', 'faststream'"),
    ],
)
def test_the_command_line_loads_only_what_a_command_needs(then, heavy):
    code = LISTED.format(then=then, heavy=heavy)

    loaded = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []
