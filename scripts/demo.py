"""The mesh at work: a broker and every process of its own, the demo's documents through them, and what came back.

``scripts/demo`` makes the environment first where that is needed. Nothing is kept,
no process is left behind, and nothing is sent to a frontier model unless asked for.
"""

import argparse
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from smallmesh.catalogue import Catalogue
from smallmesh.cli.errors import report
from smallmesh.cli.exits import Exit
from smallmesh.cli.intake.lines import Line, LineReader, Submission
from smallmesh.cli.intake.submitting import Outcome, Submitter
from smallmesh.cli.output import console, notes, print_json
from smallmesh.cli.views.show import answer_text
from smallmesh.cli.where import connected
from smallmesh.frontier.prices import cost_usd, estimate_tokens, price_list
from smallmesh.frontier.prompt import FrontierPrompt
from smallmesh.settings import settings
from smallmesh.supervise import Mesh, ProcessInfo, ProcessState, run_until_signalled
from smallmesh.supervise.mesh import BROKER
from smallmesh_contracts import Answer, DataClass, ErrorCode, Lane, TaskResult, decode

DOCUMENTS = Path(__file__).with_name("demo_documents.jsonl")
TENANT = "demo"
ANALYSIS = "analysis"
FRONTIER_KEY = "ANTHROPIC_API_KEY"
READY_WITHIN_S = 20.0
DONE_WITHIN_S = 25.0
ANSWER_TOKENS = 500
"""Tokens of an analysis, assumed for the price: about a page."""
COLUMNS = {"sentiment": "sen", "entities": "ent", "summary": "sum", "complexity": "com"}
SUMMARY_CHARACTERS = 150
ENTITIES_CHARACTERS = 90
SENT = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.FRONTIER_FAILED, ErrorCode.FRONTIER_REFUSED, ErrorCode.BUDGET_EXHAUSTED})
"""Errors of an analysis that would have been the frontier's to give: every fence let it pass."""

BROKEN = frozenset({ErrorCode.MODEL_FAILED, ErrorCode.INVALID_OUTPUT, ErrorCode.INTERNAL, ErrorCode.EXPIRED, ErrorCode.OVERLOADED})
"""Errors that no document of the demo should end in, whatever it says."""


@dataclass(frozen=True, slots=True)
class Document:
    """One of the demo's documents, and what came back."""

    kind: str
    line: Line
    submission: Submission
    outcome: Outcome

    @property
    def answers(self) -> Mapping[str, Answer]:
        """Its answers, by what was wanted."""
        return self.outcome.result.answers if self.outcome.result is not None else {}

    @property
    def is_broken(self) -> bool:
        """Whether it has no result, or one that only a fault explains."""
        return self.outcome.result is None or any(_error_code(answer) in BROKEN for answer in self.answers.values())

    @property
    def is_the_frontiers(self) -> bool:
        """Whether its analysis went to the frontier, or would have with a key."""
        answer = self.answers.get(ANALYSIS)
        if answer is None:
            return False
        return answer.error.code in SENT if answer.error else (answer.value or {}).get("source") == "frontier"


@dataclass
class Times:
    """When what was reached, in seconds from the start."""

    began: float = field(default_factory=time.monotonic)
    ready_s: float = 0.0
    done_s: float = 0.0

    def now(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.began


def main() -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--frontier", action="store_true", help=f"send what is complex to the frontier: needs {FRONTIER_KEY}, costs money")
    chosen = parser.parse_args()
    if not chosen.frontier:
        os.environ.pop(FRONTIER_KEY, None)
    times = Times()
    try:
        documents = run_until_signalled(run(times, progress(quiet=chosen.json)))
    except Exception as error:
        code = report(error, as_json=chosen.json)
        if code is None:
            raise
        return code
    if documents is None:
        return Exit.INTERRUPTED
    print_all(documents, times, as_json=chosen.json)
    return Exit.ERROR if any(document.is_broken for document in documents) else Exit.OK


async def run(times: Times, shown: Progress) -> list[Document]:
    """Start a mesh, send the documents through it and stop it."""
    submissions = list(read_submissions(LineReader(TENANT, DataClass.RESTRICTED, Lane.BULK)))
    with shown:
        starting = shown.add_task(told("starting a broker and every process", shown), total=None)

        def changed(process: ProcessInfo) -> None:
            if process.state is ProcessState.READY:
                shown.advance(starting)

        async with Mesh.start(restart=False, on_change=changed) as mesh:
            shown.update(starting, total=sum(process.name != BROKER for process in mesh.processes))
            await mesh.ready(READY_WITHIN_S)
            times.ready_s = times.now()
            outcomes = await send(mesh.url, submissions, shown)
            times.done_s = times.now()
            told("stopping", shown)
    return list(documents_of(outcomes))


async def send(url: str, submissions: Sequence[Submission], shown: Progress) -> list[Outcome]:
    """Send all documents at once, and return what became of them."""
    working = shown.add_task(told(f"{len(submissions)} documents through the mesh", shown), total=len(submissions))
    outcomes: list[Outcome] = []

    def came(outcome: Outcome) -> None:
        outcomes.append(outcome)
        shown.advance(working)

    async with connected(url) as bus, Submitter(bus, TENANT, came, in_flight=len(submissions)) as submitter:
        for submission in submissions:
            await submitter.submit(submission)
        await submitter.finished(DONE_WITHIN_S)
    return outcomes


def progress(*, quiet: bool) -> Progress:
    """Return the bars that are shown meanwhile: at a terminal only."""
    columns = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True, quiet=quiet), disable=quiet or not notes.is_terminal)


