"""What an agent is: everything its author needs, and nothing of broker, clock or environment."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from smallmesh_contracts import AgentRequest, AgentResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Req = TypeVar("Req", bound=AgentRequest)
Res = TypeVar("Res", bound=AgentResult)


@dataclass(frozen=True, slots=True)
class WindowScores:
    """What a classifier says of one window.

    Attributes:
        start: Offset of the window's first character in the text.
        end: Offset after its last.
        tokens: How many tokens the model read.
        probabilities: Calibrated, by label; they sum to 1.
    """

    start: int
    end: int
    tokens: int
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TaggedWord:
    """A word with its BIO label and that label's probability."""

    start: int
    end: int
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Language:
    """The language of a text, as far as it could be told.

    Attributes:
        code: ISO 639-1 (639-3 for languages that have no such code), ``und`` where it is not certain.
        supported: Whether the agent's model was trained on it; an uncertain language is given the benefit of the doubt.
    """

    code: str = "und"
    supported: bool = True


@dataclass(slots=True)
class Usage:
    """What one answer took of its model so far.

    Attributes:
        windows: Windows of the text that the model is done with.
        tokens: Tokens that it read and wrote for them.
        on_window: Called after each of them.
    """

    windows: int = 0
    tokens: int = 0
    on_window: Callable[[], None] | None = None

    def count(self, tokens: int) -> None:
        """Add a window."""
        self.windows += 1
        self.tokens += tokens
        if self.on_window is not None:
            self.on_window()


class Model(Protocol):
    """The model port: which of its methods a model serves follows from its card.

    Each method raises :class:`smallmesh_contracts.ContractError` (``model_failed``)
    where the model cannot do what is asked.
    """

    @property
    def language(self) -> Language:
        """Return the language of the request's text."""

    async def classify(self, text: str, *, max_windows: int | None = None) -> Sequence[WindowScores]:
        """Return label probabilities, window by window."""

    async def tag(self, text: str) -> Sequence[TaggedWord]:
        """Return the words of the text with their labels, in order; words that belong to nothing (``O``) may be left out."""

    async def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return one unit vector a text, shape ``(len(texts), n_embd)``."""

    @property
    def writes(self) -> bool:
        """Whether the model can :meth:`write`: an agent that can do without asks this first."""

    async def write(self, text: str, **fields: str | int) -> str:
        """Return sentences of the model's own about a text; ``fields`` are the other fields of the prompt pack's input."""


class AgentSettings(BaseModel):
    """What an operator may set for an agent; its fields are read from ``SMALLMESH_<AGENT>_<FIELD>``.

    A field that is a tuple takes names separated by commas.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class Agent(ABC, Generic[Req, Res]):
    """One single-purpose agent. ``agent.py`` of its folder holds one instance, ``AGENT``.

    The chassis owns everything around :meth:`respond`: subscriptions, heartbeats,
    retries, dead letters, spans, logs and health.

    Attributes:
        name: The folder's name.
        answer: The one answer it gives, as clients name it in ``wanted``.
        description: One sentence for people, shown in ``$SRV.INFO``.
        request: Type of what it reads; fields are taken from ``text`` and ``instruction``.
        result: Type of what it gives.
        time_budget_s: Seconds that one answer may go on without the model being done with another window of the text, before
            the step counts as failed. So it is the same for a large model as for a small one; the whole has the task's deadline.
        confidence_threshold: Calibrated confidence under which an answer marks the
            request complex; None where confidence says nothing.
        any_language: Whether :meth:`respond` is called for texts in languages that the model does not
            support too, and looks at ``model.language`` itself; otherwise the chassis refuses them.
        settings: What an operator may set, with its defaults; the chassis puts what was set in its place.
    """

    name: ClassVar[str]
    answer: ClassVar[str]
    description: ClassVar[str]
    request: type[Req]
    result: type[Res]
    time_budget_s: ClassVar[float] = 300.0
    confidence_threshold: ClassVar[float | None] = None
    any_language: ClassVar[bool] = False
    settings: AgentSettings = AgentSettings()

    @abstractmethod
    async def respond(self, request: Req, model: Model) -> Res:
        """Answer one request. Nothing but the request, the model and the settings may be read."""

    def prepare(self) -> None:
        """Load what answering needs, once, before the process says that it is ready; it runs on a thread of its own."""

    def marks(self, result: Res) -> bool:
        """Tell whether a result marks its request complex."""
        return self.confidence_threshold is not None and result.confidence is not None and result.confidence < self.confidence_threshold

    def tuning(self) -> Mapping[str, Any]:
        """Return what else turns a text into an answer; part of the prompt version."""
        return {"threshold": self.confidence_threshold, **self.settings.model_dump(mode="json")}
