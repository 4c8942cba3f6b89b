"""Backends that have nothing of ours but JSON and subjects: the examples of docs/integrate.md and the transcripts, on the real mesh."""

import json
import os
import re
import shlex
import sys
from pathlib import Path

import nats
import pytest
import pytest_asyncio

from smallmesh_contracts import Task
from tests.support.client import new_address
from tests.support.examples import EXAMPLES, Missing, go_program, lines, node, node_folder, ran
from tests.support.patience import until
from tests.support.transcripts import Replay, read, transcripts

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

TEXT = "👩‍💻 Zoë Brandt of Contoso moved to Lisbon. 🎉"
ROOT = Path(__file__).parents[2]
README = (ROOT / "contracts" / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "integrate.md").read_text(encoding="utf-8")
WRONG = {
    "name": "wrong",
    "says": "Nothing of this is so.",
    "steps": [
        {
            "do": "request",
            "subject": "slm.v1.ask.sentiment",
            "body": {"text": TEXT},
            "expect": {
                "json": {
                    "marked": 5,
                    "error": {"code": "internal"},
                    "value": {
                        "label": {"$one_of": ["a", "b"]},
                        "probabilities": {"$type": "array", "$pattern": "a"},
                        "confidence": {"$between": [2, 3]},
                        "reasons": {"$contains": 1},
                        "left_out": [1],
                    },
                    "provenance": {
                        "answered_by": {"$pattern": "^x"},
                        "model_id": {"$all": [{"$type": "string"}, {"$type": "number"}]},
                        "sha256": None,
                        "windows": {"$each": 1},
                        "language": {"$slice_of": TEXT},
                        "nothing": "there",
                    },
                },
                "headers": {"Nats-Service-Error-Code": "internal"},
            },
        }
    ],
}


