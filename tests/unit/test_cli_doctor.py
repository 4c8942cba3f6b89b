"""The doctor: every check finds what is amiss and what is not, facts are gathered from whoever answers, findings say what to do."""

import hashlib
import io
import json
import pkgutil
from dataclasses import replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from smallmesh.bus import ServiceInfo
from smallmesh.bus.keeping import differences
from smallmesh.cli.app import app
from smallmesh.cli.exits import Exit
from smallmesh.cli.views.findings import print_findings
from smallmesh.doctor import CHECKS, Broker, ConsumerFacts, Facts, Host, Level, Permissions, StreamFacts, checks, examine
from smallmesh.doctor.checks.broker import version_of
from smallmesh.doctor.checks.jetstream import ENOUGH, NEEDED
from smallmesh.doctor.checks.models import Models
from smallmesh.doctor.checks.permissions import covers, meet
from smallmesh.doctor.facts import Extra
from smallmesh.doctor.gather import Connection, Wanted, ask_broker
from smallmesh.doctor.here import extras, look_around
from smallmesh.doctor.inventory import FileState, ModelFacts
from smallmesh.hosting.ladder.folder import ModelsFolder
from smallmesh.settings import Settings, settings
from smallmesh_contracts import DataClass, Lane, subjects

GIB = 1024**3
SHA = "a" * 64
METADATA = {"model_id": "m", "sha256": SHA, "prompt_version": "p", "pid": "7"}


def replica(name="ner", version="1.0", **metadata):
    return ServiceInfo(name, f"{name}-1", version, "", {**METADATA, **metadata} if name == "ner" else metadata, ())


ORCHESTRATORS = (replica("orchestrator", classes="public,internal"), replica("orchestrator", classes="restricted"))
STREAM = StreamFacts("SLM_WORK", {"max_bytes": 100, "sealed": False}, {"max_bytes": 100}, {"bytes": 10})
CONSUMER = ConsumerFacts("SLM_WORK", "ner-interactive", {"ack_wait": 10}, {"ack_wait": 10}, pending=3, in_hand=2, waiting=1)
HOST = Host(
    version="1.0",
    python="3.11",
    agents={"ner": "entities"},
    services={"escalation": "analysis"},
    models=(ModelFacts("ner", FileState.OK, size=20_000_000),),
    memory_free=8 * GIB,
    state_dir="state",
    disk_free=50 * GIB,
    extras=(Extra("agent", (), own_present=True),),
)
BROKER = Broker(
    version="2.15.1",
    round_trip_ms=0.5,
    max_payload=ENOUGH,
    jetstream=True,
    permissions=Permissions(),
    streams=(STREAM,),
    consumers=(CONSUMER,),
    dead_letters={},
    replicas=(*ORCHESTRATORS, replica(), replica("escalation")),
)
WELL = Facts("nats://broker", HOST, BROKER)


def broker(**changed):
    return replace(WELL, broker=replace(BROKER, **changed))


def host(**changed):
    return replace(WELL, host=replace(HOST, **changed))


def stream(**changed):
    return broker(streams=(STREAM, replace(STREAM, **changed)))


def consumer(**changed):
    return broker(consumers=(CONSUMER, replace(CONSUMER, **changed)))


def others(*replicas):
    return broker(replicas=(*ORCHESTRATORS, *replicas))


