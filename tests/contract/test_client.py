"""The typed client, on a real broker: the tests play the mesh."""

import asyncio
import contextlib
import json
import subprocess
import sys
import uuid

import nats
import pytest
from nats.aio.client import Client as Connection
from nats.js import api

from smallmesh.broker import EmbeddedBroker
from smallmesh.bus.nats import NatsBus
from smallmesh_contracts import (
    Address,
    Answer,
    CancelReply,
    ContractError,
    DataClass,
    Delta,
    ErrorCode,
    ErrorInfo,
    Lane,
    SentimentRequest,
    Status,
    Task,
    TaskResult,
    client,
    decode_task,
    digest_of,
    subjects,
)
from smallmesh_contracts.client import Client, Submission

TASK = Task(text="Contoso opened an office in Lisbon.", wanted=("summary",), timeout_s=5.0)
TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01"


def result_of(address: Address, digest: str = "d") -> TaskResult:
    names = {"task_id": address.task_id, "tenant": address.tenant, "data_class": address.data_class}
    return TaskResult(**names, status=Status.COMPLETED, digest=digest, took_ms=1.0)


async def reached(connection: Connection) -> None:
    """Wait until the broker has had all that was sent until now; after a new subscription, nats-py's ``flush`` does not tell."""
    await connection.request("$JS.API.INFO")


@pytest.fixture
async def mesh(broker, new_address):
    """A client of a tenant of its own."""
    async with Client.connect(broker.url, new_address().tenant, DataClass.INTERNAL) as connected:
        yield connected


@pytest.fixture
def address_of(mesh):
    def make(task_id: str) -> Address:
        return Address(mesh._tenant, DataClass.INTERNAL, task_id)

    return make


@pytest.fixture
async def bare():
    """A broker without a single stream, and a connection to it."""
    with EmbeddedBroker.start() as running:
        connection = await nats.connect(running.url)
        yield connection
        await connection.close()


@pytest.fixture
async def answering(nats_bus):
    """Answer a subject with some bytes; remember what was asked."""
    asked = []

    async def start(subject: str, reply: bytes) -> list:
        async def answer(message) -> None:
            asked.append(message)
            await message.respond(reply)

        await nats_bus.client.subscribe(subject, cb=answer)
        await reached(nats_bus.client)
        return asked

    return start


# ---------------------------------------------------------------- submitting


async def test_a_submission_is_stored_under_its_address_with_its_trace(mesh, nats_bus, address_of):
    submitted = await mesh.submit(TASK, task_id="ticket-1", lane=Lane.BULK, traceparent=TRACE)

    stored = await nats_bus.read(subjects.submit(Lane.BULK, address_of("ticket-1")))
    assert decode_task(stored.body, address_of("ticket-1"), Lane.BULK) == TASK
    assert stored.headers["traceparent"] == TRACE
    assert submitted == Submission("ticket-1", digest_of(stored.body))


async def test_a_text_alone_is_a_task_for_the_default_answers_under_an_id_of_its_own(mesh, nats_bus, address_of):
    first, second = await mesh.submit("One."), await mesh.submit("One.")

    stored = await nats_bus.read(subjects.submit(Lane.INTERACTIVE, address_of(first.task_id)))
    assert decode_task(stored.body, address_of(first.task_id), Lane.INTERACTIVE) == Task(text="One.")
    assert first.task_id != second.task_id


async def test_a_repeated_submission_is_the_success_of_the_first(mesh):
    first = await mesh.submit(TASK, task_id="ticket-1")

    assert await mesh.submit(TASK, task_id="ticket-1") == first


@pytest.mark.parametrize(
    ("task", "task_id", "code"),
    [
        ("", "t", ErrorCode.INVALID_REQUEST),
        ("\ud800", "t", ErrorCode.INVALID_REQUEST),
        ("x" * 40_000, "t", ErrorCode.TOO_LONG),
        (Task(text="x", metadata={"note": "x" * 9000}), "t", ErrorCode.TOO_LONG),
        ("One.", "no.dots", ErrorCode.INVALID_REQUEST),
    ],
)
async def test_what_no_mesh_would_take_is_refused_before_it_is_sent(mesh, nats_bus, task, task_id, code):
    before = (await nats_bus.client.jetstream().stream_info("SLM_TASKS")).state.last_seq

    with pytest.raises(ContractError) as refused:
        await mesh.submit(task, task_id=task_id)

    assert refused.value.info.code is code
    assert (await nats_bus.client.jetstream().stream_info("SLM_TASKS")).state.last_seq == before


