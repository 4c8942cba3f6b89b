"""One request of an agent into one answer: validation, the model call, its span and its log record."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from smallmesh.agent import Agent, Language, Model, Usage
from smallmesh.hosting.card import ModelCard
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
    check_size,
    decode,
    limits,
)

PROMPT_FILE = "prompt.toml"
RULES = "rules"
"""``model_id`` of an agent that has no model of its own and answers by rules."""


class Host(Protocol):
    """What lends out model ports: a hosted model, or nothing for an agent that answers by rules."""

    @property
    def card(self) -> ModelCard | None:
        """The model's card, if there is a model."""

    @property
    def passes(self) -> int:
        """Forward passes so far: it grows only while the model makes progress."""

    @property
    def writes(self) -> bool:
        """Whether the model writes texts, which can be heard while it does."""

    @property
    def turn(self) -> int | None:
        """Number of the pass that the model has in hand; None where there is none."""

    def abandon(self, why: Exception) -> None:
        """Give up a model that does not move: whoever waits for it gets ``why``."""

    def language_of(self, text: str) -> Language:
        """Return a text's language, and whether the model supports it."""

    def reader(self, lane: Lane, usage: Usage, language: Language, on_text: Callable[[str], None] | None = None) -> Model:
        """Return the model port for one request; ``on_text`` hears what the model writes, where it writes."""


class Answering:
    """Turns requests of one agent into answers. Both doors use it."""

    def __init__(self, agent: Agent[Any, Any], host: Host, folder: Path, *, template: str | None = None) -> None:
        """Answer for ``agent`` with the model that ``host`` lends; ``template`` is the hash of an instruct model's chat template."""
        self.agent = agent
        self.host = host
        card = host.card
        self.model_id = card.id if card else RULES
        self.sha256 = card.sha256 if card else None
        self.prompt_version = prompt_version(agent, card, folder, template=template)
        self._attributes = {
            names.GEN_AI_OPERATION: names.CALL_MODEL,
            names.GEN_AI_PROVIDER: names.LOCAL_PROVIDER,
            names.GEN_AI_REQUEST_MODEL: self.model_id,
            names.MODEL_SHA256: self.sha256 or "",
            names.PROMPT_VERSION: self.prompt_version,
            names.AGENT: agent.name,
        }

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
        language = self._language(request.text)
        usage = Usage()
        began = time.perf_counter()
        with self._span(address, lane, caller) as opened:
            async with asyncio.timeout(budget_s):
                result = self._validated(await self._respond(request, self.host.reader(lane, usage, language, on_text)))
            worked_ms = (time.perf_counter() - began) * 1000
            opened.set_attribute(names.GEN_AI_INPUT_TOKENS, usage.tokens)
            opened.set_attribute(names.WINDOWS, usage.windows)
            self._log(address, usage, worked_ms, result.confidence)
        return Answer(
            value=result.model_dump(mode="json"),
            marked=self.agent.marks(result),
            provenance=Provenance(
                model_id=self.model_id,
                sha256=self.sha256,
                prompt_version=self.prompt_version,
                confidence=result.confidence,
                language=language.code,
                answered_by=self.agent.name,
                windows=usage.windows,
                waited_ms=round(waited_ms, 3),
                worked_ms=round(worked_ms, 3),
            ),
        )

    def _language(self, text: str) -> Language:
        language = self.host.language_of(text)
        if not language.supported and not self.agent.any_language:
            supported = ", ".join(self.host.card.languages) if self.host.card else "none"
            message = f"the text is in {language.code!r}; the model of {self.agent.name} supports: {supported}"
            raise ContractError(ErrorCode.UNSUPPORTED_LANGUAGE, message)
        return language

    async def _respond(self, request: AgentRequest, model: Model) -> object:
        try:
            async with asyncio.timeout(self.agent.time_budget_s) as limit:
                return await self.agent.respond(request, model)
        except TimeoutError:
            if not limit.expired():
                raise
            message = f"no answer within the agent's own {self.agent.time_budget_s:g} s"
            raise ContractError(ErrorCode.MODEL_FAILED, message) from None

    def _validated(self, raw: object) -> AgentResult:
        """Return what the agent gave once it fits the agent's own result type, whatever it is."""
        if not isinstance(raw, AgentResult):
            raise ContractError(ErrorCode.INVALID_OUTPUT, f"the answer is no {self.agent.result.__name__}")
        given = raw.model_dump(warnings=False)  # a warning would quote the values
        result: AgentResult = self.agent.result.model_validate(given)
        return result

    def _span(self, address: Address | None, lane: Lane, caller: Mapping[str, str] | None) -> AbstractContextManager[Span]:
        attributes = {**self._attributes, names.LANE: lane.value}
        if address:
            attributes[names.TASK_ID] = address.task_id
        kind = "internal" if caller is None else "server"
        return span(f"{names.CALL_MODEL} {self.model_id}", kind, headers=caller, attributes=attributes)

    def _log(self, address: Address | None, usage: Usage, worked_ms: float, confidence: float | None) -> None:
        logger().info(
            "model_call",
            agent=self.agent.name,
            model_id=self.model_id,
            prompt_version=self.prompt_version,
            latency_ms=round(worked_ms, 3),
            windows=usage.windows,
            tokens=usage.tokens,
            confidence=confidence,
            task_id=address.task_id if address else None,
            tenant=address.tenant if address else None,
        )


def prompt_version(agent: Agent[Any, Any], card: ModelCard | None, folder: Path, *, template: str | None = None) -> str:
    """Return the hash of what turns a text into an answer besides the weights.

    Of an instruct model that is its prompt pack, calibration included, and its chat template; an encoder is shown neither.
    """
    parts: dict[str, object] = {
        "tuning": dict(agent.tuning()),
        "window": card.window if card else None,
        "pooling": card.pooling if card else None,
        "prompt": None,
    }
    if card and card.engine == "instruct":
        parts |= {"prompt": (folder / PROMPT_FILE).read_text(encoding="utf-8"), "template": template}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


class NoModel:
    """The port of an agent without a model; using it is the agent's mistake."""

    def __getattr__(self, method: str) -> Any:
        """Refuse whatever is asked.

        Raises:
            ContractError: ``model_failed``.
        """
        raise ContractError(ErrorCode.MODEL_FAILED, f"{method}: this agent's folder has no model.toml")


class RulesHost:
    """The host of an agent that answers by rules."""

    card: ModelCard | None = None
    template_sha256: str | None = None
    writes = False
    passes = 0
    turn: int | None = None

    async def start(self) -> None:
        """Have nothing to load."""

    async def stop(self) -> None:
        """Have nothing to free."""

    def abandon(self, why: Exception) -> None:
        """Have nothing to give up."""

    def language_of(self, text: str) -> Language:  # noqa: ARG002 - the form is the seam's
        """Know nothing of languages: rules that do look for themselves."""
        return Language()

    def reader(self, *_: object) -> Model:
        """Lend a port that refuses."""
        return NoModel()
