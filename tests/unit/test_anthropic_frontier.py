"""The real SDK against a local server: every outcome is typed, bounded in time and free of texts and keys."""

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import pytest
from anthropic._utils._logs import setup_logging
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr
from structlog.testing import capture_logs

from smallmesh.frontier import FrontierError
from smallmesh.frontier.anthropic import AnthropicFrontier
from smallmesh.frontier.build import build_frontier
from smallmesh.frontier.missing import NoFrontier
from smallmesh.settings import Settings
from smallmesh.telemetry import traces
from smallmesh.testing import fake_frontier as fake
from smallmesh_contracts import ErrorCode

KEY = "sk-ant-of-a-test-0123456789"
SECRET = "the patient is called Ottilie"
MODEL = "claude-sonnet-5-5"


@asynccontextmanager
async def frontier(server, **changed):
    adapter = AnthropicFrontier(MODEL, KEY, changed.get("base_url") or server.url)
    yield adapter
    await adapter.close()


async def ask(adapter, *, timeout_s=5.0, max_tokens=64):
    return await adapter.complete(system="You analyse.", prompt=SECRET, max_tokens=max_tokens, timeout_s=timeout_s, prompt_version="abc123")


async def outcome(reply, **how):
    with fake.FakeFrontier(reply) as server:
        async with frontier(server) as adapter:
            with pytest.raises(FrontierError) as raised:
                await ask(adapter, **how)
        return raised.value, server


@pytest.fixture
def spans(monkeypatch):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traces, "_TRACER", provider.get_tracer("test"))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)  # where the SDK would look for one
    yield exporter
    provider.shutdown()


async def test_an_answer_brings_its_text_its_model_and_what_it_cost():
    with fake.FakeFrontier(fake.answered("All is well.", model=f"{MODEL}-20260901", input_tokens=1000, output_tokens=100)) as server:
        async with frontier(server) as adapter:
            completion = await ask(adapter)

    assert completion.text == f"{fake.LABEL} All is well."
    assert (completion.model_id, completion.input_tokens, completion.output_tokens) == (f"{MODEL}-20260901", 1000, 100)
    assert completion.cost_usd == pytest.approx(0.003)
    assert not completion.truncated


async def test_the_request_holds_what_was_asked_and_no_sampling_parameters():
    with fake.FakeFrontier() as server:
        async with frontier(server) as adapter:
            await ask(adapter, max_tokens=77)

    sent = server.received[0]
    assert sent.body == {"model": MODEL, "max_tokens": 77, "system": "You analyse.", "messages": [{"role": "user", "content": SECRET}]}
    assert KEY in " ".join(sent.headers.values())


async def test_tokens_read_from_a_cache_are_counted_as_input():
    reply = fake.answered(input_tokens=10, output_tokens=1, cache_read_input_tokens=5, cache_creation_input_tokens=7)
    with fake.FakeFrontier(reply) as server:
        async with frontier(server) as adapter:
            assert (await ask(adapter)).input_tokens == 22


async def test_an_answer_cut_off_at_its_limit_is_given_and_says_so():
    with fake.FakeFrontier(fake.answered("Half a", stop_reason="max_tokens")) as server:
        async with frontier(server) as adapter:
            assert (await ask(adapter)).truncated


