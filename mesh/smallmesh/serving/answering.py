"""One request of an agent into one answer: validation, the model call, its span and its log record."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from smallmesh.agent import Agent, Language, Model, Usage
from smallmesh.serving.hosts import Host
from smallmesh.serving.source import Source
from smallmesh.telemetry import Span, logger, names, span
from smallmesh_contracts import (
    Address,
    AgentRequest,
    AgentResult,
    Answer,
    ContractError,
    ErrorCode,
    Lane,
    Provenance,
    Verdict,
    check_size,
    decode,
    limits,
)


class Answering:
    """Turns requests of one agent into answers. Both doors use it.

    Attributes:
        agent: The agent.
        first: What answers.
        next: What answers ``medium`` requests, where a second tier is loaded.
    """

    def __init__(self, agent: Agent[Any, Any], host: Host, folder: Path, following: Host | None = None) -> None:
        """Answer for ``agent`` with the model of ``host``, and ``medium`` requests with that of ``following``, where there is one."""
        self.agent = agent
        self.first = Source.of(agent, host, folder)
        self.next = None if following is None else Source.of(agent, following, folder)

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that may answer."""
        return (self.first,) if self.next is None else (self.first, self.next)

    def source(self, verdict: Verdict | None) -> Source:
        """Return what answers a request of this verdict."""
        return self.next if self.next is not None and verdict is Verdict.MEDIUM else self.first

    async def answer(  # noqa: PLR0913 - all but the first two by name
        self,
        body: bytes,
        lane: Lane,
        *,
        budget_s: float,
        waited_ms: float,
        address: Address | None = None,
        caller: Mapping[str, str] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Answer:
        """Answer one request.

        Args:
            body: The request's JSON.
            lane: Who goes first at the model.
            budget_s: Seconds that are left for it.
            waited_ms: Milliseconds it has waited until now.
            address: The task it belongs to, where it belongs to one.
            caller: Headers of the call that this answers, where no span of ours is open yet.
            on_text: Hears what the model writes, where it writes.

        Raises:
            ContractError: ``invalid_request``, ``too_long``, ``unsupported_language``.
            TimeoutError: The budget was used up.
            Exception: Whatever the agent raised.
        """
        request = decode(self.agent.request, body)
        check_size("text", request.text, limits.TEXT_BYTES[lane])
        source = self.source(request.verdict)
        language = self._language(source.host, request.text)
        usage = Usage()
        began = time.perf_counter()
        with _span(source, address, lane, caller) as opened:
            async with asyncio.timeout(budget_s):
                result = self._validated(await self._respond(request, source.host.reader(lane, usage, language, on_text), usage))
            worked_ms = (time.perf_counter() - began) * 1000
            opened.set_attribute(names.GEN_AI_INPUT_TOKENS, usage.tokens)
            opened.set_attribute(names.WINDOWS, usage.windows)
            self._log(source, address, usage, worked_ms, result.confidence)
        return Answer(
            value=result.model_dump(mode="json"),
            marked=self.agent.marks(result),
            provenance=Provenance(
                model_id=source.model_id,
                sha256=source.sha256,
                tier=source.tier,
                prompt_version=source.prompt_version,
                confidence=result.confidence,
                language=language.code,
                answered_by=self.agent.name,
                windows=usage.windows,
                waited_ms=round(waited_ms, 3),
                worked_ms=round(worked_ms, 3),
            ),
        )

    def _language(self, host: Host, text: str) -> Language:
        language = host.language_of(text)
        if not language.supported and not self.agent.any_language:
            supported = ", ".join(host.card.languages) if host.card else "none"
            message = f"the text is in {language.code!r}; the model of {self.agent.name} supports: {supported}"
            raise ContractError(ErrorCode.UNSUPPORTED_LANGUAGE, message)
        return language

    async def _respond(self, request: AgentRequest, model: Model, usage: Usage) -> object:
        budget_s, now = self.agent.time_budget_s, asyncio.get_running_loop().time

        def moved() -> None:
            if not limit.expired():
                limit.reschedule(now() + budget_s)

        usage.on_window = moved
        try:
            async with asyncio.timeout(budget_s) as limit:
                return await self.agent.respond(request, model)
        except TimeoutError:
            if not limit.expired():
                raise
            message = f"nothing came of it for the agent's own {budget_s:g} s"
            raise ContractError(ErrorCode.MODEL_FAILED, message) from None

    def _validated(self, raw: object) -> AgentResult:
        """Return what the agent gave once it fits the agent's own result type, whatever it is."""
        if not isinstance(raw, AgentResult):
            raise ContractError(ErrorCode.INVALID_OUTPUT, f"the answer is no {self.agent.result.__name__}")
        given = raw.model_dump(warnings=False)  # a warning would quote the values
        result: AgentResult = self.agent.result.model_validate(given)
        return result

    def _log(self, source: Source, address: Address | None, usage: Usage, worked_ms: float, confidence: float | None) -> None:
        logger().info(
            "model_call",
            agent=self.agent.name,
            model_id=source.model_id,
            tier=source.tier,
            prompt_version=source.prompt_version,
            latency_ms=round(worked_ms, 3),
            windows=usage.windows,
            tokens=usage.tokens,
            confidence=confidence,
            task_id=address.task_id if address else None,
            tenant=address.tenant if address else None,
        )


def _span(source: Source, address: Address | None, lane: Lane, caller: Mapping[str, str] | None) -> AbstractContextManager[Span]:
    attributes = {**source.attributes, names.LANE: lane.value}
    if address:
        attributes[names.TASK_ID] = address.task_id
    kind = "internal" if caller is None else "server"
    return span(f"{names.CALL_MODEL} {source.model_id}", kind, headers=caller, attributes=attributes)
