"""The complexity router: how hard a request is, and so whether a frontier model may be asked."""

from smallmesh.agent import Agent, Model
from smallmesh.hosting.requests import TEXT_CHARACTERS, render_request
from smallmesh_contracts import ComplexityRequest, ComplexityResult, Verdict

SURE_FROM = 0.75


class ComplexityRouter(Agent[ComplexityRequest, ComplexityResult]):
    """Judges instruction and first window of the text, with their lengths."""

    name = "complexity_router"
    answer = "complexity"
    description = "Judges whether a request is simple, medium or complex; only complex ones may reach a frontier model"
    request = ComplexityRequest
    result = ComplexityResult

    async def respond(self, request: ComplexityRequest, model: Model) -> ComplexityResult:
        """Return the verdict with its probabilities and reasons."""
        shown = render_request(request.instruction, request.text)
        (window,) = await model.classify(shown, max_windows=1)
        probabilities = {v.value: window.probabilities[v.value] for v in Verdict}
        verdict = max(Verdict, key=lambda v: probabilities[v.value])
        return ComplexityResult(
            verdict=verdict,
            probabilities=probabilities,
            confidence=probabilities[verdict.value],
            reasons=_reasons(request, verdict, probabilities, unread=len(shown) - window.end),
        )

    def marks(self, result: ComplexityResult) -> bool:
        """Mark what is complex, rather than what the router is unsure of."""
        return result.verdict is Verdict.COMPLEX


def _reasons(request: ComplexityRequest, verdict: Verdict, probabilities: dict[str, float], *, unread: int) -> tuple[str, ...]:
    length = len(request.text.strip())
    unread += max(0, length - TEXT_CHARACTERS)
    reasons = [
        "judged by the instruction" if request.instruction else "no instruction: judged by the text alone",
        f"p({verdict.value}) = {probabilities[verdict.value]:.2f}",
    ]
    if unread:
        reasons.append(f"long text: the first {max(0, length - unread):,} of its {length:,} characters were read")
    if probabilities[verdict.value] < SURE_FROM:
        second = max((p, label) for label, p in probabilities.items() if label != verdict.value)[1]
        reasons.append(f"close to {second}")
    return tuple(reasons)


AGENT = ComplexityRouter()
