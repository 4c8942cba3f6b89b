"""``smallmesh run``: a whole task, waiting for it."""

import asyncio
import json
from typing import Annotated

import typer

from smallmesh.cli.exits import Exit
from smallmesh.cli.options import DEFAULT_TENANT, AsJson, Class, File, Instruction, Nats, Tenant, Text, Want, names_in, read_text
from smallmesh_contracts import (
    Answer,
    ContractError,
    DataClass,
    ErrorCode,
    Lane,
    Status,
    Task,
    TaskResult,
    check_size,
    decode,
    limits,
    subjects,
)

EXAMPLES = (
    ("smallmesh run 'Contoso opened an office in Lisbon. Anna Weber is thrilled.'", "everything the default wants"),
    ("smallmesh run --file review.txt --want sentiment,entities --text", "two answers only, below the text with its entities marked"),
    ("pdftotext report.pdf - | smallmesh run - --json | jq .answers.summary.value.summary", "from a pipe, for a program"),
    (
        "smallmesh run - --want analysis --class internal --instruction 'Which clauses conflict?' < contract.txt",
        "an analysis, by a frontier model where the router says it is complex and the class allows it",
    ),
)
_GRACE_S = 2.0
"""What the result may take on its way back after the budget is used up."""


def command(  # noqa: PLR0913 - its options
    *,
    text: Text = None,
    file: File = None,
    want: Want = None,
    instruction: Instruction = None,
    data_class: Class = DataClass.RESTRICTED,
    tenant: Tenant = DEFAULT_TENANT,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.001, help="Budget of the task.")] = limits.TIMEOUT_S[Lane.INTERACTIVE],
    with_text: Annotated[bool, typer.Option("--text", help="Show the text above, with the entities in it marked.")] = False,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Run a whole task on one text, and wait for its result.

    Wanted are sentiment, entities, summary and complexity, unless --want says otherwise. The steps
    run side by side. Nothing is kept: to have a task survive a crash, submit it.
    """
    given = read_text(text, file)
    body = _body(given, names_in(want), instruction, timeout)
    result = asyncio.run(_run(subjects.run(tenant, data_class), body, timeout, nats))
    _show(result, given if with_text else None, as_json=as_json)
    if result.status is not Status.COMPLETED:
        raise typer.Exit(Exit.ERROR)


def _show(result: TaskResult, text: str | None, *, as_json: bool) -> None:
    from smallmesh.cli.output import console, plain, print_json  # noqa: PLC0415
    from smallmesh.cli.views.asked import text_of_task  # noqa: PLC0415 - rich, which a Tab need not load
    from smallmesh.cli.views.cards import print_task  # noqa: PLC0415

    if as_json:
        print_json(result.model_dump(mode="json"))
        return
    if text is not None:
        console.print(text_of_task(result, text, plain=plain(console)))
        console.print()
    print_task(result, console)


def _body(text: str, want: list[str] | None, instruction: str | None, timeout_s: float) -> bytes:
    given = {"text": text, "wanted": want, "instruction": instruction, "timeout_s": timeout_s}
    body = json.dumps({name: value for name, value in given.items() if value is not None}).encode()
    task = decode(Task, body)
    check_size("instruction", task.instruction or "", limits.INSTRUCTION_BYTES)
    return body


async def _run(subject: str, body: bytes, timeout_s: float, nats: str | None) -> TaskResult:
    from smallmesh.cli.calls import call  # noqa: PLC0415
    from smallmesh.cli.where import connected  # noqa: PLC0415

    async with connected(nats) as bus:
        try:
            reply = await call(bus, subject, body, timeout_s + _GRACE_S)
        except ContractError as error:
            if error.info.code is ErrorCode.UNAVAILABLE:
                hint = "no orchestrator serves this data class there; start one with `smallmesh up` or `smallmesh serve orchestrator`"
                raise ContractError(ErrorCode.UNAVAILABLE, f"{error}: {hint}") from error
            raise
    try:
        return decode(TaskResult, reply.body)
    except ContractError:  # refused before it was a task: too many runs in hand
        info = decode(Answer, reply.body).error
        if info is None:
            raise
        raise ContractError(info.code, info.message, retry_after_s=info.retry_after_s, step=info.step) from None
