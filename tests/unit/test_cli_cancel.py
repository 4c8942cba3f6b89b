"""Cancelling from the command line, over the bus in memory: the test plays the orchestrator."""

import asyncio
import io
import json
import queue
import uuid
from collections import Counter

import pytest
from typer.testing import CliRunner

from smallmesh.bus import Endpoint, Reply, ServiceSpec
from smallmesh.cli.app import app
from smallmesh.cli.exits import Exit
from smallmesh.cli.intake import cancelling
from smallmesh.cli.intake.cancelling import IN_HAND, Wish, cancel, cancel_all, wishes_in
from smallmesh.cli.intake.feed import stream
from smallmesh.cli.intake.records import LONGEST_LINE
from smallmesh_contracts import CancelReply, CancelRequest, ContractError, DataClass, ErrorCode, ErrorInfo, Status, decode, subjects

RESTRICTED = DataClass.RESTRICTED
NO_SUCH = ErrorInfo(code=ErrorCode.INVALID_REQUEST, message="no such task: it was never submitted, or its result is no longer kept")


NEVER = object()


def busy(after_s=0.001):
    return ErrorInfo(code=ErrorCode.OVERLOADED, message="full", retryable=True, retry_after_s=after_s)


def away():
    return ErrorInfo(code=ErrorCode.UNAVAILABLE, message="the broker does not answer", retryable=True, retry_after_s=0.001)


class Orchestrator:
    """Answers with what it was told to, each reply in its turn, the last one again and again."""

    def __init__(self):
        self.replies = {}
        self.asked = []

    async def handle(self, call):
        task_id = decode(CancelRequest, call.body).task_id
        self.asked.append((call.subject, task_id))
        replies = self.replies.get(task_id, [Status.CANCELLED])
        said = replies.pop(0) if len(replies) > 1 else replies[0]
        if said is NEVER:
            await asyncio.Event().wait()
        if isinstance(said, ErrorInfo):
            return Reply(CancelReply(task_id=task_id, error=said).to_bytes(), said.code.value)
        return Reply(CancelReply(task_id=task_id, status=said).to_bytes())


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(cancelling, "RETRY_S", 0.0)


@pytest.fixture
async def orchestrator(bus):
    one = Orchestrator()
    endpoint = Endpoint("cancel", subjects.any_cancel(RESTRICTED), one.handle)
    await bus.serve(ServiceSpec("orchestrator", "1", "a stub", endpoints=(endpoint,)))
    return one


def wish(task_id):
    return Wish(task_id, RESTRICTED)


# ---------------------------------------------------------------- one


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (Status.CANCELLED, "cancelled"),
        (Status.COMPLETED, "completed before"),
        (Status.PARTIAL, "partial before"),
        (NO_SUCH, "unknown"),
        (ErrorInfo(code=ErrorCode.INTERNAL, message="a defect"), "failed"),
    ],
)
async def test_what_became_of_it_is_a_word(bus, orchestrator, said, word):
    orchestrator.replies["a"] = [said]

    ended = await cancel(bus, "shop", wish("a"))

    assert (ended.task_id, ended.word) == ("a", word)
    assert orchestrator.asked == [("slm.v1.cancel.shop.restricted", "a")]


@pytest.mark.parametrize("error", [busy(), away()])
async def test_what_may_pass_is_asked_again(bus, orchestrator, error, monkeypatch):
    monkeypatch.setattr(cancelling, "RETRY_S", 60.0)
    orchestrator.replies["a"] = [error, error, Status.CANCELLED]

    assert (await cancel(bus, "shop", wish("a"))).word == "cancelled"
    assert len(orchestrator.asked) == 3


async def test_a_mesh_that_stays_full_is_an_error_of_that_task(bus, orchestrator):
    orchestrator.replies["a"] = [busy()]

    ended = await cancel(bus, "shop", wish("a"))

    assert (ended.word, ended.error.code) == ("failed", ErrorCode.OVERLOADED)


async def test_where_no_orchestrator_answers_it_is_said_with_what_to_do(bus):
    with pytest.raises(ContractError, match=r"no orchestrator of restricted tasks.*serve orchestrator --classes restricted") as raised:
        await cancel(bus, "shop", wish("a"))

    assert raised.value.info.code is ErrorCode.UNAVAILABLE


async def test_no_answer_in_time_says_that_it_may_be_cancelled_all_the_same(bus, orchestrator, monkeypatch):
    monkeypatch.setattr(cancelling, "ANSWER_S", 0.01)
    orchestrator.replies["a"] = [NEVER]

    ended = await cancel(bus, "shop", wish("a"))

    assert (ended.word, ended.error.code) == ("failed", ErrorCode.EXPIRED)
    assert "all the same" in ended.error.message


async def test_what_is_no_id_is_asked_of_nobody(bus, orchestrator):
    ended = await cancel(bus, "shop", wish("a.b"))

    assert (ended.word, orchestrator.asked) == ("unknown", [])


# ---------------------------------------------------------------- many


async def test_many_are_each_asked_once(bus, orchestrator):
    ids = [f"t{number}" for number in range(5 * IN_HAND)]
    orchestrator.replies = {"t3": [Status.COMPLETED], "t7": [NO_SUCH]}

    ended = []
    await cancel_all(bus, "shop", stream(map(wish, ids)), ended.append)

    assert sorted(one.task_id for one in ended) == sorted(ids)
    assert sorted(task_id for _, task_id in orchestrator.asked) == sorted(ids)
    assert Counter(one.word for one in ended) == {"cancelled": 5 * IN_HAND - 2, "completed before": 1, "unknown": 1}


