"""Dead letters at a real broker: what is kept of odd messages, and a whole mesh whose agent is mended."""

import asyncio
import json
import sys
import uuid

import pytest
import pytest_asyncio

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.layout import DEAD, TASKS, step_consumers
from smallmesh.bus.nats import NatsBus
from smallmesh.cli.exits import Exit
from smallmesh.dead_letters import bury
from smallmesh.dead_letters.reading import Wanted, find, forget, letters
from smallmesh.supervise import Mesh
from smallmesh_contracts import Address, ContractError, DataClass, ErrorCode, ErrorInfo, Lane, Status, Task, subjects
from tests.support.client import Client
from tests.support.processes import Ended, ended, environment
from tests.support.rules import SAY, write_agent

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

NO = ErrorInfo(code=ErrorCode.INTERNAL, message="naïve\nreason")
USERS = """
accounts { MESH: { jetstream: enabled, users: [
    { user: operator, password: pw }
    { user: reader, password: pw, permissions: { publish: ["$JS.API.DIRECT.GET.SLM_DEAD"], subscribe: ["_INBOX.>"] } }
    { user: shop, password: pw, permissions: { publish: ["slm.v1.submit.>"], subscribe: ["_INBOX.>"] } }
] } }
"""
BROKEN = f"""
if not (GATES / "mended").exists():
    raise RuntimeError("broken on purpose")
{SAY}
"""


async def call(tmp_path, url, *arguments, agents=".") -> Ended:
    """Call ``smallmesh dlq`` in a process of its own."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "smallmesh.cli", "dlq", *arguments),
        env=environment(agents, nats_url=url, state_dir=str(tmp_path)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
    )
    return await ended(process)


def told(end):
    return [json.loads(line) for line in end.out.splitlines()]


class Delivered:
    """A submission that is given up."""

    def __init__(self, address, body=b"x", sequence=1):
        self.subject, self.body, self.sequence = subjects.submit(Lane.BULK, address), body, sequence
        self.headers, self.deliveries, self.arrived_at = {}, 2, 1_790_000_000.5


async def connect(url):
    return await NatsBus.connect(url, name="test")


# ---------------------------------------------------------------- what is kept


@pytest_asyncio.fixture(loop_scope="session")
async def own():
    """A broker of one test's own, provisioned, and a connection to it."""
    with EmbeddedBroker.start(extra=USERS) as running:
        url = running.url.replace("nats://", "nats://operator:pw@")
        bus = await connect(url)
        await bus.provision(())
        yield running, bus, url
        await bus.close()


async def test_a_message_with_odd_headers_is_kept_with_them(own, soon):
    _, bus, _ = own
    consumer = step_consumers("ner")[Lane.BULK]
    await bus.provision([consumer])
    subject = subjects.work("ner", Lane.BULK, Address("shop", DataClass.PUBLIC, "ünï"))
    block = (
        b"NATS/1.0\r\nX{odd}: yes\r\nX-Bytes: \xff\xfe\r\nX-Line: a\nb\r\nX-Name: na\xc3\xafve\r\nNats-Expected-Stream: OTHER-NOT\r\n\r\n"
    )
    odd = (
        b"X{odd}: yes",
        b"X-Bytes: \xff\xfe",
        b"X-Line: a\nb",
        b"X-Name: na\xc3\xafve",
        b"Nats-Expected-Stream: SLM_WORK",
        b"Status: 503",
    )
    block = b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in odd) + b"\r\n"
    given_up = asyncio.Event()

    async def give_up(delivery):
        await bury(bus, delivery, "ner", NO)
        await delivery.ack()
        given_up.set()

    taking = await bus.consume(consumer, give_up, slots=1)
    await bus.client._send_command(b"HPUB %s %d %d\r\n%b%b\r\n" % (subject.encode(), len(block), len(block) + 4, block, b"\x00\xff\xfe{"))
    await bus.client.flush()
    await soon(given_up.wait())
    await taking.stop()

    ((letter, payload),) = [one async for one in letters(bus, Wanted())]
    assert payload == b"\x00\xff\xfe{"
    assert letter.carried == {"X_odd_": "yes", "X-Bytes": "??", "X-Line": "a b", "X-Name": "naïve", "_Status": "503"}
    assert (letter.subject, letter.reason, letter.deliveries) == (subject, NO, 1)
    assert letter.died_at - 60 < letter.arrived_at <= letter.died_at


