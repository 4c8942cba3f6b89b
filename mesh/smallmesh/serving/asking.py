"""The ask door: a NATS service that answers at once, at most once."""

from collections.abc import Mapping

from smallmesh.bus import Call, Endpoint, Reply, ServiceSpec
from smallmesh.retry import error_of
from smallmesh.serving.answering import Answering
from smallmesh.telemetry import logger, names, span
from smallmesh_contracts import Answer, Lane, subjects

ASK_SLOTS = 64
"""Calls in hand or queued at the model; the next one is told to come back later."""


def ask_service(answering: Answering, version: str, metadata: Mapping[str, str], grace_s: float | None = None) -> ServiceSpec:
    """Describe the service of one agent: its ask endpoint, what ``$SRV.INFO`` says of it, and seconds for asks in hand at a stop."""
    agent = answering.agent

    async def handle(call: Call) -> Reply:
        try:
            answer = await answering.answer(call.body, Lane.INTERACTIVE, budget_s=agent.time_budget_s, waited_ms=0.0, caller=call.headers)
        except Exception as error:  # noqa: BLE001 - whoever asked gets every failure as a typed error
            info = error_of(error, agent.name)
            attributes = {names.AGENT: agent.name, names.ERROR_TYPE: info.code.value}
            with span(names.ANSWER_ASK, "server", headers=call.headers, attributes=attributes):
                logger().warning("ask_failed", code=info.code.value, reason=info.message)
            return Reply(Answer(error=info).to_bytes(), info.code.value)
        return Reply(answer.to_bytes())

    endpoint = Endpoint("ask", subjects.ask(agent.name), handle, {"answer": agent.answer})
    return ServiceSpec(agent.name, version, agent.description, metadata, (endpoint,), slots=ASK_SLOTS, grace_s=grace_s)
