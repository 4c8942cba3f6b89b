"""What to do about an error, where its code alone says it."""

from collections.abc import Mapping

from smallmesh_contracts import ErrorCode, ErrorInfo

_NEXT: Mapping[ErrorCode, str] = {
    ErrorCode.ID_CONFLICT: "choose another id",
    ErrorCode.TOO_LONG: "split it, or submit it in the bulk lane, which takes 512 KiB",
    ErrorCode.UNSUPPORTED_LANGUAGE: "`smallmesh models ls` says which languages each model reads",
    ErrorCode.UNKNOWN_ANSWER: "`smallmesh agents` says who gives what",
    ErrorCode.EXPIRED: "give it more time with --timeout, or start another replica",
    ErrorCode.NOT_MARKED: "the router did not judge it complex, so no frontier model may be asked",
    ErrorCode.CLASS_FORBIDDEN: "if the text may leave the installation, say so with --class",
    ErrorCode.BUDGET_EXHAUSTED: "raise the budget, or wait for the next window",
    ErrorCode.MODEL_FAILED: "the agent's log says why",
    ErrorCode.INVALID_OUTPUT: "the agent's log says why",
}


def next_step(error: ErrorInfo) -> str | None:
    """Return what to do next; None where only the error's own message can say."""
    if error.code in _NEXT:
        return _NEXT[error.code]
    if not error.retryable:
        return None
    return f"try again in {error.retry_after_s:g} s" if error.retry_after_s else "try again later"
