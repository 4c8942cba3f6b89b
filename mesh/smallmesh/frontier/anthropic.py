"""The one adapter to Anthropic, through its SDK. The only module that imports it."""

import asyncio
import logging
import math
import time
from typing import Annotated

import anthropic
import httpx2
from pydantic import BaseModel, Field, ValidationError, field_validator

from smallmesh.frontier import Completion, FrontierError, Spent
from smallmesh.frontier.prices import cost_usd
from smallmesh.telemetry import Span, logger, names, span
from smallmesh_contracts import ErrorCode

VENDOR_URL = "https://api.anthropic.com"
"""Said here, because the SDK would otherwise read ANTHROPIC_BASE_URL and send texts there."""
CONNECT_S = 5.0
"""A connection takes milliseconds; without one nothing was sent, and another try is free."""
_NOT_SERVED = frozenset({429, 500, 503, 529})
"""Too many requests, their own fault, out of service, overloaded: not served and not booked."""
_MAY_PASS_LATER = frozenset({408, 409, 502, 504})
_LONGEST_RETRY_AFTER_S = 24 * 3600.0

Count = Annotated[int, Field(ge=0)]


class _Block(BaseModel):
    type: str
    text: str | None = None


class _Usage(BaseModel):
    input_tokens: Count
    output_tokens: Count
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None


class _Reply(BaseModel):
    """What is read of an answer. The SDK builds its own types without validating them."""

    model: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")]
    stop_reason: str | None
    content: list[_Block]
    usage: _Usage

    @field_validator("content")
    @classmethod
    def _can_be_stored(cls, content: list[_Block]) -> list[_Block]:
        for block in content:
            (block.text or "").encode()  # half a surrogate pair, which JSON can carry and UTF-8 cannot, is a ValueError
        return content

    @property
    def text(self) -> str:
        return "".join(block.text or "" for block in self.content if block.type == "text").strip()

    @property
    def spent(self) -> Spent:
        used = self.usage
        read = used.input_tokens + (used.cache_creation_input_tokens or 0) + (used.cache_read_input_tokens or 0)
        return Spent(self.model, read, used.output_tokens, cost_usd(self.model, read, used.output_tokens))


class AnthropicFrontier:
    """A :class:`smallmesh.frontier.Frontier`: one of Anthropic's models.

    One call is one HTTP request. The SDK's own retries are off: they would be spent
    without anybody's budget, and wait for a Retry-After beyond the caller's deadline.
    Its spans are off too: the environment could put texts into them.
    """

    def __init__(self, model_id: str, api_key: str, base_url: str | None = None) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            model_id: As the vendor names it.
            api_key: Kept by the SDK's client and in no message, log or span.
            base_url: Another address than the vendor's: a gateway, or a test's server.
        """
        self._model_id = model_id
        self._client = anthropic.AsyncAnthropic(api_key=api_key, base_url=base_url or VENDOR_URL, max_retries=0, open_telemetry=False)
        _hush_sdk()

    @property
    def model_id(self) -> str:
        """The model that is asked."""
        return self._model_id

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def complete(self, *, system: str, prompt: str, max_tokens: int, timeout_s: float, prompt_version: str) -> Completion:
        """Answer one prompt; see :meth:`smallmesh.frontier.Frontier.complete`."""
        began = time.perf_counter()
        attributes: dict[str, str | int] = {
            names.GEN_AI_OPERATION: names.CALL_FRONTIER,
            names.GEN_AI_PROVIDER: names.ANTHROPIC,
            names.GEN_AI_REQUEST_MODEL: self._model_id,
            names.GEN_AI_MAX_TOKENS: max_tokens,
            names.PROMPT_VERSION: prompt_version,
        }
        with span(f"{names.CALL_FRONTIER} {self._model_id}", "client", attributes=attributes) as opened:
            status, spent = "interrupted", None
            try:
                completion = _completion(await self._ask(system, prompt, max_tokens, timeout_s), max_tokens)
                status, spent = ("truncated" if completion.truncated else "completed"), completion.spent
            except FrontierError as error:
                status, spent = error.info.code.value, error.spent
                raise
            finally:
                self._record(opened, status, spent, prompt_version, (time.perf_counter() - began) * 1000)
            return completion

    async def _ask(self, system: str, prompt: str, max_tokens: int, timeout_s: float) -> object:
        """Send the request and wait for the whole answer, whatever the SDK's inactivity timeout says."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._client.messages.create(
                    model=self._model_id,
                    max_tokens=max_tokens,
                    system=system,
                    messages=[{"role": "user", "content": prompt}],
                    timeout=anthropic.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
                )
        except TimeoutError:
            raise _expired(timeout_s) from None
        except anthropic.APIConnectionError as error:
            raise _unanswered(error, timeout_s) from None
        except anthropic.APIStatusError as error:
            raise _refused(error, self._model_id) from None
        except (anthropic.AnthropicError, ValueError, RecursionError) as error:  # a body that is not JSON, or endless
            raise FrontierError(ErrorCode.FRONTIER_FAILED, f"the frontier's answer cannot be read ({type(error).__name__})") from None

    def _record(self, opened: Span, status: str, spent: Spent | None, prompt_version: str, latency_ms: float) -> None:
        opened.set_attribute(names.STATUS, status)
        if spent:
            opened.set_attribute(names.GEN_AI_RESPONSE_MODEL, spent.model_id)
            opened.set_attribute(names.GEN_AI_INPUT_TOKENS, spent.input_tokens)
            opened.set_attribute(names.GEN_AI_OUTPUT_TOKENS, spent.output_tokens)
        if spent and spent.cost_usd is not None:
            opened.set_attribute(names.COST_USD, spent.cost_usd)
        logger().info(
            "frontier_call",
            requested_model_id=self._model_id,
            model_id=spent.model_id if spent else None,
            prompt_version=prompt_version,
            latency_ms=round(latency_ms, 3),
            input_tokens=spent.input_tokens if spent else None,
            output_tokens=spent.output_tokens if spent else None,
            cost_usd=spent.cost_usd if spent else None,
            status=status,
        )