async def test_a_submission_waits_for_a_stream_that_is_not_there_yet(bare, soon):
    submitting = asyncio.create_task(Client(bare, "acme").submit(TASK))
    await asyncio.sleep(0)
    await reached(bare)  # and so has the first try
    await NatsBus(bare).provision(())

    submitted = await soon(submitting)

    address = Address("acme", DataClass.RESTRICTED, submitted.task_id)
    assert await NatsBus(bare).read(subjects.submit(Lane.INTERACTIVE, address)) is not None


async def test_a_broker_without_a_mesh_is_said_after_the_retries(bare, monkeypatch):
    monkeypatch.setattr(client, "RETRY_S", 0.0)

    with pytest.raises(ContractError, match="is a mesh set up") as refused:
        await Client(bare, "acme").submit(TASK)

    assert (refused.value.info.code, refused.value.info.retryable) == (ErrorCode.UNAVAILABLE, True)


async def test_a_full_stream_is_overloaded(bare, monkeypatch):
    monkeypatch.setattr(client, "RETRY_S", 0.0)
    full = api.StreamConfig(name="SLM_TASKS", subjects=["slm.v1.submit.>"], max_msgs=1, discard=api.DiscardPolicy.NEW)
    await bare.jetstream().add_stream(full)
    await Client(bare, "acme").submit(TASK)

    with pytest.raises(ContractError) as refused:
        await Client(bare, "acme").submit(TASK)

    assert (refused.value.info.code, refused.value.info.retry_after_s) == (ErrorCode.OVERLOADED, 5.0)


async def test_what_the_broker_refuses_for_good_is_not_tried_again(bare):
    await bare.jetstream().add_stream(api.StreamConfig(name="SLM_TASKS", subjects=["slm.v1.submit.>"], max_msg_size=10))

    with pytest.raises(ContractError) as refused:
        await Client(bare, "acme").submit(TASK)

    assert refused.value.info.code is ErrorCode.TOO_LONG


# ---------------------------------------------------------------- results


async def test_a_result_that_is_there_is_read(mesh, nats_bus, address_of):
    submitted = await mesh.submit(TASK)
    address = address_of(submitted.task_id)
    await nats_bus.store(subjects.done(address), result_of(address, submitted.digest).to_bytes())

    assert await mesh.result(submitted) == await mesh.result(submitted.task_id) == result_of(address, submitted.digest)


async def test_a_result_that_comes_later_is_waited_for(mesh, nats_bus, address_of, monkeypatch, soon):
    monkeypatch.setattr(client, "LOOK_S", 3600.0)  # so that it is the announcement that wakes
    waiting = asyncio.create_task(mesh.result("ticket-1"))
    await asyncio.sleep(0)
    await reached(mesh._connection)  # it has looked, found nothing, and listens

    await nats_bus.store(subjects.done(address_of("ticket-1")), result_of(address_of("ticket-1")).to_bytes())

    assert (await soon(waiting)).task_id == "ticket-1"


async def test_a_result_is_found_although_its_announcement_came_before_it_was_stored(bare, soon):
    address = Address("acme", DataClass.RESTRICTED, "ticket-1")
    waiting = asyncio.create_task(Client(bare, "acme").result("ticket-1"))
    await asyncio.sleep(0)
    await reached(bare)
    await bare.publish(subjects.done(address), b"{}")  # nothing keeps it
    await NatsBus(bare).provision(())
    await NatsBus(bare).store(subjects.done(address), result_of(address).to_bytes())

    assert await soon(waiting) == result_of(address)


async def test_a_result_that_does_not_come_in_time_is_said_and_says_nothing_about_the_task(mesh):
    with pytest.raises(ContractError, match="ask for it again") as late:
        await mesh.result("ticket-1", timeout_s=0.05)

    assert late.value.info.code is ErrorCode.EXPIRED


