"""Where an agent has a second tier loaded, the router's verdict goes before its step and travels with it."""

import asyncio
import json

import pytest

from smallmesh.bus import Endpoint, Reply, ServiceSpec
from smallmesh.bus.memory import MemoryBus
from smallmesh_contracts import Answer, ContractError, DataClass, ErrorCode, Lane, Status, Step, StepResult, Task, Verdict, decode, subjects
from smallmesh_orchestrator.flow import VERDICT_SHARE
from smallmesh_orchestrator.plan import LocalStep, Planner, verdict_in
from smallmesh_orchestrator.runs import Runs
from smallmesh_orchestrator.second_tiers import SecondTiers
from tests.support.patience import until
from tests.support.town import AGENTS, ANSWERS, TEXT, Town, failed

MEDIUM = Answer(value={"verdict": "medium"})
DEFAULT = [LocalStep(agent, answer) for agent, answer in AGENTS.items()]
ROUTER = LocalStep("complexity_router", "complexity")
JUDGED = Task(text=TEXT, wanted=("sentiment", "complexity"))


@pytest.fixture
async def town():
    built = Town()
    built.answers["complexity"] = MEDIUM
    yield built
    await built.close()


# ---------------------------------------------------------------- the plan


@pytest.mark.parametrize(
    ("steps", "second", "judge"),
    [
        (DEFAULT, (), None),  # nobody has a choice
        (DEFAULT, ("sentiment",), ROUTER),
        (DEFAULT, ("ner", "summarizer"), ROUTER),
        (DEFAULT, ("complexity_router",), None),  # there is no verdict on the judging itself
        (DEFAULT, ("translator",), None),  # not wanted
        (DEFAULT[:3], ("sentiment",), None),  # nobody wants a verdict
        ([ROUTER], ("sentiment",), None),
        ([], ("sentiment",), None),
    ],
)
def test_the_router_goes_first_only_where_its_verdict_decides_something(steps, second, judge):
    assert Planner.judge(steps, frozenset(second)) == judge


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        *((Answer(value={"verdict": each.value}), each) for each in Verdict),
        (Answer(value={"verdict": "other"}), None),
        (Answer(value={"verdict": None}), None),
        (Answer(value={"verdict": ["medium"]}), None),
        (Answer(value={}), None),
        (failed(ErrorCode.MODEL_FAILED), None),
        (Answer(), None),
    ],
)
def test_a_verdict_is_one_of_three_or_none(answer, verdict):
    assert verdict_in(answer) is verdict


# ---------------------------------------------------------------- submissions


async def test_without_second_tiers_the_router_runs_beside_the_others_and_no_verdict_travels(town, new_address):
    await town.hire()
    held = town.hold("complexity")
    running = asyncio.create_task((await town.flow()).run(town.job(new_address(), Task(text=TEXT))))

    await until(lambda: len(town.worked) == 4, "all four are at work")
    held.set()

    assert (await running).status is Status.COMPLETED
    assert set(town.verdicts.values()) == {None}


async def test_with_one_the_others_wait_for_the_verdict_and_are_given_it(town, new_address):
    town.second.add("sentiment")
    await town.hire()
    held = town.hold("complexity")
    running = asyncio.create_task((await town.flow()).run(town.job(new_address(), Task(text=TEXT))))

    await until(lambda: town.worked, "the router is at work")
    assert town.bus.steps() == ["complexity_router"]
    held.set()
    result = await running

    assert list(result.answers) == ["sentiment", "entities", "summary", "complexity"]
    assert result.answers == {**{answer: ANSWERS[answer] for answer in AGENTS.values()}, "complexity": MEDIUM}
    assert town.verdicts == {"complexity_router": None, "sentiment": "medium", "ner": "medium", "summarizer": "medium"}


async def test_a_router_that_failed_costs_the_others_nothing(town, new_address):
    town.second.add("sentiment")
    town.answers["complexity"] = failed(ErrorCode.MODEL_FAILED, "complexity_router")
    await town.hire()

    result = await (await town.flow()).run(town.job(new_address(), JUDGED))

    assert (result.status, result.answers["sentiment"]) == (Status.PARTIAL, ANSWERS["sentiment"])
    assert result.answers["complexity"].error.code is ErrorCode.MODEL_FAILED
    assert town.verdicts["sentiment"] is None


async def test_a_router_that_is_not_there_is_waited_for_a_part_of_the_time_only(town, new_address):
    town.second.add("sentiment")
    await town.hire("sentiment")
    job = town.job(new_address(), JUDGED.model_copy(update={"timeout_s": 0.4}))

    result = await (await town.flow()).run(job)

    assert VERDICT_SHARE < 0.5
    assert result.answers["sentiment"] == ANSWERS["sentiment"]
    assert result.answers["complexity"].error.code is ErrorCode.EXPIRED


