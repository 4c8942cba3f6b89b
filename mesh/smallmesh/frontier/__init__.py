"""The frontier port: a large model that somebody else hosts. ``anthropic`` is its one adapter."""

from dataclasses import dataclass
from typing import Protocol

from smallmesh_contracts import ContractError, ErrorCode


@dataclass(frozen=True, slots=True)
class Spent:
    """What one call cost, whether or not it gave an answer.

    Attributes:
        model_id: The model that really answered, as the vendor names it.
        input_tokens: As booked by the vendor.
        output_tokens: As booked by the vendor.
        cost_usd: At list price; None where the price is not known.
    """

    model_id: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Completion:
    """What a frontier model answered.

    Attributes:
        text: The answer.
        model_id: The model that really answered, as the vendor names it.
        input_tokens: As booked by the vendor.
        output_tokens: As booked by the vendor.
        cost_usd: At list price; None where the price is not known.
        truncated: Whether the answer was cut off at ``max_tokens``.
    """

    text: str
    model_id: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    truncated: bool = False

    @property
    def spent(self) -> Spent:
        """What the answer cost."""
        return Spent(self.model_id, self.input_tokens, self.output_tokens, self.cost_usd)


class FrontierError(ContractError):
    """A frontier call that gave no answer, and what it cost all the same.

    Attributes:
        spent: None where the vendor booked nothing, or did not say what.
    """

    def __init__(
        self, code: ErrorCode, message: str, *, final: bool = False, retry_after_s: float | None = None, spent: Spent | None = None
    ) -> None:
        """Make an error of the closed list.

        Args:
            code: Which.
            message: What is wrong and what to do; neither text nor key may be in it.
            final: The same request would fail again, whatever the code usually means.
            retry_after_s: When to try again, where the vendor said so.
            spent: What was booked.
        """
        super().__init__(code, message, retry_after_s=retry_after_s)
        self.spent = spent
        if final:
            self.info = self.info.model_copy(update={"retryable": False})


class Frontier(Protocol):
    """A frontier model."""

    @property
    def model_id(self) -> str:
        """The model that is asked."""

    async def complete(self, *, system: str, prompt: str, max_tokens: int, timeout_s: float, prompt_version: str) -> Completion:
        """Answer one prompt with one request, within a wall-clock time.

        An adapter never tries again by itself: whoever holds the budget decides that.

        Args:
            system: What the model is to be.
            prompt: What it is to do, with the text.
            max_tokens: Most that it may answer.
            timeout_s: Seconds until the call is given up.
            prompt_version: For the span and the log record of the call.

        Raises:
            FrontierError: ``unavailable`` (no key, no connection, overloaded there: nothing was served),
                ``unauthorized``, ``frontier_refused``, ``frontier_failed``, ``too_long`` or ``expired``.
        """