W, P = Level.WARNING, Level.PROBLEM
AMISS = {
    "broker": [
        (replace(WELL, broker=None, unreachable="nobody listens"), P, "nobody listens", "smallmesh up"),
        (broker(version="2.10.9"), P, "too old", "2.11"),
        (broker(version="2.12.4"), W, "old", "2.12.5"),
        (broker(round_trip_ms=80.0), W, "80 ms", "near"),
    ],
    "jetstream": [
        (broker(jetstream=False), P, "off", "-js"),
        (broker(jetstream=None), W, "does not tell", "$JS.API.INFO"),
        (broker(max_payload=NEEDED - 1), P, "do not fit", str(ENOUGH)),
        (broker(max_payload=ENOUGH - 1), W, "may not fit", str(ENOUGH)),
    ],
    "streams": [
        (broker(streams=None), W, "cannot be looked at", "STREAM.INFO"),
        (stream(config=None), P, "no stream SLM_WORK", "smallmesh provision"),
        (stream(config={"max_bytes": 99}), P, "max_bytes", "smallmesh provision"),
        (stream(config={"max_bytes": 99}), P, "max_bytes", "or set SMALLMESH_STORE_SIZE here"),
        (stream(cluster={"replicas": [{"name": "b2", "offline": True}]}), W, "b2, which keeps 1 stream, is away", "start it again"),
        (
            stream(cluster={"replicas": [{"name": "b2", "current": True, "active": 6 * 10**9}]}),
            W,
            "b2, which keeps 1 stream, is away",
            "start",
        ),
        (stream(cluster={"replicas": [{"name": "b2", "active": 1, "lag": 5000}]}), W, "b2, which keeps 1 stream, is behind", "wait"),
        (stream(config={"max_bytes": 100, "sealed": True}), P, "sealed", "smallmesh provision"),
        (stream(state={"bytes": 81}), W, "81% full", "replicas"),
    ],
    "consumers": [
        (broker(consumers=None), W, "cannot be looked at", "CONSUMER.INFO"),
        (consumer(config=None), P, "no consumer ner-interactive", "smallmesh provision"),
        (consumer(config={"ack_wait": 11}), W, "ack_wait", "smallmesh provision"),
    ],
    "processes": [
        (broker(replicas=()), P, "nobody answers", "smallmesh up"),
        (broker(replicas=BROKER.replicas[1:]), P, "serves public, internal tasks", "--classes public,internal"),
        (others(replica("escalation")), P, "ner does not answer", "smallmesh serve ner"),
        (others(replica()), W, "escalation does not answer", "smallmesh serve escalation"),
        (others(replica(), replica("escalation"), replica("words")), W, "words answers", "SMALLMESH_AGENT_PATH"),
    ],
    "replicas": [
        (others(replica(), replica(sha256="b" * 64, pid="8")), W, "differ in sha256: aaaaaaaaaaaa, bbbbbbbbbbbb", "pid 8"),
        (others(replica(), replica(prompt_version="q")), W, "differ in prompt_version: p, q", "pid 7"),
        (others(replica(), replica(model_id="n")), W, "differ in model_id: m, n", "pid 7"),
        (others(replica(), replica(next_model_id="large")), W, "differ in next_model_id: none, large", "pid 7 has none, pid 7 has large"),
    ],
    "versions": [(others(replica(version="0.9")), W, "ner runs smallmesh 0.9, here is 1.0", "one version")],
    "backlog": [
        (broker(consumers=None), W, "cannot be looked at", "CONSUMER.INFO"),
        (consumer(in_hand=0, waiting=0), P, "3 messages waiting for ner-interactive, and nobody", "smallmesh serve ner"),
        (consumer(pending=101), W, "101 messages waiting", "--scale ner=2"),
        (consumer(name="ner-bulk", pending=100_001), W, "100001 messages waiting", "--scale ner=2"),
    ],
    "dead letters": [
        (broker(dead_letters=None), W, "cannot be looked at", "SLM_DEAD"),
        (broker(dead_letters={"public ner": 2, "restricted ner": 1}), W, "3 dead letters kept (2 public ner, 1 restricted ner)", "why"),
    ],
    "permissions": [
        (broker(permissions=None), W, "does not tell", "$SYS.REQ.USER.INFO"),
        (broker(permissions=None, denied=("no $SYS for you",)), W, "no $SYS for you", "ask"),
        (broker(permissions=Permissions(never_publish=("$JS.API.STREAM.>",)), user="ann"), W, "ann may not: provision", "ask"),
    ],
    "models": [
        (host(catalogue_error="ner/agent.py cannot be loaded"), P, "ner/agent.py", "SMALLMESH_AGENT_PATH"),
        (host(models=(ModelFacts("ner", FileState.ALTERED, message="restore it"),)), P, "ner: its model is altered", "restore it"),
        (host(models=(ModelFacts("ner", FileState.MISSING, message="train it"),)), P, "missing", "train it"),
    ],
    "memory": [
        (host(memory_free=None), W, "cannot be told", "psutil"),
        (host(memory_free=100_000_000), W, "100 MB are free; the mesh runs already", "free some"),
        (replace(host(memory_free=300_000_000), broker=None), P, "a whole mesh needs about 325", "--scale"),
        (replace(host(memory_free=400_000_000), broker=None), W, "needs about 325", "free some"),
    ],
    "disk": [
        (host(disk_free=100_000_000), P, "0.1 GB", "SMALLMESH_STATE_DIR"),
        (host(disk_free=1_000_000_000), W, "1.0 GB", "SMALLMESH_STATE_DIR"),
    ],
    "extras": [
        (host(extras=(Extra("agent", ("numpy",), own_present=True),)), P, "`agent` is installed in part: numpy", "smallmesh[agent]"),
    ],
}
"""Of each check: facts in which something is amiss, how bad that is, what is said and what is to be done."""
CASES = [(name, *case) for name, cases in AMISS.items() for case in cases]


