"""The doctor at a real broker: what it gathers there, from whom it is refused, and how the command ends."""

import asyncio
import json
import uuid
from contextlib import asynccontextmanager

import pytest
from typer.testing import CliRunner

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus import STREAMS, ServiceSpec
from smallmesh.bus.layout import DAY_S, DEAD, all_consumers, step_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.cli.app import app
from smallmesh.cli.exits import Exit
from smallmesh.dead_letters import bury
from smallmesh.doctor import Facts, Host, Level, examine
from smallmesh.doctor.gather import Connection, Wanted, ask_broker
from smallmesh.settings import settings
from smallmesh_contracts import DataClass, ErrorCode, ErrorInfo, Lane, subjects

pytestmark = pytest.mark.mesh

CONSUMERS = all_consumers(["ner"], ["escalation"])
USERS = """
accounts {
    SYS: {}
    MESH: {
        jetstream: enabled
        users: [
            { user: operator, password: pw }
            { user: shop, password: pw, permissions: {
                publish: { allow: ["slm.v1.submit.*.shop.public.*", "$SYS.REQ.USER.INFO"] }
                subscribe: { allow: ["_INBOX.>", "slm.v1.done.shop.>"] }
            } }
            { user: mute, password: pw, permissions: { publish: { allow: ["nothing"] }, subscribe: { allow: ["_INBOX.>"] } } }
        ]
    }
    BARE: { users: [ { user: bare, password: pw } ] }
}
system_account: SYS
"""


@pytest.fixture(scope="module")
def own():
    """A broker of these tests' own, with users; nothing is provisioned."""
    with EmbeddedBroker.start(extra=USERS) as running:
        yield running


def url_of(broker, user):
    return broker.url.replace("nats://", f"nats://{user}:pw@")


@asynccontextmanager
async def connected(url, denied=None):
    bus = await NatsBus.connect(url, name="test", problem=None if denied is None else lambda error: denied.append(str(error)))
    yield bus
    await bus.close()


async def facts(url, consumers=CONSUMERS):
    """Gather as the command does."""
    denied = []
    async with connected(url, denied) as bus:
        return await ask_broker(Connection(bus, bus.client.max_payload, denied), Wanted(consumers), wait_s=1.0)


def found(broker, level, host=None):
    """Return what checks find of a level, by check."""
    host = host or Host(version="1.0.0", agents={"ner": "entities"}, services={"escalation": "analysis"})
    return {one.check: one.message for one in examine(Facts("nats://broker", host, broker)) if one.level is level}


# ---------------------------------------------------------------- what is there


async def test_a_provisioned_broker_is_as_the_layout_says(nats_bus, broker):
    await nats_bus.provision(CONSUMERS)

    seen = await facts(broker.url)

    assert seen.version.count(".") == 2
    assert (seen.jetstream, seen.user) == (True, "")
    assert seen.round_trip_ms > 0
    fine = found(seen, Level.OK)
    assert {"broker", "jetstream", "streams", "consumers", "permissions"} <= fine.keys()
    assert fine["streams"] == f"{len(STREAMS)} streams as the layout says"
    assert fine["consumers"] == f"{len(CONSUMERS)} consumers as the layout says"


async def test_a_stream_that_somebody_changed_is_named_with_what_is_other(nats_bus, broker):
    js = nats_bus.client.jetstream()
    config = (await js.stream_info(DEAD.name)).config
    await js.update_stream(config=config.evolve(max_bytes=10_000_000, max_age=10 * DAY_S))
    try:
        seen = await facts(broker.url)
    finally:
        await nats_bus.provision(())

    assert found(seen, Level.PROBLEM)["streams"] == "SLM_DEAD is not as the layout says: max_age, max_bytes"
    assert "streams" in found(await facts(broker.url), Level.OK)


async def test_consumers_of_an_agent_that_was_added_since_are_missed(broker):
    seen = await facts(broker.url, all_consumers(["added_since"], []))

    assert found(seen, Level.PROBLEM)["consumers"] == "there is no consumer added_since-interactive, added_since-bulk"