async def test_a_message_buried_again_after_the_broker_died_is_one_letter(own, new_address, until):
    running, bus, url = own
    address = new_address()
    await bury(bus, Delivered(address), "orchestrator", NO)

    running.kill()
    running.restart()
    again = await connect(url)

    async def is_back():
        return [letter async for letter, _ in letters(again, Wanted())] != []

    await until(is_back)
    await bury(again, Delivered(address), "orchestrator", NO)

    config = (await again.client.jetstream().stream_info(DEAD.name)).config
    assert [letter.number async for letter, _ in letters(again, Wanted())] == [1]
    assert config.duplicate_window == 24 * 3600.0
    await again.close()


async def test_letters_that_together_are_more_than_a_batch_are_all_read(own, new_address):
    _, bus, _ = own
    for number in range(1, 13):
        await bury(bus, Delivered(new_address(), b"x" * 500_000, number), "orchestrator", NO)
    await forget(bus, 5)

    found = [letter.number async for letter, _ in letters(bus, Wanted())]

    assert found == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]
    assert await find(bus, 5) is None
    assert not await forget(bus, 5)


async def test_a_letter_that_calls_itself_a_status_hides_no_other(own, new_address):
    _, bus, _ = own
    await bus.append(subjects.dead(DataClass.PUBLIC, "ner"), b"", {"Status": "204", "Nats-Sequence": "9"}, message_id="1")
    await bury(bus, Delivered(new_address()), "orchestrator", NO)

    assert [letter.number async for letter, _ in letters(bus, Wanted())] == [1, 2]


async def test_where_no_more_letters_fit_the_message_stays_and_the_doctor_says_so(own, new_address, tmp_path):
    _, bus, url = own
    js = bus.client.jetstream()
    await js.update_stream(config=(await js.stream_info(DEAD.name)).config.evolve(max_bytes=10_000))
    await bury(bus, Delivered(new_address(), b"x" * 9000), "orchestrator", NO)

    with pytest.raises(ContractError) as raised:
        await bury(bus, Delivered(new_address(), b"x" * 9000, 2), "orchestrator", NO)

    assert raised.value.info.code is ErrorCode.OVERLOADED
    pipe = asyncio.subprocess.PIPE
    doctor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "smallmesh.cli", "doctor", "--wait", "0.1", "--json"),
        env=environment(tmp_path, nats_url=url, state_dir=str(tmp_path)),
        stdout=pipe,
        stderr=pipe,
    )
    (end,) = told(await ended(doctor))
    found = [one for one in end["findings"] if one["check"] == "dead letters"]
    assert any("full" in one["message"] and "stays in its queue" in one["message"] for one in found)
    assert all("smallmesh dlq" in one["todo"] for one in found)


# ---------------------------------------------------------------- a broker that gives nothing


async def test_a_broker_without_streams_is_said_with_what_to_do(tmp_path):
    with EmbeddedBroker.start() as bare:
        ends = [
            await call(tmp_path, bare.url, *arguments) for arguments in (("ls",), ("show", "1"), ("replay", "--all"), ("drop", "1", "-y"))
        ]

    for end in ends:
        assert end.status == Exit.NOBODY_THERE
        assert "smallmesh provision" in end.err
        assert "Traceback" not in end.err


async def test_a_user_without_the_right_is_told_which_it_is(own, tmp_path, new_address):
    running, bus, _ = own
    await bury(bus, Delivered(new_address()), "orchestrator", NO)

    calls = (("reader", "ls"), ("reader", "drop", "1", "--yes"), ("shop", "ls"))
    read, drop, shop = await asyncio.gather(
        *(call(tmp_path, running.url.replace("//", f"//{user}:pw@"), *given, "--json") for user, *given in calls)
    )

    assert [one["number"] for one in told(read)] == [1]
    for end, right in ((drop, "stream.msg.delete.slm_dead"), (shop, "direct.get.slm_dead")):
        (error,) = told(end)
        assert (end.status, error["error"]["code"]) == (Exit.ERROR, "unauthorized")
        assert right in error["error"]["message"].lower()


