"""The command line without a broker: help, usage, exit codes, lines of input, and what is shown."""

import json
import pkgutil
import shlex
import subprocess
import sys

import psutil
import pytest
from typer.testing import CliRunner

from smallmesh.broker import BrokerUnavailable
from smallmesh.catalogue import CatalogueError
from smallmesh.cli import commands
from smallmesh.cli.app import COMMANDS, app, load_command
from smallmesh.cli.commands.up import parse_scale
from smallmesh.cli.errors import exit_of, message_in
from smallmesh.cli.exits import MEANING, Exit
from smallmesh.cli.lines import BadLine, LineReader, Submission, stream_lines
from smallmesh.cli.show import answer_text, value_text
from smallmesh.cli.state import MeshState, held, own_state, read_state, write_state
from smallmesh.cli.where import find_url, without_password
from smallmesh.hosting.card import ModelError
from smallmesh.settings import settings
from smallmesh.supervise import MeshError
from smallmesh_contracts import Answer, ContractError, DataClass, ErrorCode, ErrorInfo, Lane, decode_task

NOBODY = "nats://127.0.0.1:1"
CONTROL = "\x1b[31m"


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


def test_every_module_of_commands_is_a_command_and_the_other_way_round():
    assert {module.name for module in pkgutil.iter_modules(commands.__path__)} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_says(name):
    assert load_command(name).help.splitlines()[0] == COMMANDS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_examples_that_parse(run, name):
    command = load_command(name)
    result = run(name, "--help")

    assert result.exit_code == Exit.OK
    assert "Examples:" in result.stdout
    for example, what in sys.modules[f"smallmesh.cli.commands.{name}"].EXAMPLES:
        assert what
        called, *arguments = arguments_of(example)
        assert called == name
        command.make_context(name, arguments).close()


def arguments_of(example):
    """Cut what is the shell's from a line of an example."""
    words = shlex.split(example)
    words = words[words.index("smallmesh") + 1 :]
    ends = [i for i, word in enumerate(words) if word in {"<", ">", "|"}]
    return words[: ends[0]] if ends else words


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


# ---------------------------------------------------------------- lines of input


def reader():
    return LineReader("shop", DataClass.RESTRICTED, Lane.BULK)


def test_a_line_with_nothing_but_a_text_gets_an_id_and_the_defaults():
    read = reader().read(1, b'{"text": "hello"}')

    assert isinstance(read, Submission)
    assert (read.address.tenant, read.address.data_class, read.lane) == ("shop", DataClass.RESTRICTED, Lane.BULK)
    assert read.address.is_valid()
    assert json.loads(read.body) == {"text": "hello"}


def test_a_line_says_its_own_address_and_task():
    line = {"id": "t-1", "text": "hello", "wanted": ["sentiment"], "instruction": "why?", "metadata": {"n": 1}, "timeout_s": 5}

    read = reader().read(1, json.dumps({**line, "data_class": "public", "lane": "interactive"}).encode())

    assert isinstance(read, Submission)
    assert (read.address.task_id, read.address.data_class, read.lane) == ("t-1", DataClass.PUBLIC, Lane.INTERACTIVE)
    task = decode_task(read.body, read.address, read.lane)
    assert task.model_dump(exclude={"version"}) == {
        "text": "hello",
        "wanted": ("sentiment",),
        "instruction": "why?",
        "metadata": {"n": 1},
        "timeout_s": 5.0,
    }


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"not json", ErrorCode.INVALID_REQUEST),
        (b'"a text"', ErrorCode.INVALID_REQUEST),
        (b'{"text": ""}', ErrorCode.INVALID_REQUEST),
        (b'{"text": 1}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "\xff"}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "\\ud800"}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "id": "a b"}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "id": ""}', None),
        (b'{"text": "x", "data_class": "secret"}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "wanted": []}', ErrorCode.INVALID_REQUEST),
        (b'{"text": "x", "version": "2.0"}', ErrorCode.UNSUPPORTED_VERSION),
        (b'{"text": "' + b"x" * 40_000 + b'", "lane": "interactive"}', ErrorCode.TOO_LONG),
        (b'{"text": "' + b"x" * 40_000 + b'"}', None),
        (b'\xef\xbb\xbf{"text": "x"}', None),
    ],
)
def test_a_bad_line_is_an_error_with_its_number(raw, code):
    read = reader().read(7, raw)

    assert (read.error.code if isinstance(read, BadLine) else None) == code
    assert read is not None
    assert read.line == 7


def test_an_empty_line_is_nothing():
    assert reader().read(1, b" \n") is None


def test_an_id_may_come_once_a_class():
    lines = reader()
    lines.read(1, b'{"id": "a", "text": "x"}')

    again = lines.read(2, b'{"id": "a", "text": "y"}')
    elsewhere = lines.read(3, b'{"id": "a", "text": "y", "data_class": "public"}')

    assert isinstance(again, BadLine)
    assert "line 1" in again.error.message
    assert isinstance(elsewhere, Submission)


def test_fields_that_no_task_has_are_told():
    lines = reader()
    lines.read(1, b'{"text": "x", "wnated": ["sentiment"]}')

    assert lines.ignored == {"wnated"}


async def test_lines_come_in_order(tmp_path):
    file = tmp_path / "lines"
    file.write_bytes(b"".join(b"%d\n" % n for n in range(500)))

    with file.open("rb") as source:
        assert [int(line) async for line in stream_lines(source)] == list(range(500))


# ---------------------------------------------------------------- what is shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"label": "positive", "probabilities": {"positive": 0.9}, "confidence": 0.9}, "positive 0.90"),
        ({"verdict": "complex", "probabilities": {}, "reasons": [], "confidence": 0.6}, "complex 0.60"),
        ({"summary": "Short.", "method": "extractive", "sentences": 1}, "Short."),
        ({"text": "So.", "source": "local_summary"}, "(the local summary stands in) So."),
        ({"entities": []}, "none"),
        ({"entities": [{"start": 0, "end": 3, "text": "Ann", "type": "PERSON", "confidence": 0.9}] * 2}, "Ann PER"),
        ({"topic": "rain"}, '{"topic": "rain"}'),
        ({"summary": f"{CONTROL}red\nalert", "method": "extractive", "sentences": 1}, " [31mred alert"),
    ],
)
def test_a_value_is_shown_by_its_shape_and_cannot_drive_the_terminal(value, shown):
    assert value_text(value).plain == shown


def test_an_error_is_shown_with_its_code():
    answer = Answer(error=ErrorInfo(code=ErrorCode.UNAVAILABLE, message=f"no key{CONTROL}"))

    assert answer_text(answer).plain == "unavailable: no key [31m"


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
