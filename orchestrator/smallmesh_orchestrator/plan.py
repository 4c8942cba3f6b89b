"""Which step comes next: pure, from the task, the catalogue and the answers so far."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from smallmesh.catalogue import Catalogue
from smallmesh_contracts import AnalysisResult, Answer, ContractError, DataClass, ErrorCode, ErrorInfo, Evidence, Status, Verdict
from smallmesh_orchestrator.policy import Policy

COMPLEXITY = "complexity"
ANALYSIS = "analysis"
SUMMARY = "summary"
STAND_IN: Final = "local_summary"


@dataclass(frozen=True, slots=True)
class LocalStep:
    """One answer to be had from one agent."""

    agent: str
    answer: str


@dataclass(frozen=True, slots=True)
class FrontierStep:
    """One answer to be had from escalation, with the result that marked the request."""

    agent: str
    answer: str
    evidence: Evidence


Step = LocalStep | FrontierStep
Answers = Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans tasks for one catalogue under one policy."""

    catalogue: Catalogue
    policy: Policy

    def first(self, wanted: Sequence[str]) -> tuple[LocalStep, ...]:
        """Return the steps that need nothing but the text; all of them may run at once.

        Where an analysis is wanted the router's verdict is needed too.

        Raises:
            ContractError: ``unknown_answer``.
        """
        unknown = [answer for answer in wanted if self.catalogue.giver(answer) is None]
        if unknown:
            known = ", ".join(self.catalogue.answers)
            raise ContractError(ErrorCode.UNKNOWN_ANSWER, f"nobody gives {', '.join(unknown)}; there are: {known}")
        needed = dict.fromkeys((*wanted, COMPLEXITY) if ANALYSIS in wanted else wanted)
        return tuple(self._local(answer) for answer in needed if answer != ANALYSIS)

    @staticmethod
    def judge(steps: Sequence[LocalStep], second: Container[str]) -> LocalStep | None:
        """Return the router's step, where it must run before the others: its verdict decides which model of an agent answers.

        Args:
            steps: The first ones, of which some may run before the others.
            second: Names of the agents that have a second tier loaded.

        Returns:
            None where all may run at once: no other agent has a choice, or nobody wants a verdict.
        """
        if not any(step.agent in second and step.answer != COMPLEXITY for step in steps):
            return None
        return next((step for step in steps if step.answer == COMPLEXITY), None)

    def analysis(self, data_class: DataClass, answers: Answers) -> Step | Answer:
        """Return how the wanted analysis is to be had once the first steps are in, or what it is.

        A request that was not marked complex is answered by the local summary; a
        marked one goes to escalation if its class may leave.
        """
        verdict = answers[COMPLEXITY]
        if verdict.error is not None:
            return Answer(error=verdict.error)
        if not verdict.marked:
            return stand_in(answers[SUMMARY]) if SUMMARY in answers else self._summary()
        try:
            self.policy.check(data_class)
        except ContractError as refused:
            return Answer(error=refused.info)
        return FrontierStep(self._giver(ANALYSIS), ANALYSIS, Evidence(agent=self._giver(COMPLEXITY), answer=COMPLEXITY))

    def parts(self, wanted: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Return agent and answer of every result that says something about the wanted answers."""
        needed = dict.fromkeys((*wanted, COMPLEXITY, SUMMARY) if ANALYSIS in wanted else wanted)
        return tuple((giver, answer) for answer in needed if (giver := self.catalogue.giver(answer)) is not None)

    def cut_short(self, data_class: DataClass, wanted: Sequence[str], answers: Answers) -> dict[str, Answer]:
        """Return every wanted answer of a cancelled task: those that are there, and errors in the place of the others."""
        cut = {name: answers.get(name) or cancelled(self.catalogue.giver(name)) for name in wanted}
        if ANALYSIS in wanted and ANALYSIS not in answers and COMPLEXITY in answers:
            settled = self.analysis(data_class, answers)
            if isinstance(settled, Answer):
                cut[ANALYSIS] = settled
        return cut

    def refused(self, wanted: Sequence[str], error: ErrorInfo) -> dict[str, Answer]:
        """Return every wanted answer of a task that was refused as a whole."""
        return {name: Answer(error=error.model_copy(update={"step": self.catalogue.giver(name)})) for name in wanted}

    def _summary(self) -> LocalStep | Answer:
        try:
            return self._local(SUMMARY)
        except ContractError as nobody:
            return Answer(error=nobody.info)

    def _local(self, answer: str) -> LocalStep:
        return LocalStep(self._giver(answer), answer)

    def _giver(self, answer: str) -> str:
        giver = self.catalogue.giver(answer)
        if giver is None:
            raise ContractError(ErrorCode.UNKNOWN_ANSWER, f"nobody gives {answer} here")
        return giver


def stand_in(summary: Answer) -> Answer:
    """Return the local summary as the analysis, saying that it is one."""
    if summary.value is None:
        return Answer(error=summary.error)
    text = summary.value.get("summary")
    if not isinstance(text, str):
        return Answer(error=ErrorInfo(code=ErrorCode.INVALID_OUTPUT, message="the summary has no text that could stand in"))
    result = AnalysisResult(text=text, source=STAND_IN)
    return Answer(value=result.model_dump(mode="json"), provenance=summary.provenance)


def verdict_in(answer: Answer) -> Verdict | None:
    """Return the verdict that the router gave; None where it gave none that is known."""
    try:
        return Verdict(str((answer.value or {}).get("verdict")))
    except ValueError:
        return None


def status_of(answers: Answers) -> Status:
    """Return how a task ended that has these answers."""
    errors = [answer.error.code for answer in answers.values() if answer.error is not None]
    if not errors:
        return Status.COMPLETED
    if len(errors) < len(answers):
        return Status.PARTIAL
    return Status.EXPIRED if all(code is ErrorCode.EXPIRED for code in errors) else Status.FAILED


def whole(answer: Answer, agent: str) -> Answer:
    """Return an answer that has its value or its error; one with neither is the agent's fault."""
    if answer.value is None and answer.error is None:
        return Answer(error=ErrorInfo(code=ErrorCode.INVALID_OUTPUT, message="the answer has neither value nor error", step=agent))
    return answer


def out_of_time(agent: str, why: str = "no answer within the time budget") -> Answer:
    """Return the answer of a step that did not come in time."""
    return Answer(error=ErrorInfo(code=ErrorCode.EXPIRED, message=why, step=agent))


def cancelled(agent: str | None) -> Answer:
    """Return the answer of a step that was not there when its task was cancelled."""
    return Answer(error=ErrorInfo(code=ErrorCode.CANCELLED, message="the task was cancelled before this was answered", step=agent))