def check(name):
    return next(one for one in CHECKS if one.name == name)


# ---------------------------------------------------------------- checks


def test_every_check_is_in_the_catalogue_and_has_cases_here():
    modules = {module.name for module in pkgutil.iter_modules(checks.__path__)}

    assert {type(one).__module__.rpartition(".")[2] for one in CHECKS} == modules
    assert [one.name for one in CHECKS] == list(dict.fromkeys(one.name for one in CHECKS))
    assert AMISS.keys() == {one.name for one in CHECKS}


@pytest.mark.parametrize("one", CHECKS, ids=lambda one: one.name)
def test_where_all_is_well_a_check_finds_just_that(one):
    (finding,) = one.look(WELL)

    assert (finding.level, finding.check, finding.todo) == (Level.OK, one.name, "")
    assert finding.message


@pytest.mark.parametrize(("name", "facts", "level", "message", "todo"), CASES, ids=[f"{case[0]}: {case[3]}" for case in CASES])
def test_what_is_amiss_is_found_with_what_to_do(name, facts, level, message, todo):
    findings = [finding for finding in check(name).look(facts) if finding.level is not Level.OK]

    assert [finding.level for finding in findings] == [level]
    assert message in findings[0].message
    assert todo in findings[0].todo


@pytest.mark.parametrize("one", CHECKS, ids=lambda one: one.name)
def test_a_check_that_needs_no_broker_does_without_and_the_others_are_left_out(one):
    alone = replace(WELL, broker=None, unreachable="nobody listens")

    assert bool([finding for finding in examine(alone) if finding.check == one.name]) == (not one.needs_broker)


def test_what_nobody_wants_otherwise_is_no_difference_nor_is_what_a_broker_leaves_out():
    expected = {"sealed": False, "max_age": 0, "subjects": ["a"], "republish": {"src": "a", "dest": "b"}}

    assert differences(expected, {"num_replicas": 3, "subjects": ["a"], "republish": {"src": "a", "dest": "b"}, "new": 1}) == []
    assert differences(expected, {"subjects": ["b"]}) == ["republish", "subjects"]


def test_an_extra_that_is_not_there_at_all_is_a_choice():
    (finding,) = check("extras").look(host(extras=(Extra("otlp", ("exporter",), own_present=False),)))

    assert finding.level is Level.OK
    assert "not installed: otlp" in finding.message


@pytest.mark.parametrize(("text", "numbers"), [("2.15.1", (2, 15, 1)), ("2.12.0-RC.3", (2, 12, 0)), ("2.x", (2,)), ("", ()), ("dev", ())])
def test_a_version_is_read_as_far_as_it_is_one(text, numbers):
    assert version_of(text) == numbers


# ---------------------------------------------------------------- permissions


@pytest.mark.parametrize(
    ("pattern", "wanted", "both"),
    [
        ("a.b", "a.b", (True, True)),
        ("a.b", "a.c", (False, False)),
        ("a.*", "a.b", (True, True)),
        ("a.b", "a.*", (False, True)),
        ("a.>", "a.b.c", (True, True)),
        ("a.>", "a.>", (True, True)),
        ("a.>", "a", (False, False)),
        ("a.*", "a.>", (False, True)),
        ("a.b.c", "a.>", (False, True)),
        (">", "a.*.b", (True, True)),
        ("a.*.c", "a.b.*", (False, True)),
        ("a.b", "a.b.c", (False, False)),
    ],
)
def test_one_pattern_covers_another_or_meets_it(pattern, wanted, both):
    assert (covers(pattern, wanted), meet(pattern, wanted)) == both