def need(make, *arguments):
    """Make what a language needs, or skip saying why; in CI there is no excuse for Node."""
    try:
        return make(*arguments)
    except Missing as missing:
        if os.environ.get("CI") == "true" and make is not go_program:
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def node_programs(tmp_path_factory):
    return need(node_folder, tmp_path_factory.mktemp("node"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def connection(real):
    connected = await nats.connect(real.url)
    yield connected
    await connected.close()


@pytest.fixture(scope="module", params=["node", "python", "go"])
def enrich(request, tmp_path_factory):
    """The command that runs the first example of a language."""
    if request.param == "node":
        return [node(), request.getfixturevalue("node_programs") / "enrich.mjs"]
    if request.param == "go":
        return [need(go_program, tmp_path_factory.mktemp("go"))]
    return [sys.executable, EXAMPLES / "python" / "enrich.py"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(real, enrich):
    """What the first example of a language prints."""
    return {key: value for line in lines(await ran(*enrich, TEXT, url=real.url)) for key, value in line.items()}


@pytest.fixture(params=["node", "python"])
def dones(request):
    """The command that prints the results of a tenant."""
    if request.param == "node":
        return [node(), request.getfixturevalue("node_programs") / "dones.mjs"]
    return [sys.executable, EXAMPLES / "python" / "dones.py"]


# ---------------------------------------------------------------- transcripts


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replayed_by_node(real, node_programs):
    """What Node's replayer prints of every transcript, by name."""
    end = await ran(node(), node_programs / "replay.mjs", *transcripts().values(), url=real.url)
    assert end.err == ""
    return {line["name"]: line["problems"] for line in map(json.loads, end.out.splitlines())}


@pytest.mark.parametrize("name", transcripts())
async def test_a_transcript_holds_for_a_client_in_node(replayed_by_node, name):
    assert replayed_by_node[name] == []


@pytest.mark.parametrize("name", transcripts())
async def test_a_transcript_holds_for_a_client_in_python(connection, name):
    assert await Replay(connection).all_of(read(transcripts()[name])) == []


async def test_both_replayers_see_what_does_not_hold_and_agree_where(connection, real, node_programs, tmp_path):
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(WRONG), encoding="utf-8")

    end = await ran(node(), node_programs / "replay.mjs", file, url=real.url)

    told = json.loads(end.out)["problems"]
    places = sorted(re.findall(r": ((?:json|headers)[\w.$-]*):", "\n".join(told)))
    told_here = await Replay(connection).all_of(read(file))
    assert end.status == 1
    assert places == sorted(re.findall(r": ((?:json|headers)[\w.$-]*):", "\n".join(told_here)))
    assert len(places) == 15


# ---------------------------------------------------------------- the examples


async def test_the_example_submits_cancels_too_late_asks_and_runs(told):
    submitted = told["submit"]
    assert (submitted["status"], submitted["error"], submitted["metadata"]) == ("completed", None, {"ticket": 4711})
    assert submitted["first"] is True
    assert (told["cancel"]["status"], told["cancel"]["error"]) == ("completed", None)
    assert told["ask"]["label"] in {"negative", "neutral", "positive"}
    assert told["run"]["status"] == "completed"
    assert "Lisbon" in json.dumps(told["run"]["summary"])


async def test_the_example_cuts_names_out_of_a_text_with_emoji(told):
    found = told["entities"] if isinstance(told["entities"], list) else told["entities"]["entities"]
    assert told["names"] == [entity.get("text", entity.get("Text")) for entity in found]
    assert "Lisbon" in told["names"]


async def test_the_example_of_a_durable_reader_gets_each_result_once(real, customer, dones):
    one = new_address()
    addresses = [one, *(type(one)(one.tenant, one.data_class, f"{one.task_id}-{n}") for n in range(3))]
    for address in addresses[:3]:
        await customer.whole(address, Task(text=TEXT, wanted=("summary",), metadata={"id": address.task_id}))

    first = lines(await ran(*dones, one.tenant, one.data_class.value, "3", url=real.url))
    await customer.whole(addresses[3], Task(text=TEXT, wanted=("summary",)))
    second = lines(await ran(*dones, one.tenant, one.data_class.value, "1", url=real.url))

    assert first == [{"id": a.task_id, "status": "completed", "metadata": {"id": a.task_id}} for a in addresses[:3]]
    assert [line["id"] for line in second] == [addresses[3].task_id]


async def test_what_the_page_sends_at_the_command_line_is_answered(connection):
    commands = re.findall(r"^\$ nats request (.*)$", PAGE, re.MULTILINE)

    submitted, done, cancelled, asked, ran_, info, traced = [await requested(connection, shlex.split(command)) for command in commands]

    assert (submitted["stream"], submitted.get("error")) == ("SLM_TASKS", None)
    assert (done["task_id"], done["status"], ran_["status"]) == ("ticket-4713", "completed", "completed")
    assert (cancelled["task_id"], cancelled["status"], cancelled["error"]) == ("ticket-4713", "completed", None)
    assert all(each["value"]["label"] in {"negative", "neutral", "positive"} for each in (asked, traced))
    assert (info["name"], [endpoint["subject"] for endpoint in info["endpoints"]]) == ("sentiment", ["slm.v1.ask.sentiment"])


async def requested(connection, command):
    """Send what ``nats request`` would; what is read and not yet there is asked for again."""
    subject, body, *options = command
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert given.keys() <= {"-H", "--timeout"}
    carried = dict([given["-H"].split(":", 1)]) if "-H" in given else None

    async def reply():
        message = await connection.request(subject, body.encode(), timeout=60, headers=carried)
        return None if (message.headers or {}).get("Status") == "404" else json.loads(message.data)

    return await until(reply, f"an answer to {subject}")


# ---------------------------------------------------------------- the typed client


async def test_the_readmes_example_of_the_client_runs(real, capsys):
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "smallmesh_contracts.client" in block)
    made: dict[str, object] = {}
    exec(example, made)  # the README's own code

    await made["main"](real.url)

    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert printed[0].startswith("completed ")
    assert printed[1].split()[0] in {"negative", "neutral", "positive"}
    assert printed[2].startswith("completed ")
