"""The ask door of every agent: one answer, or one typed error, at once."""

import json

import pytest
from nats.micro.request import ERROR_CODE_HEADER, ERROR_HEADER

from smallmesh.hosting.card import load_card
from smallmesh_contracts import ErrorCode, limits
from tests.behaviour.conftest import GARBAGE
from tests.support.client import new_trace
from tests.support.meshes import records

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="session")]

TEXT = "Contoso opened an office in Lisbon on Monday. Anna Weber is thrilled with the new team. The rent is lower than in Paris."
SECRET = "quagga"
"""A word that no log may hold."""

INVALID = {
    "half a JSON": (b'{"text": "quagga', ErrorCode.INVALID_REQUEST),
    "no JSON": (b"quagga", ErrorCode.INVALID_REQUEST),
    "nothing at all": (b"", ErrorCode.INVALID_REQUEST),
    "invalid UTF-8": (b'{"text": "quagga \xff\xfe"}', ErrorCode.INVALID_REQUEST),
    "a lone surrogate": (b'{"text": "quagga \\ud800"}', ErrorCode.INVALID_REQUEST),
    "an endless nest": (b'{"text": ' + b"[" * 100_000, ErrorCode.INVALID_REQUEST),
    "a list": (b'["quagga"]', ErrorCode.INVALID_REQUEST),
    "no text": (b'{"words": "quagga"}', ErrorCode.INVALID_REQUEST),
    "an empty text": (b'{"text": ""}', ErrorCode.INVALID_REQUEST),
    "a blank text": (b'{"text": " \\n\\t "}', ErrorCode.INVALID_REQUEST),
    "a number for a text": (b'{"text": 5}', ErrorCode.INVALID_REQUEST),
    "null for a text": (b'{"text": null}', ErrorCode.INVALID_REQUEST),
    "a text over the limit": (json.dumps({"text": "quagga " * 5000}).encode(), ErrorCode.TOO_LONG),
    "a text over the limit in bytes": (json.dumps({"text": "é" * (limits.KIB * 16 + 1)}).encode(), ErrorCode.TOO_LONG),
}


async def test_an_ask_is_answered_by_the_agents_own_result(agent, client):
    answer, reply = await client.ask(agent.agent.name, {"text": TEXT})

    assert answer.error is None
    assert type(answer.value_as(agent.agent.result)) is agent.agent.result
    assert ERROR_CODE_HEADER not in reply.headers


async def test_an_answer_says_where_it_comes_from(agent, client):
    card = load_card(agent.folder)

    answer, _ = await client.ask(agent.agent.name, {"text": TEXT})

    provenance = answer.provenance
    assert (provenance.model_id, provenance.sha256, provenance.answered_by) == (card.id, card.sha256, agent.agent.name)
    assert len(provenance.prompt_version) == 12
    assert provenance.confidence is None or 0 <= provenance.confidence <= 1
    assert provenance.confidence == answer.value["confidence"]
    assert provenance.language in {*card.languages, "und"}
    assert provenance.windows >= 1
    assert provenance.waited_ms >= 0
    assert provenance.worked_ms > 0


async def test_the_same_text_gets_the_same_answer(agent, client):
    first, _ = await client.ask(agent.agent.name, {"text": TEXT})
    second, _ = await client.ask(agent.agent.name, {"text": TEXT})

    assert first.value == second.value
    assert first.provenance.prompt_version == second.provenance.prompt_version


async def test_fields_of_a_later_minor_version_are_ignored(agent, client):
    answer, _ = await client.ask(agent.agent.name, {"text": TEXT, "a_field_of_tomorrow": {"deep": [1, 2]}})

    assert answer.error is None


@pytest.mark.parametrize("body", [text.encode() for text in ("...", "1", "\u200b.", "東京", "\x00 nul", "a" * 5000, "🦓 " * 200)])
async def test_an_odd_text_gets_an_answer_or_a_typed_refusal(agent, client, body):
    answer, _ = await client.ask(agent.agent.name, {"text": body.decode()})

    assert answer.error is None or answer.error.code in {ErrorCode.INVALID_REQUEST, ErrorCode.UNSUPPORTED_LANGUAGE}


@pytest.mark.parametrize(("body", "code"), INVALID.values(), ids=INVALID.keys())
async def test_an_invalid_request_is_refused_with_a_typed_error(agent, client, body, code):
    answer, reply = await client.ask(agent.agent.name, body)

    assert (answer.value, answer.error.code, answer.error.step) == (None, code, agent.agent.name)
    assert (reply.headers[ERROR_CODE_HEADER], reply.headers[ERROR_HEADER]) == (code.value, code.value)
    assert SECRET not in answer.error.message


async def test_a_trace_goes_through_an_ask_into_the_log(agent, client, mesh):
    trace_id, carried = new_trace()

    await client.ask(agent.agent.name, {"text": TEXT}, carried)

    (call,) = records(mesh, agent.agent.name, "model_call", trace_id=trace_id)
    assert call["model_id"] == load_card(agent.folder).id
    assert call["latency_ms"] > 0
    assert call["prompt_version"]


async def test_who_answers_says_what_it_hosts(agent, client):
    card = load_card(agent.folder)

    told = await client.info(agent.agent.name)

    assert (told["answer"], told["model_id"], told["sha256"]) == (agent.agent.answer, card.id, card.sha256)
    assert told["result_schema"] == f"slm.v1.{agent.agent.result.__name__}"


@pytest.mark.parametrize("name", GARBAGE)
async def test_output_that_does_not_fit_its_type_never_comes_back(client, name):
    answer, reply = await client.ask(name, {"text": "anything"})

    assert (answer.value, answer.error.code, answer.error.step) == (None, ErrorCode.INVALID_OUTPUT, name)
    assert reply.headers[ERROR_CODE_HEADER] == "invalid_output"