async def test_a_result_about_another_text_is_never_returned(mesh, nats_bus, address_of):
    submitted = await mesh.submit(TASK)
    address = address_of(submitted.task_id)
    await nats_bus.store(subjects.done(address), result_of(address, "of another body").to_bytes())

    with pytest.raises(ContractError) as conflict:
        await mesh.result(submitted)

    assert conflict.value.info.code is ErrorCode.ID_CONFLICT


async def test_a_text_is_heard_while_it_is_written_and_the_result_comes_all_the_same(mesh, nats_bus, address_of, monkeypatch, soon):
    heard, look = [], client.Client._look

    async def look_once_it_listens(self, *arguments):
        await reached(self._connection)
        for number, part in enumerate(("A short ", "text.")):
            await nats_bus.announce(subjects.delta(address_of("ticket-1")), Delta(answer="summary", number=number, text=part).to_bytes())
        await nats_bus.announce(subjects.delta(address_of("ticket-1")), b"of a later contract")
        await nats_bus.store(subjects.done(address_of("ticket-1")), result_of(address_of("ticket-1")).to_bytes())
        return await look(self, *arguments)

    monkeypatch.setattr(client.Client, "_look", look_once_it_listens)

    result = await soon(mesh.result("ticket-1", on_delta=heard.append))

    assert result.status is Status.COMPLETED
    assert [(delta.number, delta.text) for delta in heard] == [(0, "A short "), (1, "text.")]


async def test_waiting_for_a_result_leaves_no_subscription_behind(mesh):
    before = len(mesh._connection._subs)

    with contextlib.suppress(ContractError):
        await mesh.result("ticket-1", timeout_s=0.05)

    assert len(mesh._connection._subs) <= before + 1, "the inbox of all requests stays"


# ---------------------------------------------------------------- cancelling


@pytest.mark.parametrize("task", ["ticket-1", Submission("ticket-1", "d")])
@pytest.mark.parametrize(
    "reply",
    [
        CancelReply(task_id="ticket-1", status=Status.CANCELLED),
        CancelReply(task_id="ticket-1", status=Status.COMPLETED),
        CancelReply(task_id="ticket-1", error=ErrorInfo(code=ErrorCode.INVALID_REQUEST, message="no such task")),
    ],
)
async def test_what_became_of_a_request_to_cancel_is_a_value(mesh, answering, task, reply):
    asked = await answering(subjects.cancel(mesh._tenant, DataClass.INTERNAL), reply.to_bytes())

    assert await mesh.cancel(task) == reply
    assert json.loads(asked[0].data) == {"task_id": "ticket-1"}


async def test_a_status_of_a_newer_mesh_is_another(mesh, answering):
    await answering(subjects.cancel(mesh._tenant, DataClass.INTERNAL), b'{"task_id": "t", "status": "postponed", "more": 1}')

    assert (await mesh.cancel("t")).status is Status.OTHER


async def test_where_no_orchestrator_is_there_nothing_is_cancelled(mesh):
    with pytest.raises(ContractError, match="nobody answers") as refused:
        await mesh.cancel("ticket-1")

    assert (refused.value.info.code, refused.value.info.retryable) == (ErrorCode.UNAVAILABLE, True)


async def test_no_reply_in_time_is_said_and_the_task_may_be_cancelled_all_the_same(mesh, nats_bus):
    await nats_bus.client.subscribe(subjects.cancel(mesh._tenant, DataClass.INTERNAL))  # listens and says nothing
    await reached(nats_bus.client)

    with pytest.raises(ContractError) as late:
        await mesh.cancel("ticket-1", timeout_s=0.05)

    assert late.value.info.code is ErrorCode.EXPIRED


@pytest.mark.parametrize("task_id", ["", "a.b", "x" * 65, "*"])
async def test_what_is_no_id_is_refused_before_it_is_sent(mesh, task_id):
    with pytest.raises(ContractError) as refused:
        await mesh.cancel(task_id)

    assert refused.value.info.code is ErrorCode.INVALID_REQUEST


# ---------------------------------------------------------------- asks and runs


@pytest.mark.parametrize("request_", ["One.", SentimentRequest(text="One.")])
async def test_an_ask_returns_the_answer_value_or_error(mesh, answering, request_):
    agent = f"a{uuid.uuid4().hex[:8]}"
    answer = Answer(error=ErrorInfo(code=ErrorCode.UNSUPPORTED_LANGUAGE, message="no"))
    asked = await answering(subjects.ask(agent), answer.to_bytes())

    assert await mesh.ask(agent, request_, traceparent=TRACE) == answer
    assert json.loads(asked[0].data) == {"text": "One."}
    assert asked[0].headers == {"traceparent": TRACE}