def test_a_tenant_that_may_submit_public_tasks_is_told_what_else_it_may_not():
    submits = tuple(subjects.any_submit(lane, DataClass.PUBLIC).replace(".*.public", ".shop.public") for lane in Lane)
    fenced = Permissions(may_publish=(*submits, "$SRV.INFO"), may_subscribe=("_INBOX.>",))

    (finding,) = check("permissions").look(broker(permissions=fenced, user="shop"))

    assert finding.message.startswith("shop may not: submit public tasks, submit internal tasks")
    assert "get replies" not in finding.message
    assert "see who answers" not in finding.message


# ---------------------------------------------------------------- who is asked


async def test_whoever_is_late_for_the_first_question_is_asked_again(bus):
    rounds = [[], [replica()], [replica(), replica("escalation")], [replica()]]

    async def services(_wait_s):
        return rounds.pop(0) if rounds else []

    bus.services = services

    assert (await ask_broker(Connection(bus), Wanted())).replicas == ()
    assert [one.name for one in (await ask_broker(Connection(bus), Wanted())).replicas] == ["escalation", "ner"]


async def test_a_broker_that_answers_nothing_is_one_of_which_nothing_is_known(bus):
    known = await ask_broker(Connection(bus, denied=["no", "no"]), Wanted())

    assert (known.version, known.jetstream, known.permissions, known.streams, known.dead_letters) == ("", None, None, None, None)
    assert known.denied == ("no",)


# ---------------------------------------------------------------- this machine


def test_extras_are_read_from_what_the_distribution_requires():
    lines = (
        "pytest; extra == 'dev'",
        "typer<1",
        "rich>=15; extra == 'a'",
        'no-such-thing>=1; extra == "a"',
        "pydantic; extra == 'b'",
        "rich; extra == 'b'",
        "never-there; extra == 'c'",
        "rich; extra == 'c'",
    )

    found = {one.name: one for one in extras(lines)}

    assert found == {
        "a": Extra("a", ("no-such-thing",), own_present=False),
        "b": Extra("b", (), own_present=True),
        "c": Extra("c", ("never-there",), own_present=False),
    }


def test_this_machine_is_looked_at(tmp_path):
    chosen = Settings(state_dir=tmp_path / "not" / "there" / "yet")

    here = look_around(chosen, {"ner": 7})

    assert here.agents["ner"] == "entities"
    assert here.services["escalation"] == "analysis"
    assert here.catalogue_error == ""
    assert {model.state for model in here.models} == {FileState.OK}
    assert here.disk_free > 0
    assert here.memory_free is not None
    assert here.running_here == {"ner": 7}


def test_the_models_that_were_chosen_to_serve_are_looked_at_and_no_others(tmp_path):
    models = ModelsFolder(tmp_path / "models")
    models.choose("ner", "small")

    here = look_around(Settings(state_dir=tmp_path, models_dir=models.path), {})

    found = {model.agent: (model.tier, model.state) for model in here.models}
    assert found["ner"] == ("small", FileState.NOT_PULLED)
    assert found["sentiment"] == ("embedded", FileState.OK)
    (finding,) = (one for one in Models().look(replace(WELL, host=here)) if one.level is P)
    assert "smallmesh models pull ner --tier small" in finding.todo


def test_a_damaged_list_of_choices_does_not_end_the_doctor(tmp_path):
    models = ModelsFolder(tmp_path / "models")
    models.choose("ner", "small")
    for file in models.path.iterdir():
        file.write_text("[[", encoding="utf-8")

    here = look_around(Settings(state_dir=tmp_path, models_dir=models.path), {})

    assert {model.state for model in here.models} == {FileState.BAD_CHOICE}


def test_a_broken_agent_folder_does_not_end_the_doctor(tmp_path):
    (tmp_path / "ner").mkdir()
    (tmp_path / "ner" / "agent.py").write_text("raise RuntimeError('broken')", encoding="utf-8")

    here = look_around(Settings(agent_path=(tmp_path,), state_dir=tmp_path), {})

    assert "broken" in here.catalogue_error
    assert [model.agent for model in here.models] == ["ner"]


# ---------------------------------------------------------------- the command


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("SMALLMESH_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("SMALLMESH_NATS_URL", raising=False)
    settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments), prog_name="smallmesh")
    settings.cache_clear()


