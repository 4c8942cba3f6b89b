"""``smallmesh ask``: one agent, at once."""

import asyncio
from typing import Annotated

import typer

from smallmesh.cli.completing import complete_agents
from smallmesh.cli.exits import Exit
from smallmesh.cli.options import AsJson, File, Instruction, Nats, Text, read_text
from smallmesh_contracts import Answer, ContractError, ErrorCode, StepInput, Verdict, decode, limits, subjects
from smallmesh_contracts.address import Lane

EXAMPLES = (
    ("smallmesh ask sentiment 'The parcel came late, but the support was kind.'", "one answer, in a few milliseconds"),
    ("smallmesh ask ner --file letter.txt", "the letter with its entities marked, and their normal forms"),
    ("pdftotext report.pdf - | smallmesh ask summarizer -", "the text from a pipe"),
    ("smallmesh ask complexity_router 'We were sued.' --instruction 'What are our options?'", "the router judges text and instruction"),
    ("smallmesh ask sentiment --verdict medium 'Fine, if you like waiting.'", "the agent's second model, where one is loaded"),
    ("smallmesh ask summarizer --json 'First. Second. Third.'", "the whole answer with its provenance, for a program"),
)


def command(  # noqa: PLR0913 - its options
    *,
    agent: Annotated[
        str,
        typer.Argument(
            metavar="AGENT", help="Its name; `smallmesh agents` lists them.", show_default=False, autocompletion=complete_agents
        ),
    ],
    text: Text = None,
    file: File = None,
    instruction: Instruction = None,
    verdict: Annotated[
        Verdict | None, typer.Option(help="How hard it is: `medium` is for the agent's second model, where it has one.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.001, help="How long to wait.")] = limits.TIMEOUT_S[Lane.INTERACTIVE],
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Ask one agent, and wait for its answer.

    The lowest latency there is, at most once: an error is yours to handle. Entities are shown
    where they stand in the text; of a long text, only what stands around them.
    """
    given = read_text(text, file)
    body = StepInput(text=given, instruction=instruction, verdict=verdict).to_bytes()
    answer = asyncio.run(_ask(agent, body, timeout, nats))
    _show(answer, given, as_json=as_json)
    if answer.error is not None:
        raise typer.Exit(Exit.ERROR)


def _show(answer: Answer, text: str, *, as_json: bool) -> None:
    from smallmesh.cli.output import console, plain, print_json  # noqa: PLC0415
    from smallmesh.cli.views.asked import asked_card  # noqa: PLC0415 - rich, which a Tab need not load

    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        console.print(asked_card(answer, text, plain=plain(console)))


async def _ask(agent: str, body: bytes, timeout_s: float, nats: str | None) -> Answer:
    from smallmesh.cli.calls import call  # noqa: PLC0415
    from smallmesh.cli.where import connected  # noqa: PLC0415

    async with connected(nats) as bus:
        try:
            return decode(Answer, (await call(bus, subjects.ask(agent), body, timeout_s)).body)
        except ContractError as error:
            if error.info.code is not ErrorCode.UNAVAILABLE:
                raise
            there = sorted({s.name for s in await bus.services(0.5) if subjects.ask(s.name) in s.subjects})
            hint = f"there are: {', '.join(there)}" if there else "no agent answers there; start them with `smallmesh up`"
            raise ContractError(ErrorCode.UNAVAILABLE, f"no agent called {agent!r} answers; {hint}") from error