async def test_an_agent_that_is_not_there_is_unavailable(mesh):
    with pytest.raises(ContractError, match="nobody answers") as refused:
        await mesh.ask("horoscope", "One.")

    assert (refused.value.info.code, refused.value.info.retryable) == (ErrorCode.UNAVAILABLE, True)


async def test_an_ask_that_takes_too_long_is_expired(mesh, nats_bus):
    agent = f"a{uuid.uuid4().hex[:8]}"
    await nats_bus.client.subscribe(subjects.ask(agent))  # listens and says nothing
    await reached(nats_bus.client)

    with pytest.raises(ContractError) as late:
        await mesh.ask(agent, "One.", timeout_s=0.05)

    assert late.value.info.code is ErrorCode.EXPIRED


async def test_an_ask_about_nothing_is_refused_before_it_is_sent(mesh):
    with pytest.raises(ContractError) as refused:
        await mesh.ask("horoscope", " ")

    assert refused.value.info.code is ErrorCode.INVALID_REQUEST


async def test_a_run_returns_the_terminal_result(mesh, answering, address_of):
    ran = result_of(address_of("its-own"))
    asked = await answering(subjects.run(mesh._tenant, DataClass.INTERNAL), ran.to_bytes())

    assert await mesh.run(TASK, traceparent=TRACE) == ran
    assert asked[0].data == TASK.to_bytes()
    assert asked[0].headers == {"traceparent": TRACE}


async def test_a_reply_that_is_neither_result_nor_error_is_no_result(mesh, answering):
    await answering(subjects.run(mesh._tenant, DataClass.INTERNAL), b'{"hello": "world"}')

    with pytest.raises(ContractError, match="not a valid TaskResult"):
        await mesh.run("One.")


# ---------------------------------------------------------------- connections


async def test_a_connection_that_was_handed_in_stays_open_and_one_of_its_own_does_not(broker, nats_bus):
    with contextlib.suppress(ContractError):
        await Client(nats_bus.client, "acme").ask("horoscope", "One.")
    async with Client.connect(broker.url, "acme") as mesh:
        own = mesh._connection

    assert not nats_bus.client.is_closed
    assert own.is_closed


async def test_a_closed_connection_is_unavailable_at_once(broker):
    async with Client.connect(broker.url, "acme") as mesh:
        pass

    for call in (mesh.submit("One."), mesh.result("t"), mesh.cancel("t"), mesh.ask("ner", "One."), mesh.run("One.")):
        with pytest.raises(ContractError) as refused:
            await call
        assert refused.value.info.code is ErrorCode.UNAVAILABLE


async def test_a_broker_that_is_not_there_is_said_without_its_password(monkeypatch):
    monkeypatch.setattr(client, "CONNECT_WITHIN_S", 0.2)
    with EmbeddedBroker.start() as gone:
        url = gone.url.replace("//", "//user:secret@")

    with pytest.raises(ContractError) as refused:
        async with Client.connect(url, "acme"):
            pass

    assert refused.value.info.code is ErrorCode.UNAVAILABLE
    assert "secret" not in refused.value.info.message


def test_texts_are_restricted_where_nobody_says_otherwise(nats_bus):
    assert Client(nats_bus.client, "acme")._class is DataClass.RESTRICTED


# ---------------------------------------------------------------- without nats-py


def test_without_nats_py_the_contracts_work_and_the_client_says_what_to_install():
    code = """
import sys
sys.modules["nats"] = None
import smallmesh_contracts
try:
    import smallmesh_contracts.client
except ModuleNotFoundError as missing:
    print(missing.name, missing)
"""
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert ran.stdout == "nats the client needs nats-py: pip install 'smallmesh-contracts[client]'\n"


def test_the_clients_public_names_are_what_it_says_they_are():
    assert client.__all__ == ["Client", "Submission"]
    assert {name for name in vars(Client) if not name.startswith("_")} == {"connect", "submit", "result", "cancel", "ask", "run"}