# ---------------------------------------------------------------- a mesh


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clinic(tmp_path_factory):
    """A mesh whose ner and sentiment fail until they are mended; returns it, its agents and what mends them."""
    folder = tmp_path_factory.mktemp("clinic") / "agents"
    for agent, answer in (("ner", "entities"), ("sentiment", "sentiment")):
        write_agent(folder, agent, answer, BROKEN)
    write_agent(folder, "words", "words")
    gates = folder.with_name("agents-gates")
    gates.mkdir(exist_ok=True)
    settings = {"max_deliveries": "2", "retry_base_s": "0.05"}
    async with Mesh.start(agent_path=[folder], **settings) as mesh:
        await mesh.ready(120)
        async with Client.connected(mesh.url) as client:
            yield mesh, folder, client, gates / "mended"


async def test_what_died_of_a_broken_agent_is_replayed_when_it_is_mended_and_once(clinic, tmp_path):
    mesh, folder, client, mended = clinic
    tenant = f"t{uuid.uuid4().hex[:8]}"
    orders = [Address(tenant, DataClass.PUBLIC, f"order-{number}") for number in range(3)]
    task = Task(text="hello there", wanted=("entities", "sentiment", "words"), metadata={"queue": 1})

    async def dlq(*arguments):
        return await call(tmp_path, mesh.url, *arguments, agents=folder)

    before = await client.ever_stored(TASKS.name)
    first = await asyncio.gather(*(client.whole(address, task, Lane.BULK) for address in orders))
    listed = told(await dlq("ls", "--json", "--tenant", tenant, "--reason", "model_failed"))
    shown = await dlq("show", str(listed[0]["number"]))
    mended.touch()
    again = await dlq("replay", "--reason", "model_failed", "--tenant", tenant, "--keep", "--wait", "--json")
    both = await asyncio.gather(*(dlq("replay", "--tenant", tenant, "--reason", "model_failed", "--json") for _ in range(2)))
    ever = await client.ever_stored(TASKS.name)
    left = await dlq("ls", "--json", "--tenant", tenant)

    assert {result.status for result in first} == {Status.PARTIAL}
    assert [(one["origin"], one["deliveries"], one["lane"]) for one in listed if one["id"] == "order-0"] in (
        [("ner", 2, "bulk"), ("sentiment", 2, "bulk")],
        [("sentiment", 2, "bulk"), ("ner", 2, "bulk")],
    )
    assert len(listed) == 6
    assert "hello there" not in shown.out
    assert "-r1 in lane bulk" in shown.out
    assert again.status == Exit.OK
    ends = {one["result"]["task_id"]: one["result"] for one in told(again) if one["event"] == "ended"}
    assert {name: one["replay_of"] for name, one in ends.items()} == {f"order-{n}-r1": f"order-{n}" for n in range(3)}
    assert {name: answer["value"]["said"] for name, answer in ends["order-0-r1"]["answers"].items()} == {
        "entities": "HELLO",
        "sentiment": "HELLO",
    }
    assert {end.status for end in both} == {Exit.OK}
    assert {one["state"] for end in both for one in told(end)} <= {"already_there", "gone"}
    assert ever - before == 6, "three tasks and three replays"
    assert told(left) == []


async def test_a_submission_that_nobody_could_do_is_done_again_when_somebody_can(clinic, tmp_path):
    """Its own reason stands in the way until then, and the letter of the second try is another."""
    mesh, folder, client, _ = clinic
    address = Address(f"t{uuid.uuid4().hex[:8]}", DataClass.RESTRICTED, "x" * 64)
    await client.whole(address, Task(text="hello there", wanted=("weather",)))

    end = await call(tmp_path, mesh.url, "replay", "--tenant", address.tenant, "--wait", "--json", agents=folder)

    replayed, finished = told(end)
    assert end.status == Exit.ERROR
    assert (len(replayed["id"]), replayed["id"][-3:], replayed["lane"], replayed["class"]) == (64, "-r1", "interactive", "restricted")
    assert (finished["result"]["status"], finished["result"]["error"]["code"]) == ("failed", "unknown_answer")
    (letter,) = told(await call(tmp_path, mesh.url, "ls", "--json", "--tenant", address.tenant))
    assert letter["id"] == replayed["id"]