@pytest.mark.parametrize(
    ("reply", "code", "retryable"),
    [
        (fake.failed(429), ErrorCode.UNAVAILABLE, True),
        (fake.failed(500), ErrorCode.UNAVAILABLE, True),
        (fake.failed(503), ErrorCode.UNAVAILABLE, True),
        (fake.failed(529), ErrorCode.UNAVAILABLE, True),
        (fake.failed(401), ErrorCode.UNAUTHORIZED, False),
        (fake.failed(403), ErrorCode.UNAUTHORIZED, False),
        (fake.failed(400), ErrorCode.FRONTIER_FAILED, False),  # also how a spending limit is told
        (fake.failed(402), ErrorCode.FRONTIER_FAILED, False),
        (fake.failed(404), ErrorCode.FRONTIER_FAILED, False),
        (fake.failed(413), ErrorCode.TOO_LONG, False),
        (fake.failed(504), ErrorCode.FRONTIER_FAILED, True),
        (fake.refused(), ErrorCode.FRONTIER_REFUSED, False),
        (fake.answered(stop_reason="model_context_window_exceeded"), ErrorCode.TOO_LONG, False),
        (fake.answered("", stop_reason="max_tokens"), ErrorCode.FRONTIER_FAILED, False),
        (fake.answered(""), ErrorCode.FRONTIER_FAILED, True),
        (fake.answered(stop_reason="pause_turn"), ErrorCode.FRONTIER_FAILED, True),
        (fake.answered(stop_reason="something_new"), ErrorCode.FRONTIER_FAILED, True),
        (fake.hanging_up(), ErrorCode.FRONTIER_FAILED, True),
        (fake.hanging_up(0), ErrorCode.FRONTIER_FAILED, True),
    ],
)
async def test_every_other_end_is_a_typed_error_after_one_request(reply, code, retryable):
    error, server = await outcome(reply)

    assert error.info.code is code
    assert error.info.retryable is retryable
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "message", "content": [{"te',
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"words"',
        b"{}",
        fake.answered(output_tokens=-1).body,
        fake.answered("\ud800").body,
        fake.answered(model="\ud800").body,
        fake.answered(model="words about a text").body,
        json.dumps({**json.loads(fake.answered().body), "content": "words"}).encode(),
        json.dumps({**json.loads(fake.answered().body), "content": [{"type": "text", "text": 7}]}).encode(),
        json.dumps({**json.loads(fake.answered().body), "usage": None}).encode(),
        b"[" * 100_000,
    ],
)
async def test_an_answer_that_has_not_the_form_of_one_is_never_passed_on(body):
    error, _ = await outcome(fake.garbled(body))

    assert error.info.code is ErrorCode.FRONTIER_FAILED


async def test_a_refusal_says_what_it_cost():
    error, _ = await outcome(fake.answered("", stop_reason="refusal", model=MODEL, input_tokens=1_000_000, output_tokens=0))

    assert error.spent is not None
    assert error.spent.cost_usd == pytest.approx(2.0)


@pytest.mark.parametrize(("header", "seconds"), [("30", 30.0), ("0.5", 0.5), ("-1", None), ("nan", None), ("inf", None), ("soon", None)])
async def test_a_sensible_retry_after_is_passed_on_and_not_waited_for(header, seconds):
    began = time.perf_counter()

    error, _ = await outcome(fake.rate_limited(header))

    assert error.info.retry_after_s == seconds
    assert time.perf_counter() - began < 10


async def test_an_answer_that_drips_is_given_up_at_the_wall_clock():
    began = time.perf_counter()

    error, _ = await outcome(fake.dripping(), timeout_s=0.4)

    assert error.info.code is ErrorCode.EXPIRED
    assert 0.3 < time.perf_counter() - began < 10


