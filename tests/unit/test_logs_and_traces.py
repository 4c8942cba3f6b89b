"""Logs and traces: one trace over all hops, its id in every line, and no text anywhere."""

import io
import json
import logging
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from smallmesh.agent import Agent
from smallmesh.bus import Call
from smallmesh.serving.answering import Answering
from smallmesh.serving.asking import ask_service
from smallmesh.serving.hosts import RulesHost
from smallmesh.telemetry import configure_logs, configure_traces, current_trace_id, inject, logger, names, span, traces
from smallmesh_contracts import AgentRequest, AgentResult, Answer, Lane, Task, decode, subjects
from tests.support.town import Town

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
TRACE = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
SECRET = "the quagga's diagnosis"


class Echo(Agent[AgentRequest, AgentResult]):
    """Answers, or breaks down over what it read."""

    name = "echo"
    answer = "echo"
    description = "Echoes nothing"
    request = AgentRequest
    result = AgentResult
    breaks = False

    async def respond(self, request, _model):
        if self.breaks:
            raise ValueError(request.text)
        return AgentResult(confidence=0.5)


@pytest.fixture
def recorded(monkeypatch):
    """The spans that ended, in order."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traces, "_TRACER", provider.get_tracer("test"))
    return exporter.get_finished_spans


@dataclass
class Said:
    """What this process wrote while its logs were configured."""

    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)

    def lines(self):
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


@pytest.fixture
def said():
    """Configure the logs, and put everything back at the end."""
    written, root = Said(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with redirect_stdout(written.out), redirect_stderr(written.err):
        configure_logs("info", service="echo", replica="7")
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def ask(tmp_path):
    """Ask an agent that echoes nothing through its door."""

    async def call(text=SECRET, *, breaks=False, carried=None):
        agent = Echo()
        agent.breaks = breaks
        spec = ask_service(Answering(agent, RulesHost(), tmp_path), "1.0.0", {})
        body = AgentRequest(text=text).to_bytes() if isinstance(text, str) else text
        return await spec.endpoints[0].handler(Call(subjects.ask("echo"), body, carried or {}))

    return call


def test_a_line_is_one_json_object_with_level_time_and_whose_it_is(said):
    logger().info("started", port=1)

    (line,) = said.lines()

    assert (line["event"], line["level"], line["port"], line["service"], line["replica"]) == ("started", "info", 1, "echo", "7")
    assert line["timestamp"].endswith("Z")


@pytest.mark.usefixtures("recorded")
def test_a_line_within_a_span_carries_the_trace_and_one_outside_carries_none(said):
    with span("work", headers=TRACE):
        logger().info("inside")
    logger().info("outside")

    inside, outside = said.lines()

    assert inside["trace_id"] == TRACE_ID
    assert "trace_id" not in outside


def test_lines_under_the_level_are_not_written(said):
    logger().debug("small talk")

    assert said.lines() == []


def test_a_trace_goes_on_through_headers(recorded):
    with span("publish", "producer"):
        carried = inject({"Other": "kept"})
        sent_in = current_trace_id()
    with span("process", "consumer", headers=carried):
        assert current_trace_id() == sent_in

    publish, process = recorded()

    assert process.parent.span_id == publish.context.span_id
    assert carried["Other"] == "kept"


def test_a_clients_own_trace_is_taken_up(recorded):
    with span("process", headers=TRACE):
        pass

    (process,) = recorded()

    assert (f"{process.context.trace_id:032x}", f"{process.parent.span_id:016x}") == (TRACE_ID, PARENT_ID)


@pytest.mark.parametrize("carried", [{}, {"traceparent": ""}, {"traceparent": "quagga"}, {"traceparent": f"00-{'0' * 32}-{PARENT_ID}-01"}])
def test_a_message_without_a_trace_or_with_a_broken_one_begins_its_own(recorded, carried):
    with span("another message"), span("process", headers=carried):
        pass

    process, _ = recorded()

    assert process.parent is None


def test_outside_a_span_nothing_is_injected():
    assert inject({"Other": "kept"}) == {"Other": "kept"}
    assert current_trace_id() is None


def test_a_span_that_failed_says_the_type_of_the_error_and_never_its_words(recorded):
    with pytest.raises(ValueError, match="quagga"), span("work"):
        raise ValueError(SECRET)

    (work,) = recorded()

    assert work.status.status_code is StatusCode.ERROR
    assert work.attributes[names.ERROR_TYPE] == "ValueError"
    assert SECRET not in work.to_json()


@pytest.fixture
def unrecorded(monkeypatch):
    """A process that exports no spans."""
    monkeypatch.setattr(traces._Mode, "records", True)  # which is undone at the end
    configure_traces("echo", export=False)


@pytest.mark.usefixtures("unrecorded")
@pytest.mark.parametrize("client_records", ["00", "01"])
def test_without_an_exporter_nothing_is_recorded_and_the_trace_passes_through_as_it_came(client_records):
    came = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-{client_records}", "tracestate": "vendor=1"}

    with span("process", headers={**came, "Other": "dropped"}) as opened, span("within"):
        assert not opened.is_recording()
        assert current_trace_id() == TRACE_ID
        assert inject({"Mine": "kept"}) == {"Mine": "kept", **came}

    assert (inject(), current_trace_id()) == ({}, None)


@pytest.mark.usefixtures("unrecorded")
@pytest.mark.parametrize("carried", [{}, {"traceparent": "quagga"}, {"traceparent": f"00-{'0' * 32}-{PARENT_ID}-01"}])
def test_without_an_exporter_a_message_without_a_trace_begins_one_that_says_it_is_not_recorded(carried):
    with span("process", headers={"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}), span("another message", headers=carried):
        version, trace_id, parent_id, flags = inject()["traceparent"].split("-")

    assert (version, len(trace_id), len(parent_id), flags) == ("00", 32, 16, "00")
    assert trace_id != TRACE_ID


async def test_a_model_call_is_a_span_and_a_line_with_what_it_was(said, recorded, ask):
    reply = await ask(carried=TRACE)

    (line,) = said.lines()
    (call,) = recorded()
    provenance = decode(Answer, reply.body).provenance
    assert (line["event"], line["trace_id"], line["agent"], line["confidence"]) == ("model_call", TRACE_ID, "echo", 0.5)
    assert (line["model_id"], line["prompt_version"]) == (provenance.model_id, provenance.prompt_version)
    assert line["latency_ms"] >= 0
    assert call.attributes[names.GEN_AI_REQUEST_MODEL] == provenance.model_id
    assert call.attributes[names.PROMPT_VERSION] == provenance.prompt_version
    assert call.attributes[names.LANE] == Lane.INTERACTIVE.value
    assert (f"{call.parent.trace_id:032x}", call.kind) == (TRACE_ID, SpanKind.SERVER)


@pytest.mark.parametrize(
    "question",
    [
        {"text": SECRET},
        {"text": SECRET, "breaks": True},
        {"text": json.dumps({"words": SECRET}).encode()},
        {"text": json.dumps({"text": [SECRET]}).encode()},
        {"text": json.dumps({"text": SECRET * 2000}).encode()},
        {"text": SECRET.encode()},
    ],
    ids=["answered", "breaks", "wrong field", "wrong type", "too long", "no JSON"],
)
async def test_no_text_is_in_logs_spans_or_errors_whatever_happens(said, recorded, ask, question):
    reply = await ask(**question)

    assert len(said.lines()) == 1
    assert "quagga" not in said.out.getvalue() + said.err.getvalue()
    assert not any("quagga" in ended.to_json() for ended in recorded())
    assert b"quagga" not in reply.body


async def test_one_trace_goes_from_the_submission_through_every_step_to_the_result(recorded, new_address):
    town, address = Town(), new_address()
    steps, place = {}, subjects.submit(Lane.INTERACTIVE, address)
    store = town.bus.store

    async def remember(subject, body, carried=None, *, ttl_s=None):
        steps.setdefault(subject, dict(carried or {}))
        return await store(subject, body, carried, ttl_s=ttl_s)

    town.bus.store = remember
    await town.orchestrate()
    await town.hire()
    await store(place, Task(text=SECRET).to_bytes(), TRACE)
    await town.done(address)
    await town.close()

    published = {s: c["traceparent"].split("-")[1] for s, c in steps.items() if ".work." in s or ".done." in s}
    assert set(published.values()) == {TRACE_ID}
    assert len(published) == 5
    (task,) = [s for s in recorded() if s.name == names.PROCESS_TASK]
    assert task.attributes[names.TASK_ID] == address.task_id


def test_what_a_library_logs_is_a_record_like_our_own(said):
    logging.getLogger("some.library").warning("the collector at %s is away", "jaeger")

    (line,) = said.lines()
    assert (line["level"], line["logger"], line["service"]) == ("warning", "some.library", "echo")
    assert line["reason"] == "the collector at jaeger is away"