def _hush_sdk() -> None:
    """Undo ANTHROPIC_LOG, which would write whole requests, texts included, to the log."""
    for name in ("anthropic", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _completion(answer: object, max_tokens: int) -> Completion:
    """Validate an answer and see how it ended.

    An answer cut off at ``max_tokens`` is paid for and of use, so it is given, marked
    as truncated. Every other end but the model's own is no answer.

    Raises:
        FrontierError: ``frontier_refused``, ``too_long`` or ``frontier_failed``, with what was spent.
    """
    try:
        reply = _Reply.model_validate(answer, from_attributes=True, strict=True)
    except ValidationError:
        raise FrontierError(ErrorCode.FRONTIER_FAILED, "the frontier's answer does not have the form of one") from None
    spent = reply.spent
    match reply.stop_reason:
        case "end_turn" | "stop_sequence" | "max_tokens" if reply.text:
            truncated = reply.stop_reason == "max_tokens"
            return Completion(reply.text, spent.model_id, spent.input_tokens, spent.output_tokens, spent.cost_usd, truncated)
        case "max_tokens":
            raise FrontierError(ErrorCode.FRONTIER_FAILED, f"no text within the limit of {max_tokens} tokens", final=True, spent=spent)
        case "refusal":
            raise FrontierError(ErrorCode.FRONTIER_REFUSED, "the frontier model refused this request", spent=spent)
        case "model_context_window_exceeded":
            raise FrontierError(ErrorCode.TOO_LONG, "text and answer do not fit into the frontier model's window", spent=spent)
        case _:
            raise FrontierError(ErrorCode.FRONTIER_FAILED, "the frontier model ended without an answer", spent=spent)


def _expired(timeout_s: float) -> FrontierError:
    return FrontierError(ErrorCode.EXPIRED, f"the frontier model gave no whole answer in {timeout_s:.1f} s")


def _unanswered(error: anthropic.APIConnectionError, timeout_s: float) -> FrontierError:
    """Tell a request that never left from one that may have been served, and booked."""
    if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
        return FrontierError(ErrorCode.UNAVAILABLE, "no connection to the frontier: check the network and SMALLMESH_FRONTIER_BASE_URL")
    if isinstance(error, anthropic.APITimeoutError):
        return _expired(timeout_s)
    return FrontierError(ErrorCode.FRONTIER_FAILED, "the connection to the frontier broke before it had answered")


def _refused(error: anthropic.APIStatusError, model_id: str) -> FrontierError:
    """Type an HTTP error by its status alone: the vendor's message may quote the request."""
    status = error.status_code
    match status:
        case 401 | 403:
            return FrontierError(ErrorCode.UNAUTHORIZED, f"the frontier did not accept the key (HTTP {status}): check ANTHROPIC_API_KEY")
        case 404:
            return FrontierError(
                ErrorCode.FRONTIER_FAILED, f"the frontier knows no model {model_id!r}: check SMALLMESH_FRONTIER_MODEL", final=True
            )
        case 413:
            return FrontierError(ErrorCode.TOO_LONG, "the request is larger than the frontier takes (HTTP 413)")
        case _ if status in _NOT_SERVED:
            after = _retry_after_s(error.response.headers.get("retry-after"))
            return FrontierError(ErrorCode.UNAVAILABLE, f"the frontier has no room or is out of order (HTTP {status})", retry_after_s=after)
        case _:
            final = status not in _MAY_PASS_LATER
            return FrontierError(ErrorCode.FRONTIER_FAILED, f"the frontier did not serve the request (HTTP {status})", final=final)


def _retry_after_s(header: str | None) -> float | None:
    """Read a Retry-After in seconds; the vendor sends no dates."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= _LONGEST_RETRY_AFTER_S else None