async def test_an_answer_that_never_begins_is_given_up_at_the_wall_clock():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        adapter = AnthropicFrontier(MODEL, KEY, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(FrontierError) as raised:
            await ask(adapter, timeout_s=0.3)
        await adapter.close()

    assert raised.value.info.code is ErrorCode.EXPIRED


async def test_without_a_connection_nothing_was_sent_so_another_try_is_free():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    adapter = AnthropicFrontier(MODEL, KEY, url)

    with pytest.raises(FrontierError) as raised:
        await ask(adapter)
    await adapter.close()

    assert raised.value.info.code is ErrorCode.UNAVAILABLE
    assert raised.value.info.retryable


async def test_a_cancelled_call_stays_cancelled_and_is_on_record():
    with fake.FakeFrontier(fake.dripping()) as server, capture_logs() as logs:
        async with frontier(server) as adapter:
            call = asyncio.create_task(ask(adapter))
            while not server.received:  # noqa: ASYNC110 - the server is a thread
                await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    assert [record["status"] for record in logs] == ["interrupted"]


@pytest.mark.parametrize(
    "reply", [fake.failed(400, SECRET + KEY), fake.failed(401, SECRET + KEY), fake.failed(529, SECRET), fake.refused(), fake.garbled()]
)
async def test_neither_key_nor_text_is_in_an_error_a_log_record_or_a_span(reply, spans, caplog):
    caplog.set_level(logging.INFO)
    with capture_logs() as logs:
        error, _ = await outcome(reply)

    told = f"{error.info} {error!r} {logs} {caplog.text} {[span.to_json() for span in spans.get_finished_spans()]}"
    assert SECRET not in told
    assert KEY not in told
    assert len(logs) == len(spans.get_finished_spans()) == 1


async def test_each_call_is_one_span_and_one_log_record_with_tokens_and_cost(spans):
    with fake.FakeFrontier(fake.answered("Well.", model=MODEL, input_tokens=1000, output_tokens=100)) as server, capture_logs() as logs:
        async with frontier(server) as adapter:
            await ask(adapter)

    (span,) = spans.get_finished_spans()
    assert span.name == f"chat {MODEL}"
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.response.model": MODEL,
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
        "smallmesh.cost_usd": pytest.approx(0.003),
        "smallmesh.prompt_version": "abc123",
        "smallmesh.status": "completed",
    }
    (record,) = logs
    assert record["latency_ms"] > 0
    assert {k: record[k] for k in ("event", "model_id", "prompt_version", "input_tokens", "output_tokens", "status")} == {
        "event": "frontier_call",
        "model_id": MODEL,
        "prompt_version": "abc123",
        "input_tokens": 1000,
        "output_tokens": 100,
        "status": "completed",
    }


async def test_our_trace_is_not_told_to_the_vendor(spans):
    with fake.FakeFrontier() as server, traces.span("around"):
        async with frontier(server) as adapter:
            await ask(adapter)

    assert "traceparent" not in server.received[0].headers
    assert len(spans.get_finished_spans()) == 2


async def test_the_sdks_own_switches_cannot_make_it_tell_texts_or_send_them_elsewhere(monkeypatch, spans, caplog):
    monkeypatch.setenv("ANTHROPIC_LOG", "debug")
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE", "content")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    setup_logging()  # as the SDK does when it is loaded
    with fake.FakeFrontier() as server:
        async with frontier(server) as adapter:
            await ask(adapter)

    assert [span.name for span in spans.get_finished_spans()] == [f"chat {MODEL}"]
    assert caplog.text == ""
    assert len(server.received) == 1
    assert str(AnthropicFrontier(MODEL, KEY)._client.base_url).startswith("https://api.anthropic.com")


UNCONFIGURED = """
import sys
from smallmesh.frontier.build import build_frontier
from smallmesh.settings import Settings
print(type(build_frontier(Settings(_env_file=None))).__name__, "anthropic" in sys.modules)
"""


def test_without_a_key_the_sdk_is_not_even_loaded():
    without = {name: value for name, value in os.environ.items() if name != "ANTHROPIC_API_KEY"}

    done = subprocess.run([sys.executable, "-c", UNCONFIGURED], env=without, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["NoFrontier", "False"]


@pytest.mark.parametrize("key", [None, "", "   ", "sk-ant\nX-Other: 1", "sk-ant-…"])
async def test_without_a_usable_key_every_call_is_unavailable_for_good_and_says_what_to_set(key):
    chosen = Settings().model_copy(update={"anthropic_api_key": None if key is None else SecretStr(key)})

    built = build_frontier(chosen)
    with pytest.raises(FrontierError, match="ANTHROPIC_API_KEY") as raised:
        await ask(built)

    assert isinstance(built, NoFrontier)
    assert raised.value.info.code is ErrorCode.UNAVAILABLE
    assert not raised.value.info.retryable


async def test_with_a_key_the_configured_model_is_asked_at_the_configured_address():
    with fake.FakeFrontier() as server:
        changed = {"anthropic_api_key": SecretStr(f" {KEY}\n"), "frontier_base_url": server.url, "frontier_model": "claude-haiku-5-5"}
        built = build_frontier(Settings().model_copy(update=changed))
        await ask(built)
        await built.close()

    assert built.model_id == server.received[0].body["model"] == "claude-haiku-5-5"
