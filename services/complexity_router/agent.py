"""The complexity router: how hard a request is, and so whether a frontier model may be asked."""

from smallmesh.agent import Agent, Model
from smallmesh.hosting.requests import render_request
from smallmesh_contracts import ComplexityRequest, ComplexityResult, Verdict

LONG_TEXT_WORDS = 400
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
        (window,) = await model.classify(render_request(request.instruction, request.text), max_windows=1)
        probabilities = {v.value: window.probabilities[v.value] for v in Verdict}
        verdict = max(Verdict, key=lambda v: probabilities[v.value])
        return ComplexityResult(
            verdict=verdict,
            probabilities=probabilities,
            confidence=probabilities[verdict.value],
            reasons=_reasons(request, verdict, probabilities),
        )

    def marks(self, result: ComplexityResult) -> bool:
        """Mark what is complex, rather than what the router is unsure of."""
        return result.verdict is Verdict.COMPLEX


def _reasons(request: ComplexityRequest, verdict: Verdict, probabilities: dict[str, float]) -> tuple[str, ...]:
    words = len(request.text.split())
    reasons = [
        "judged by the instruction" if request.instruction else "no instruction: judged by the text alone",
        f"p({verdict.value}) = {probabilities[verdict.value]:.2f}",
    ]
    if words >= LONG_TEXT_WORDS:
        reasons.append(f"long text: {words} words, of which the first window was read")
    if probabilities[verdict.value] < SURE_FROM:
        second = max((p, label) for label, p in probabilities.items() if label != verdict.value)[1]
        reasons.append(f"close to {second}")
    return tuple(reasons)


AGENT = ComplexityRouter()