def test_without_a_broker_the_doctor_looks_at_the_rest_and_ends_with_a_problem(run):
    result = run("doctor", "--nats", "nats://ann:secret@127.0.0.1:1", "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == Exit.ERROR
    assert told["url"] == "nats://127.0.0.1:1"
    assert {finding["check"] for finding in told["findings"]} == {one.name for one in CHECKS if not one.needs_broker}
    assert told["findings"][0]["level"] == "problem"
    assert "smallmesh up" in told["findings"][0]["todo"]
    assert "secret" not in result.output


def test_an_address_that_is_none_is_said_as_by_every_command(run):
    assert run("doctor", "--nats", "nats://here:port").exit_code == Exit.ERROR


@pytest.mark.parametrize("width", [60, 80, 160])
def test_findings_fit_their_width_and_are_counted(width):
    findings = list(examine(stream(config=None)))
    console = Console(width=width, record=True, file=io.StringIO(), highlight=False)

    print_findings(findings, console)

    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert lines[-1] == f"1 problem, {len(CHECKS) - 1} checks ok"
    assert any(line.startswith("✗  streams") for line in lines)


# ---------------------------------------------------------------- models


def write_model(folder, name, body=b"weights", sha256=None, extra=""):
    (folder / name).mkdir()
    (folder / name / "agent.py").touch()
    (folder / name / "model.gguf").write_bytes(body)
    sha256 = sha256 or hashlib.sha256(body).hexdigest()
    card = f'id = "{name}-q8"\nfile = "model.gguf"\nsha256 = "{sha256}"\narchitecture = "bert"\nquantisation = "Q8_0"\n'
    (folder / name / "model.toml").write_text(f'[model]\n{card}engine = "encoder"\npooling = "rank"\n{extra}', encoding="utf-8")


@pytest.fixture
def agents(tmp_path, monkeypatch):
    folder = tmp_path / "agents"
    folder.mkdir()
    write_model(folder, "fine", extra='languages = ["en", "de"]\nlicence = "MIT"\n')
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", str(folder))
    return folder


def test_models_are_listed_with_their_cards(agents, run):
    write_model(agents, "rules")
    (agents / "rules" / "model.toml").unlink()

    listed = run("models", "ls")
    (fine, rules) = json.loads(run("models", "ls", "--json").stdout)

    assert listed.exit_code == Exit.OK
    assert "fine-q8" in listed.stdout
    assert "answers by rules" in listed.stdout
    assert (fine["agent"], fine["state"], fine["languages"], fine["licence"], fine["size"]) == ("fine", "ok", ["en", "de"], "MIT", 7)
    assert (rules["agent"], rules["state"]) == ("rules", "no model")


@pytest.mark.usefixtures("agents")
def test_verify_ends_well_where_every_file_is_the_one_of_its_card(run):
    result = run("models", "verify")

    assert result.exit_code == Exit.OK
    assert "fine: ok" in result.stdout


@pytest.mark.parametrize("broken", ["altered", "missing", "bad card"])
def test_verify_says_what_is_wrong_and_ends_with_its_own_code(agents, run, broken):
    write_model(agents, "other", sha256=SHA)
    if broken == "missing":
        (agents / "other" / "model.gguf").unlink()
    if broken == "bad card":
        (agents / "other" / "model.toml").write_text("[model]\n", encoding="utf-8")

    result = run("models", "verify")

    assert result.exit_code == Exit.INSTALLATION
    assert f"other: {broken}" in result.stdout
    assert run("models", "verify", "fine").exit_code == Exit.OK
    assert run("models", "ls").exit_code == Exit.OK
    assert [one["state"] for one in json.loads(run("models", "verify", "--json").stdout)] == ["ok", broken]


@pytest.mark.usefixtures("agents")
def test_an_agent_that_is_not_there_is_said_with_those_that_are(run):
    result = run("models", "verify", "nobody")

    assert result.exit_code == Exit.INSTALLATION
    assert "there are: fine" in result.output


def test_an_agent_path_without_agents_is_said(tmp_path, monkeypatch, run):
    monkeypatch.setenv("SMALLMESH_AGENT_PATH", str(tmp_path))

    assert run("models", "ls").exit_code == Exit.INSTALLATION
