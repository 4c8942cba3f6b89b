"""What came of a case: the answer or its error, and what it took."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, JsonValue

from smallmesh.agent import Language, Model, Usage
from smallmesh.hosting.card import ModelCard
from smallmesh.retry import error_of
from smallmesh.serving.answering import Answering
from smallmesh.serving.hosts import Host
from smallmesh_contracts import ErrorInfo, Lane, limits

BUDGET_S = 60.0
"""Seconds one case may take; what takes longer ends as ``expired``."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Outcome(_Value):
    """What came of one case.

    Attributes:
        value: The agent's result, where it gave one.
        error: Why there is none.
        ms: Milliseconds from request to answer, everything included that an idle replica does.
        tokens: How many tokens its model read.
        windows: In how many windows.
    """

    value: dict[str, JsonValue] | None = None
    error: ErrorInfo | None = None
    ms: float
    tokens: int = 0
    windows: int = 0


class Served(_Value):
    """What answers: the same facts that every answer carries."""

    model_id: str
    sha256: str | None = None
    prompt_version: str


class Memory(_Value):
    """Resident memory of the agent's own process, in megabytes (10⁶ bytes); absent where the system does not tell.

    Attributes:
        before: With the chassis loaded, before the agent, its libraries and its model.
        ready: With the agent ready to answer.
        peak: The most there was until the last answer.
    """

    before: float | None = None
    ready: float | None = None
    peak: float | None = None


class Ready(_Value):
    """The first thing that an agent's own process says."""

    served: Served


class Failed(_Value):
    """What it says instead where it cannot answer.

    Attributes:
        message: Why, and what to do.
        model: Whether it is the model.
    """

    message: str
    model: bool


class Answerer(Protocol):
    """What answers cases, one after another."""

    @property
    def served(self) -> Served:
        """What answers."""

    def answer(self, body: bytes) -> Outcome:
        """Answer one request."""


class Counted:
    """An agent that answers and says what it took."""

    def __init__(self, answering: Answering) -> None:
        """Answer through ``answering``, whose model ports are counted from now on."""
        self._answering = answering
        first = answering.first
        self._host = _CountingHost(first.host)
        answering.first = replace(first, host=self._host)
        self.served = Served(model_id=first.model_id, sha256=first.sha256, prompt_version=first.prompt_version)

    async def answer(self, body: bytes) -> Outcome:
        """Answer one request; every failure is an outcome."""
        lane = Lane.INTERACTIVE if len(body) <= limits.TEXT_BYTES[Lane.INTERACTIVE] else Lane.BULK
        self._host.usage = Usage()
        began = time.perf_counter()
        told: dict[str, Any] = {}
        try:
            told["value"] = (await self._answering.answer(body, lane, budget_s=BUDGET_S, waited_ms=0.0)).value
        except Exception as error:  # noqa: BLE001 - a failure is counted, by its code
            told["error"] = error_of(error, self._answering.agent.name)
        ms = (time.perf_counter() - began) * 1000
        return Outcome(**told, ms=ms, tokens=self._host.usage.tokens, windows=self._host.usage.windows)


class _CountingHost:
    """A host that remembers what its last model port took."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.usage = Usage()

    @property
    def card(self) -> ModelCard | None:
        return self._host.card

    @property
    def template_sha256(self) -> str | None:
        return self._host.template_sha256

    @property
    def passes(self) -> int:
        return self._host.passes

    @property
    def turn(self) -> int | None:
        return self._host.turn

    def abandon(self, why: Exception) -> None:
        self._host.abandon(why)

    def language_of(self, text: str) -> Language:
        return self._host.language_of(text)

    @property
    def writes(self) -> bool:
        return self._host.writes

    def reader(self, lane: Lane, usage: Usage, language: Language, on_text: Callable[[str], None] | None = None) -> Model:
        self.usage = usage
        return self._host.reader(lane, usage, language, on_text)
