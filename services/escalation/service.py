"""Escalation: the one way to a frontier model, and only for what is proven to be complex."""

from pathlib import Path

from smallmesh.frontier import Completion, FrontierError
from smallmesh.frontier.audit import AuditTrail
from smallmesh.frontier.prompt import FrontierPrompt
from smallmesh.service import Escalation, Ports, Service
from smallmesh_contracts import AnalysisResult, Answer, ContractError, DataClass, ErrorCode, Evidence, Provenance, Verdict, is_subject_safe

PROMPT = FrontierPrompt.load(Path(__file__).with_name("prompt.toml"))
ANALYSIS = "analysis"
ROUTER = Evidence(agent="complexity_router", answer="complexity")
"""Whose stored verdict marks an analysis: its credentials alone can write that result."""
MAY_LEAVE = frozenset({DataClass.PUBLIC, DataClass.INTERNAL})
"""Listed by what may leave, so that a class added later stays in the house until somebody decides."""
RESERVE_S = 0.25
"""Left of the budget for storing the answer: one that comes after the deadline is paid for nothing."""
CLAIM_RESERVE_S = 5.0
"""A claim outlives its call by this, so that the answer is stored before another delivery may call: a store is tried again for
seconds where the broker is away."""
LONGEST_CALL_S = 120.0
"""Bulk tasks have a day; an answer of full length takes a minute. A call that hangs must not hold its message longer."""
TRIES = 3
"""Fewer than the chassis' deliveries: the last one ends in a typed answer, not in a dead letter."""
LEAST_CALL_S = 5.0
"""With less than this left, another try would only run into the deadline."""


class RefusedError(ContractError):
    """A fence holds: the frontier must not be called."""


class EscalationService(Service):
    """Tests every fence itself, claims the answer, calls the frontier once, and leaves two audit records a decision."""

    name = "escalation"
    answer = ANALYSIS
    description = "Has a frontier model analyse what the router marked complex; refuses everything else."

    async def respond(self, asked: Escalation, ports: Ports) -> Answer:
        """Answer what is marked. Raises only what the chassis should try again."""
        trail = AuditTrail(asked, ports, PROMPT.version)
        try:
            await _test_fences(asked, ports)
        except RefusedError as refused:
            await trail.write("refuse", code=refused.info.code.value)
            await trail.write("refused", code=refused.info.code.value)
            return self._without_value(refused)
        timeout_s = min(max(0.0, asked.budget_s - RESERVE_S), LONGEST_CALL_S)
        await ports.claim(asked, timeout_s + CLAIM_RESERVE_S)
        await trail.write("call", model_id=ports.frontier.model_id)
        try:
            completion = await _complete(asked, ports, timeout_s)
        except ContractError as error:
            await trail.write("failed", code=error.info.code.value, spent=error.spent if isinstance(error, FrontierError) else None)
            if _worth_another_try(error, asked, trail.elapsed_ms / 1000):
                raise
            return self._without_value(error)
        await trail.write("truncated" if completion.truncated else "answered", spent=completion.spent)
        return _answer(completion, round(asked.waited_ms, 3), trail.elapsed_ms)

    def _without_value(self, error: ContractError) -> Answer:
        return Answer(error=error.info.model_copy(update={"step": self.name}))


SERVICE = EscalationService()


async def _test_fences(asked: Escalation, ports: Ports) -> None:
    if asked.address.data_class not in MAY_LEAVE:
        raise RefusedError(ErrorCode.CLASS_FORBIDDEN, f"{asked.address.data_class.value} text does not leave this installation")
    if not await _is_marked(asked, ports):
        raise RefusedError(ErrorCode.NOT_MARKED, "no stored result that may mark this request says that it is complex")
    if asked.answer != ANALYSIS:
        raise RefusedError(ErrorCode.UNKNOWN_ANSWER, f"escalation gives {ANALYSIS} and nothing else")


def _may_mark(asked: Escalation) -> bool:
    """Tell whether the named result is one that may mark this answer."""
    evidence = asked.step.evidence
    return evidence == ROUTER if asked.answer == ANALYSIS else evidence.answer == asked.answer and is_subject_safe(evidence.agent)


async def _is_marked(asked: Escalation, ports: Ports) -> bool:
    """Tell whether a stored result that may mark this answer marks just this text as complex."""
    if not _may_mark(asked):
        return False
    try:
        stored = await ports.stored(asked.address, asked.step.evidence)
    except ContractError as error:
        if error.info.code is ErrorCode.INVALID_REQUEST:
            return False  # what is stored there is no result: it proves nothing
        raise
    if stored is None or stored.digest != asked.step.digest or not stored.answer.marked:
        return False
    return asked.answer != ANALYSIS or (stored.answer.value or {}).get("verdict") == Verdict.COMPLEX.value


async def _complete(asked: Escalation, ports: Ports, timeout_s: float) -> Completion:
    prompt = PROMPT.fill(asked.step.request.text, asked.step.request.instruction)
    call = ports.frontier.complete
    return await call(system=PROMPT.system, prompt=prompt, max_tokens=PROMPT.max_tokens, timeout_s=timeout_s, prompt_version=PROMPT.version)


def _worth_another_try(error: ContractError, asked: Escalation, spent_s: float) -> bool:
    """Tell whether nothing was served, something may be the next time, and there is time left for it."""
    left_s = asked.budget_s - spent_s - (error.info.retry_after_s or 0.0)
    return error.info.code is ErrorCode.UNAVAILABLE and error.info.retryable and asked.deliveries < TRIES and left_s >= LEAST_CALL_S


def _answer(completion: Completion, waited_ms: float, worked_ms: float) -> Answer:
    cut = f"\n\n[cut off: this answer reached its limit of {PROMPT.max_tokens} tokens]" if completion.truncated else ""
    result = AnalysisResult(text=completion.text + cut, source="frontier")
    source = Provenance(
        model_id=completion.model_id, prompt_version=PROMPT.version, answered_by=SERVICE.name, waited_ms=waited_ms, worked_ms=worked_ms
    )
    return Answer(value=result.model_dump(mode="json"), provenance=source)