def told(what: str, shown: Progress) -> str:
    """Return what is happening, and say it where no bar will."""
    if shown.disable:
        shown.console.print(what)
    return what


def read_submissions(reader: LineReader) -> Iterator[Submission]:
    """Read the documents.

    Raises:
        ValueError: One of them is not a task.
    """
    for number, raw in enumerate(DOCUMENTS.read_bytes().splitlines(), 1):
        read = reader.read(number, raw)
        if isinstance(read, Submission):
            yield read
        elif read is not None:
            raise ValueError(f"{DOCUMENTS.name}, line {number}: {read.error.message}")


def documents_of(outcomes: Iterable[Outcome]) -> Iterator[Document]:
    """Put outcomes beside their documents, by kind and then in the documents' order."""
    lines = DOCUMENTS.read_bytes().splitlines()
    read = {number: decode(Line, line) for number, line in enumerate(lines, 1) if line.strip()}
    kinds = {number: str((line.model_extra or {}).get("kind", "")) for number, line in read.items()}
    order = list(dict.fromkeys(kinds.values()))
    for outcome in sorted(outcomes, key=lambda o: (order.index(kinds[o.submission.line]), o.submission.line)):
        number = outcome.submission.line
        yield Document(kinds[number], read[number], outcome.submission, outcome)


def print_all(documents: Sequence[Document], times: Times, *, as_json: bool) -> None:
    """Print the documents and the totals."""
    totals = totals_of(documents, times)
    if as_json:
        print_json({"documents": [as_object(document) for document in documents], "totals": totals})
        return
    console.print(table_of(documents))
    print_totals(totals, console)


def as_object(document: Document) -> dict[str, Any]:
    """Return one document for a program."""
    outcome = document.outcome
    return {
        "id": document.submission.address.task_id,
        "kind": document.kind,
        "data_class": document.submission.address.data_class.value,
        "answered": where_of(document).plain,
        "result": outcome.result.model_dump(mode="json") if outcome.result else None,
        "error": outcome.error.model_dump(mode="json") if outcome.error else None,
    }


def table_of(documents: Sequence[Document]) -> Table:
    """Return the documents as a table, by kind."""
    table = Table(header_style="bold", show_edge=False, pad_edge=False, expand=True)
    table.add_column("document", ratio=4, min_width=18, overflow="fold")
    table.add_column("sentiment", min_width=10, ratio=2)
    table.add_column("entities", ratio=4)
    table.add_column("summary", ratio=7)
    table.add_column("verdict", min_width=8, ratio=2)
    table.add_column("answered", ratio=3, min_width=13)
    table.add_column("ms a step\n" + " ".join(f"{short:>4}" for short in COLUMNS.values()), no_wrap=True, min_width=19)
    for number, document in enumerate(documents):
        if number and document.kind != documents[number - 1].kind:
            table.add_section()
        table.add_row(*row_of(document))
    return table


def row_of(document: Document) -> tuple[Text, ...]:
    """Return one document's cells."""
    address = document.submission.address
    name = Text.assemble(address.task_id, (f"\n{document.kind}, {address.data_class.value}", "dim"))
    answers = document.answers
    cells = {wanted: cell_of(answers.get(wanted)) for wanted in COLUMNS}
    cells["summary"].truncate(SUMMARY_CHARACTERS, overflow="ellipsis")
    cells["entities"].truncate(ENTITIES_CHARACTERS, overflow="ellipsis")
    worked = (f"{ms:>4.0f}" if (ms := worked_ms(answers.get(wanted))) is not None else "   -" for wanted in COLUMNS)
    return (name, *cells.values(), where_of(document), Text(" ".join(worked)))


def cell_of(answer: Answer | None) -> Text:
    """Return an answer as it stands in the table: its value, or the code of its error."""
    if answer is None:
        return Text("-", "dim")
    return Text(answer.error.code.value, "red") if answer.error is not None else answer_text(answer)


def worked_ms(answer: Answer | None) -> float | None:
    """Return the milliseconds of work in an answer; None where there was none."""
    return answer.provenance.worked_ms if answer is not None and answer.provenance is not None else None


def where_of(document: Document) -> Text:
    """Say where a document was answered, and what became of a wanted analysis."""
    if document.outcome.result is None:
        error = document.outcome.error
        return Text(f"no result: {error.code.value if error else '?'}", "red")
    failed = sum(answer.error is not None for wanted, answer in document.answers.items() if wanted != ANALYSIS)
    local = (f"local, {failed} failed", "red") if failed else ("local", "green")
    answer = document.answers.get(ANALYSIS)
    if answer is None:
        return Text.assemble(local)
    if answer.error is not None:
        return Text.assemble(local, "; ", (f"frontier: {answer.error.code.value}", "magenta"))
    if (answer.value or {}).get("source") == "frontier":
        by = answer.provenance.model_id if answer.provenance else "frontier"
        return Text.assemble(local, "; analysis: ", (by, "magenta"))
    return Text.assemble(local, "; the summary stands in for the analysis")


