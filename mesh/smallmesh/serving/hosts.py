"""What lends out model ports: the seam to a hosted model, and its stand-in for an agent that answers by rules."""

from collections.abc import Callable
from typing import Any, Protocol

from smallmesh.agent import Language, Model, Usage
from smallmesh.hosting.card import ModelCard
from smallmesh_contracts import ContractError, ErrorCode, Lane


class Host(Protocol):
    """What lends out model ports: a hosted model, or nothing for an agent that answers by rules."""

    @property
    def card(self) -> ModelCard | None:
        """The model's card, if there is a model."""

    @property
    def template_sha256(self) -> str | None:
        """Hash of the chat template of an instruct model, once it is loaded."""

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