async def test_a_verdict_that_comes_after_the_others_have_gone_on_is_an_answer_all_the_same(town, new_address):
    town.second.add("sentiment")
    held = town.hold("complexity")
    await town.hire()
    job = town.job(new_address(), JUDGED.model_copy(update={"timeout_s": 4.0}))
    running = asyncio.create_task((await town.flow()).run(job))

    await until(lambda: "sentiment" in town.worked, "sentiment goes on without a verdict")
    held.set()

    assert (await running).answers == {"sentiment": ANSWERS["sentiment"], "complexity": MEDIUM}
    assert town.verdicts["sentiment"] is None


async def test_a_replica_that_takes_over_uses_the_verdict_that_is_stored(town, new_address):
    town.second.add("sentiment")
    address = new_address()
    job = town.job(address, JUDGED, seen_before=True)
    await town.bus.store(subjects.result(address, ROUTER.agent, ROUTER.answer), StepResult(digest=job.digest, answer=MEDIUM).to_bytes())
    await town.hire()

    result = await (await town.flow()).run(job)

    assert result.status is Status.COMPLETED
    assert (town.worked, town.verdicts["sentiment"]) == (["sentiment"], "medium")


async def test_steps_that_a_replica_without_that_knowledge_published_are_used_and_not_repeated(town, new_address):
    job = town.job(new_address(), JUDGED, seen_before=True)
    first = asyncio.create_task((await town.flow()).run(job))
    await until(lambda: len(town.bus.steps()) == 2, "both steps, published at once")
    town.second.add("sentiment")
    second = asyncio.create_task((await town.flow()).run(job))
    await town.hire()

    assert (await first).answers == (await second).answers
    assert sorted(town.worked) == ["complexity_router", "sentiment"]


async def test_a_task_that_is_over_while_its_router_works_ends_at_once(town, new_address):
    town.second.add("sentiment")
    address = new_address()
    await town.orchestrate()
    await town.submit(address, JUDGED)
    await until(lambda: town.bus.steps() == ["complexity_router"], "the router's step")

    await town.bus.store(subjects.done(address), b"{}")
    await town.bus.announce(subjects.cancelled(address))

    await town.settled(address)
    assert town.bus.steps() == ["complexity_router"]


async def test_a_summary_that_stands_in_for_an_analysis_is_asked_for_with_the_verdict(town, new_address):
    await town.hire()

    result = await (await town.flow()).run(town.job(new_address(), Task(text=TEXT, wanted=("analysis",))))

    assert result.status is Status.COMPLETED
    assert town.verdicts == {"complexity_router": None, "summarizer": "medium"}


async def test_a_verdict_that_a_client_wrote_into_its_task_reaches_no_agent(town, new_address):
    body = json.dumps({"text": TEXT, "wanted": ["sentiment"], "verdict": "medium"}).encode()
    address = new_address()
    await town.orchestrate()
    await town.submit(address, body)

    message = await until(lambda: town.bus.read(subjects.work("sentiment", Lane.INTERACTIVE, address)), "the step")

    assert b"verdict" not in message.body
    assert decode(Step, message.body).request.verdict is None


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize("there", [True, False])
async def test_a_run_asks_the_router_first_too_and_goes_on_where_nobody_answers(town, there):
    town.second.add("sentiment")
    asked = []

    async def reply(call):
        agent = call.subject.rpartition(".")[2]
        asked.append((agent, json.loads(call.body).get("verdict")))
        return Reply(town.answers[AGENTS[agent]].to_bytes())

    await town.bus.serve(Runs(town.bus, await town.flow()).service([DataClass.PUBLIC], "1.0.0"))
    for name in ("sentiment", *(("complexity_router",) if there else ())):
        await town.bus.serve(ServiceSpec(name, "1.0.0", name, endpoints=(Endpoint("ask", subjects.ask(name), reply),)))

    await town.bus.request(subjects.run("acme", DataClass.PUBLIC), JUDGED.to_bytes(), timeout_s=10.0)

    assert asked == ([("complexity_router", None), ("sentiment", "medium")] if there else [("sentiment", None)])


# ---------------------------------------------------------------- who has one


def says(name, **metadata):
    return ServiceSpec(name, "1.0.0", name, metadata)


async def test_an_agent_has_a_second_tier_where_one_replica_says_so():
    bus = MemoryBus()
    for spec in (says("sentiment"), says("sentiment", next_tier="medium"), says("ner", next_tier=""), says("summarizer", tier="small")):
        await bus.serve(spec)
    tiers = SecondTiers(bus)
    assert "sentiment" not in tiers

    await tiers.look()

    assert [name for name in AGENTS if name in tiers] == ["sentiment"]


async def test_a_second_tier_that_is_gone_is_forgotten_and_what_a_silent_broker_does_not_say_is_not(monkeypatch):
    bus = MemoryBus()
    replica = await bus.serve(says("sentiment", next_tier="medium"))
    tiers = SecondTiers(bus)
    await tiers.look()

    async def nobody(_wait_s):
        raise ContractError(ErrorCode.UNAVAILABLE, "no broker")

    with monkeypatch.context() as away:
        away.setattr(bus, "services", nobody)
        await tiers.look()
    assert "sentiment" in tiers

    await replica.stop()
    await tiers.look()
    assert "sentiment" not in tiers