def totals_of(documents: Sequence[Document], times: Times) -> dict[str, Any]:
    """Return the totals, times in milliseconds unless named otherwise."""
    results = [d.outcome.result for d in documents if d.outcome.result is not None]
    answers = [answer for document in documents for answer in document.answers.values()]
    local = sum(answer.value is not None and answer.value.get("source") != "frontier" for answer in answers)
    frontiers = [d for d in documents if d.is_the_frontiers]
    forbidden = sum(_error_code(d.answers.get(ANALYSIS)) is ErrorCode.CLASS_FORBIDDEN for d in documents)
    return {
        "documents": len(documents),
        "statuses": dict(Counter(result.status.value for result in results)),
        "task_ms": quantiles([result.took_ms for result in results]),
        "step_ms": {wanted: quantiles(steps_of(results, wanted)) for wanted in COLUMNS},
        "answers": len(answers),
        "answered_locally": local,
        "for_the_frontier": [d.submission.address.task_id for d in frontiers],
        "kept_by_class": forbidden,
        "list_price_usd": {model: {"those": price(frontiers, model), "all": price(documents, model)} for model in models_compared()},
        "prices_seen": price_list().seen,
        "ready_s": round(times.ready_s, 2),
        "documents_s": round(times.done_s - times.ready_s, 2),
        "whole_s": round(times.now(), 2),
    }


def _error_code(answer: Answer | None) -> ErrorCode | None:
    return answer.error.code if answer is not None and answer.error is not None else None


def steps_of(results: Iterable[TaskResult], wanted: str) -> list[float]:
    """Return how long each step for one answer worked, in milliseconds."""
    found = (worked_ms(result.answers.get(wanted)) for result in results)
    return [ms for ms in found if ms is not None]


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return P50 and P95; nothing of nothing."""
    if len(values) < 2:  # noqa: PLR2004 - quantiles need two
        return {}
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1)}


def models_compared() -> tuple[str, ...]:
    """Return the cheapest frontier model on the list and the one that escalation would call."""
    models = price_list().models
    cheapest = min(models, key=lambda model: models[model].input_usd + models[model].output_usd)
    return tuple(dict.fromkeys((cheapest, settings().frontier_model)))


def price(documents: Iterable[Document], model: str) -> float | None:
    """Return what analyses of some documents cost at list price, estimated; None where the model is not listed."""
    escalation = Catalogue.load(settings().agent_folders).services["escalation"]
    prompt = FrontierPrompt.load(escalation.folder / "prompt.toml")
    total = 0.0
    for document in documents:
        asked = prompt.system + prompt.fill(document.line.text, document.line.instruction)
        cost = cost_usd(model, estimate_tokens(asked), ANSWER_TOKENS)
        if cost is None:
            return None
        total += cost
    return round(total, 6)


def print_totals(totals: Mapping[str, Any], target: Console) -> None:
    """Print the totals for a person."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    statuses = ", ".join(f"{number} {status}" for status, number in totals["statuses"].items())
    table.add_row("documents", f"{totals['documents']}: {statuses}")
    table.add_row("task time", f"{_p(totals['task_ms'])}, all submitted at once")
    table.add_row("work a step", "; ".join(f"{wanted} {_p(ms)}" for wanted, ms in totals["step_ms"].items()))
    share = totals["answered_locally"] / max(1, totals["answers"])
    table.add_row("answered locally", f"{totals['answered_locally']} of {totals['answers']} answers, {share:.0%}")
    for name, text in frontier_rows(totals):
        table.add_row(name, text)
    whole = f"{totals['whole_s']:.1f} s: ready after {totals['ready_s']:.1f} s, then {totals['documents_s']:.1f} s for the documents"
    table.add_row("whole", whole)
    target.print()
    target.print(table)


def frontier_rows(totals: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return what would have gone to the frontier, and at which price."""
    those = totals["for_the_frontier"]
    yield "for the frontier", f"{len(those)} complex documents of which an analysis was wanted: {', '.join(those) or 'none'}"
    if totals["kept_by_class"]:
        yield "", f"{totals['kept_by_class']} more are complex and restricted: they never leave, whatever the price"
    for model, cost in totals["list_price_usd"].items():
        if cost["those"] is None:
            yield "list price", f"{model}: not on the price list"
        else:
            all_of_them = f"{cost['all']:.4f} USD had all {totals['documents']} gone there"
            yield "list price", f"{model}: {cost['those']:.4f} USD for those; {all_of_them}"
    yield "", f"estimated, with {ANSWER_TOKENS} tokens an answer, prices of {totals['prices_seen']}"


def _p(ms: Mapping[str, float]) -> str:
    return f"P50 {ms['p50']:.0f} ms, P95 {ms['p95']:.0f} ms" if ms else "-"


if __name__ == "__main__":
    sys.exit(main())
