"""Golden cases: each agent's first ones, through its real model in a process of its own; and ``smallmesh eval`` on any folder."""

import json
import subprocess
import sys
from functools import cache

import pytest

from smallmesh.evaluation.answers import Outcome
from smallmesh.evaluation.cases import GOLDEN_FILE, DataSet, read_cases
from smallmesh.evaluation.figures import figures
from smallmesh.evaluation.judging import Judged, judge
from smallmesh.evaluation.measure import THRESHOLD_MS, answer_all
from smallmesh.evaluation.process import agent_process
from smallmesh.hosting.card import ModelError
from smallmesh.settings import settings
from tests.support.meshes import SERVICES, shipped
from tests.support.processes import environment
from tests.support.rules import write_agent

AGENTS = sorted(shipped())
FIRST = 20
RULES = ("DATE", "EMAIL", "MONEY", "PHONE", "URL")
FLOORS = {
    "complexity_router": {"score": 0.65, "verdict.accuracy": 0.65},
    "ner": {
        "score": 0.7,
        "entities.f1": 0.75,
        "entities.normal_form": 0.8,
        "entities.f1.PERSON": 0.6,
        "entities.f1.ORGANIZATION": 0.4,
        "entities.f1.LOCATION": 0.5,
        **{f"entities.f1.{kind}": 0.8 for kind in RULES},
    },
    "sentiment": {"score": 0.65, "label.accuracy": 0.65},
    "summarizer": {"score": 0.6, "summary.contains": 0.6, "summary.lacks": 0.8, "summary.rouge_l": 0.42},
}
"""What a broken model or rule does not reach, by agent, well under what was measured (docs/evaluation.md). A rule that finds
nothing has an F1 of 0. Sentences chosen at random score 0.47, hold 0.51 of the facts and leave out 0.44 of what does not belong."""


@cache
def golden(name: str) -> DataSet:
    found = shipped()[name]
    return read_cases(found.folder / GOLDEN_FILE, found.agent)


@cache
def measured(name: str) -> tuple[list[Outcome], list[Judged]]:
    """Have an agent's first golden cases answered, once for all tests."""
    cases = golden(name).cases[:FIRST]
    with agent_process(name) as answerer:
        outcomes = answer_all(answerer, cases, lambda: None)
        answerer.finish()
    agent = shipped()[name].agent
    return outcomes, [judge(agent, case, outcome) for case, outcome in zip(cases, outcomes, strict=True)]


@pytest.fixture(autouse=True)
def _agent_path(monkeypatch):
    """Start processes on the shipped folder, whatever the environment says."""
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", str(SERVICES))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize("name", AGENTS)
def test_every_golden_case_gets_a_valid_answer(name):
    _, judged = measured(name)

    assert [one.error for one in judged] == [None] * FIRST


@pytest.mark.parametrize("name", AGENTS)
def test_no_golden_case_takes_longer_than_anybody_should_wait(name):
    outcomes, _ = measured(name)

    assert max(outcome.ms for outcome in outcomes) <= THRESHOLD_MS


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_is_as_good_as_its_floors_on_its_first_golden_cases(name):
    _, judged = measured(name)
    found = {figure.name: figure.value for figure in figures([one.sums for one in judged])}

    missed = {figure: found[figure] for figure, floor in FLOORS[name].items() if found[figure] < floor}

    assert not missed


# ---------------------------------------------------------------- any folder, any file


def evaluate(tmp_path, *arguments):
    """Run ``smallmesh eval`` as a user does."""
    env = environment(tmp_path / "agents", state_dir=str(tmp_path / "state"))
    command = [sys.executable, "-P", "-m", "smallmesh.cli", "eval", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_an_added_agent_is_measured_on_a_file_of_the_users(tmp_path):
    write_agent(tmp_path / "agents", "shouter", "shout", "print('loud'); return Answered(said=request.text.upper(), confidence=0.9)")
    lines = [{"id": "a", "text": "quagga", "said": "QUAGGA"}, {"id": "b", "text": "quagga", "said": "zebra"}]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    ended = evaluate(tmp_path, "run", "shouter", "--data", str(tmp_path / "mine.jsonl"), "--json")

    assert ended.returncode == 0, ended.stderr
    (run,) = json.loads(ended.stdout)
    assert {case["id"]: case["passed"] for case in run["cases"]} == {"a": True, "b": False}
    assert 0 < run["memory"]["before"] <= run["memory"]["ready"] <= run["memory"]["peak"]
    (kept,) = (tmp_path / "state" / "evaluations" / "shouter").glob("*.json")
    assert "quagga" not in kept.read_text(encoding="utf-8").lower()


@pytest.mark.parametrize(
    ("respond", "says"),
    [("import os; os._exit(3)", "exit status 3"), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exit status -9")],
)
def test_an_agent_that_dies_over_a_case_is_said_to_have_died(tmp_path, monkeypatch, respond, says):
    write_agent(tmp_path / "agents", "mortal", "death", respond)
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", str(tmp_path / "agents"))

    with agent_process("mortal") as answerer, pytest.raises(ModelError, match=says):
        answerer.answer(b'{"text": "x"}')


def test_a_process_says_in_words_why_it_cannot_answer(tmp_path, monkeypatch):
    write_agent(tmp_path / "agents", "altered", "alteration")
    card = (SERVICES / "sentiment" / "model.toml").read_text(encoding="utf-8")
    (tmp_path / "agents" / "altered" / "model.toml").write_text(card, encoding="utf-8")
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", str(tmp_path / "agents"))

    with pytest.raises(ModelError, match="is missing"), agent_process("altered"):
        pytest.fail("it cannot be ready")