async def test_where_nobody_answers_many_are_one_error(bus):
    with pytest.raises(ContractError, match="no orchestrator"):
        await cancel_all(bus, "shop", stream(map(wish, ["a", "b", "c"])), print)


@pytest.mark.usefixtures("orchestrator")
async def test_each_is_told_when_it_is_known_however_slowly_the_ids_come(bus, soon):
    source, told = queue.SimpleQueue(), asyncio.Queue()
    cancelling_all = asyncio.create_task(cancel_all(bus, "shop", stream(iter(source.get, None)), told.put_nowait))

    for task_id in ("a", "b"):
        source.put(wish(task_id))
        assert (await soon(told.get())).task_id == task_id

    source.put(None)
    await soon(cancelling_all)


async def test_where_nobody_answers_no_further_id_is_waited_for(bus, soon):
    source = queue.SimpleQueue()
    source.put(wish("a"))

    with pytest.raises(ContractError, match="no orchestrator"):
        await soon(asyncio.create_task(cancel_all(bus, "shop", stream(iter(source.get, None)), print)))

    source.put(None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"order-1\n", [wish("order-1")]),
        (b"  order-1 \r\n", [wish("order-1")]),
        (b"\n \n", []),
        (b"last", [wish("last")]),
        (b'{"line": 1, "id": "a", "data_class": "public", "lane": "bulk"}\n', [Wish("a", DataClass.PUBLIC)]),
        (b'{"task_id": "a", "data_class": "internal"}\n', [Wish("a", DataClass.INTERNAL)]),
        (b'{"event": "submitted", "id": "a", "class": "internal"}\n', [Wish("a", DataClass.INTERNAL)]),
        (b'{"id": "a"}\n', [wish("a")]),
    ],
)
def test_an_id_is_read_from_a_line_or_from_an_object(line, expected):
    assert list(wishes_in(io.BytesIO(line), RESTRICTED)) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"{\n",
        b'{"id": 5, "data_class": "secret"}\n',
        b'{"text": "x"}\n',
        b"\xff\xfe\n",
        b"{" * 100_000,
        b"[1]\n",
        b'{"a": [' * 9_000,
        b"x" * LONGEST_LINE + b"y",
    ],
    ids=lambda line: line[:20],
)
@pytest.mark.usefixtures("orchestrator")
async def test_what_names_no_task_is_unknown_and_takes_no_other_with_it(bus, line):
    file = io.BytesIO(line + b"\nb\n")

    ended = []
    await cancel_all(bus, "shop", stream(wishes_in(file, RESTRICTED)), ended.append)

    assert {one.word for one in ended if one.task_id != "b"} == {"unknown"}
    assert [one.word for one in ended if one.task_id == "b"] == ["cancelled"]


# ---------------------------------------------------------------- the command


@pytest.fixture
async def call(broker, nats_bus):
    """Call the command at a real broker where this test is the orchestrator."""
    orchestrator = Orchestrator()
    orchestrator.replies = {"done": [Status.COMPLETED], "nobody": [NO_SUCH]}
    tenant = f"t{uuid.uuid4().hex[:8]}"
    endpoint = Endpoint("cancel", subjects.cancel(tenant, RESTRICTED), orchestrator.handle)
    serving = await nats_bus.serve(ServiceSpec(f"orchestrator-{tenant}", "1.0.0", "a stub", endpoints=(endpoint,)))

    async def called(*arguments):
        whole = ["cancel", "--tenant", tenant, "--nats", broker.url, *arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, whole, prog_name="smallmesh")

    yield called
    await serving.stop()


async def test_a_task_that_was_cancelled_is_success(call):
    ended = await call("a")

    assert (ended.exit_code, ended.stdout, ended.stderr) == (Exit.OK, "a: cancelled\n", "")


async def test_of_several_each_is_told_and_one_that_was_not_cancelled_is_an_exit_code(call):
    ended = await call("a", "done", "nobody")

    assert ended.exit_code == Exit.ERROR
    assert sorted(ended.stdout.splitlines()) == [
        "a: cancelled",
        "done: completed before",
        f"nobody: {NO_SUCH.message} (class restricted)",
    ]


async def test_a_program_is_told_in_json(call):
    ended = await call("a", "done", "nobody", "--json")

    told = {one["id"]: (one["status"], (one["error"] or {}).get("code")) for one in map(json.loads, ended.stdout.splitlines())}
    assert told == {"a": ("cancelled", None), "done": ("completed", None), "nobody": (None, "invalid_request")}
    assert (ended.exit_code, ended.stderr) == (Exit.ERROR, "")


async def test_a_class_that_nobody_serves_is_said_with_what_to_do(call):
    ended = await call("a", "--class", "public")

    assert (ended.exit_code, ended.stdout) == (Exit.NOBODY_THERE, "")
    assert "smallmesh serve orchestrator --classes public" in ended.stderr


def test_what_is_no_id_is_said_before_anything_is_asked():
    ended = CliRunner().invoke(app, ["cancel", "a.b", "--nats", "nats://127.0.0.1:1"], prog_name="smallmesh")

    assert ended.exit_code == Exit.USAGE
    assert "[A-Za-z0-9_-]{1,64}" in ended.output