async def test_work_that_nobody_takes_and_dead_letters_are_counted(nats_bus, broker, new_address, soon):
    agent = f"agent{uuid.uuid4().hex[:8]}"
    consumer = step_consumers(agent)[Lane.BULK]
    await nats_bus.provision([consumer])
    await nats_bus.store(subjects.work(agent, Lane.BULK, new_address(DataClass.PUBLIC)), b"a step")
    given_up = asyncio.Event()

    async def give_up(delivery):
        await bury(nats_bus, delivery, agent, ErrorInfo(code=ErrorCode.INTERNAL, message="no"))
        await delivery.ack()
        given_up.set()

    before = await facts(broker.url, [consumer])
    taking = await nats_bus.consume(consumer, give_up, slots=1)
    await soon(given_up.wait())
    await taking.stop()
    after = await facts(broker.url, [consumer])

    assert found(before, Level.PROBLEM)["backlog"] == f"1 message waiting for {agent}-bulk, and nobody there to take it"
    assert "backlog" not in found(after, Level.PROBLEM)
    assert (before.dead_letters.get(f"public {agent}"), after.dead_letters[f"public {agent}"]) == (None, 1)


async def test_replicas_that_differ_are_told_apart_by_what_they_say_of_themselves(nats_bus, broker):
    told = {"model_id": "m", "prompt_version": "p", "sha256": "a" * 64, "pid": "1"}
    specs = [ServiceSpec("ner", "0.9.0", "old", told), ServiceSpec("ner", "1.0.0", "new", {**told, "sha256": "b" * 64, "pid": "2"})]
    serving = [await nats_bus.serve(spec) for spec in specs]
    try:
        seen = await facts(broker.url)
    finally:
        for one in serving:
            await one.stop()

    warnings = found(seen, Level.WARNING)
    assert warnings["replicas"] == "replicas of ner differ in sha256: aaaaaaaaaaaa, bbbbbbbbbbbb"
    assert "0.9" in warnings["versions"]


# ---------------------------------------------------------------- what is refused


async def test_an_account_without_jetstream_is_told_so(own):
    problems = found(await facts(url_of(own, "bare")), Level.PROBLEM)

    assert "JetStream is off" in problems["jetstream"]


async def test_a_user_who_may_little_is_told_what_and_is_not_kept_waiting(own):
    async with asyncio.timeout(20):
        seen = await facts(url_of(own, "shop"))

    warnings = found(seen, Level.WARNING)
    assert seen.user == "shop"
    assert "may not: submit public tasks" in warnings["permissions"]  # of any tenant, that is: of this one it may
    assert "provision" in warnings["permissions"]
    assert {"streams", "consumers", "backlog", "dead letters"} <= warnings.keys()


async def test_a_user_who_may_not_even_ask_who_it_is_is_told_what_was_refused(own):
    async with asyncio.timeout(20):
        seen = await facts(url_of(own, "mute"))

    assert seen.permissions is None
    assert "$SYS.REQ.USER.INFO".lower() in found(seen, Level.WARNING)["permissions"].lower()


async def test_a_user_who_may_everything_is_told_so_and_sees_what_is_missing(own):
    seen = await facts(url_of(own, "operator"))

    assert found(seen, Level.OK)["permissions"] == "operator may do all that commands do"
    assert found(seen, Level.PROBLEM)["streams"].startswith("there is no stream SLM_TASKS")


# ---------------------------------------------------------------- the command


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("SMALLMESH_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("SMALLMESH_NATS_URL", raising=False)
    settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments), prog_name="smallmesh")
    settings.cache_clear()


def test_the_command_says_what_to_do_and_ends_with_a_problem(own, run):
    result = run("doctor", "--nats", url_of(own, "operator"), "--wait", "0.1", "--json")

    told = json.loads(result.stdout)
    todo = {one["check"]: one["todo"] for one in told["findings"] if one["level"] == "problem"}
    assert result.exit_code == Exit.ERROR
    assert "smallmesh provision" in todo["streams"]
    assert "smallmesh provision" in todo["consumers"]
    assert "smallmesh up" in todo["processes"]
    assert told["counts"]["problem"] == len(todo)
    assert ":pw@" not in result.output
