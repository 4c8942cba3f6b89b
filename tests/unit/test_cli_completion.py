"""Completion by a shell: the protocol it speaks, names from folders, and nothing run or loaded for it."""

import subprocess
import sys
from textwrap import dedent

import pytest
from typer.testing import CliRunner

from smallmesh.cli.app import COMMANDS, app
from smallmesh.cli.completing import answers, complete_agents, complete_answers, complete_processes, complete_scale, complete_tiers
from smallmesh.settings import settings
from tests.support.rules import write_agent

INSTRUCTION = "_SMALLMESH_COMPLETE"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An agent path with two agents and a service; reading them must not run them."""
    agents = tmp_path / "agents"
    for name, answer in (("words", "words"), ("weather", "rain")):
        write_agent(agents, name, answer)
        with (agents / name / "agent.py").open("a", encoding="utf-8") as file:
            file.write(f"\n(__import__('pathlib').Path({str(tmp_path)!r}) / 'ran').touch()\n")
    (agents / "escalation").mkdir()
    (agents / "escalation" / "service.py").write_text('NAME = "advice"\nclass A:\n    answer: str = NAME\n', encoding="utf-8")
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", str(agents))
    settings.cache_clear()
    yield agents
    settings.cache_clear()
    assert not (tmp_path / "ran").exists()


def complete(line, shell="bash"):
    """Ask as a shell does; return what it would offer."""
    words = line.split()
    at = len(words) if line.endswith(" ") else len(words) - 1
    carried = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(at)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    result = CliRunner().invoke(app, env={INSTRUCTION: f"complete_{shell}", **carried[shell]}, prog_name="smallmesh")
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_the_commands_are_offered():
    assert set(complete("smallmesh ")) == set(COMMANDS)
    assert complete("smallmesh as") == ["ask"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("smallmesh ask ", ["weather", "words"]),
        ("smallmesh ask we", ["weather"]),
        ("smallmesh ask words x --ti", ["--timeout"]),
        ("smallmesh run x --want ", ["advice", "rain", "words"]),
        ("smallmesh run x --want rain,", ["rain,advice", "rain,words"]),
        ("smallmesh run x --class r", ["restricted"]),
        ("smallmesh submit x --want w", ["words"]),
        ("smallmesh submit x --as ", ["jsonl", "csv", "tsv", "text"]),
        ("smallmesh serve ", ["escalation", "weather", "words", "orchestrator"]),
        ("smallmesh up --scale wo", ["words="]),
        ("smallmesh models ", ["ls", "pull", "use", "calibrate", "verify"]),
        ("smallmesh models verify wo", ["words"]),
        ("smallmesh watch --only ", ["failed", "completed", "marked"]),
    ],
)
def test_what_a_command_takes_is_offered(line, offered):
    assert complete(line) == offered


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(shell):
    assert "weather" in "\n".join(complete("smallmesh ask ", shell))
    assert "ask" in "\n".join(complete("smallmesh ", shell))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_shown(shell):
    result = CliRunner().invoke(app, ["--show-completion", shell], prog_name="smallmesh")

    assert result.exit_code == 0
    assert INSTRUCTION in result.stdout


def test_completion_is_installed_for_a_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    result = CliRunner().invoke(app, ["--install-completion", "bash"], prog_name="smallmesh")

    assert result.exit_code == 0
    assert INSTRUCTION in (tmp_path / ".bash_completions" / "smallmesh.sh").read_text(encoding="utf-8")
    assert "smallmesh.sh" in (tmp_path / ".bashrc").read_text(encoding="utf-8")


@pytest.mark.usefixtures("folder")
def test_names_are_those_of_folders():
    assert complete_agents("") == ["weather", "words"]
    assert complete_processes("o") == ["orchestrator"]
    assert complete_scale("we") == ["weather="]
    assert complete_answers("advice,r") == ["advice,rain"]


def test_declarations_that_cannot_be_read_offer_nothing(folder):
    (folder / "words" / "agent.py").write_text("class A:\n    answer = (", encoding="utf-8")
    (folder / "weather" / "agent.py").write_bytes(b"#" * 10_000_000)
    (folder / "escalation" / "service.py").write_text("class A:\n    answer = UNKNOWN\n", encoding="utf-8")
    (folder / "words" / "model.toml").write_text("[model", encoding="utf-8")

    assert answers() == []
    assert complete_tiers("") == ["embedded"]
    assert complete_agents("") == ["weather", "words"]


def test_a_wrong_setting_offers_nothing(monkeypatch):
    monkeypatch.setenv("SMALLMESH_HEALTH_PORT", "many")
    settings.cache_clear()

    assert complete_agents("") == []
    settings.cache_clear()


HEAVY = "'rich', 'nats', 'numpy', 'psutil', 'opentelemetry', 'uvicorn', 'anthropic', 'llama_cpp', 'faststream', 'uvloop'"


def test_a_tab_loads_nothing_that_takes_long():
    code = f"""
        import importlib, sys
        for command in ("ask", "run", "submit", "watch", "doctor", "models", "agents", "serve"):
            importlib.import_module(f"smallmesh.cli.commands.{{command}}")
        from smallmesh.cli.completing import complete_agents, complete_answers, complete_tiers
        assert complete_tiers("") == ["embedded", "small", "medium"]
        assert complete_agents("sent") == ["sentiment"]
        assert complete_answers("sent") == ["sentiment"]
        print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {{{HEAVY}}}))
    """

    loaded = subprocess.run([sys.executable, "-P", "-c", dedent(code)], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []
