"""``smallmesh run``: a whole task, waiting for it."""

import asyncio
import json
from typing import Annotated

import typer

from smallmesh.cli.calls import call
from smallmesh.cli.exits import Exit
from smallmesh.cli.options import DEFAULT_TENANT, AsJson, Class, Instruction, Nats, Tenant, Text, names_in, read_text
from smallmesh.cli.output import console, print_json
from smallmesh.cli.show import print_task
from smallmesh.cli.where import connected
from smallmesh_contracts import (
    DEFAULT_WANTED,
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
    ("smallmesh run - --want sentiment,entities < review.txt", "two answers only"),
    (
        "smallmesh run - --want analysis --class internal --instruction 'Which clauses conflict?' < contract.txt",
        "an analysis, by a frontier model where the router says it is complex and the class allows it",
    ),
)
_GRACE_S = 2.0
"""What the result may take on its way back after the budget is used up."""


def command(  # noqa: PLR0913 - its options
    *,
    text: Text,
    want: Annotated[
        str | None, typer.Option(metavar="A,B", help=f"Answers wanted. Default: {','.join(DEFAULT_WANTED)}.", show_default=False)
    ] = None,
    instruction: Instruction = None,
    data_class: Class = DataClass.RESTRICTED,
    tenant: Tenant = DEFAULT_TENANT,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.001, help="Budget of the task.")] = limits.TIMEOUT_S[Lane.INTERACTIVE],
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Run a whole task on one text, and wait for its result.

    The steps run side by side. Nothing is kept: to have a task survive a crash, submit it.
    """
    body = _body(read_text(text), names_in(want), instruction, timeout)
    result = asyncio.run(_run(subjects.run(tenant, data_class), body, timeout, nats))
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        print_task(result, console)
    if result.status is not Status.COMPLETED:
        raise typer.Exit(Exit.ERROR)


def _body(text: str, want: list[str] | None, instruction: str | None, timeout_s: float) -> bytes:
    given = {"text": text, "wanted": want, "instruction": instruction, "timeout_s": timeout_s}
    body = json.dumps({name: value for name, value in given.items() if value is not None}).encode()
    task = decode(Task, body)
    check_size("text", task.text, limits.TEXT_BYTES[Lane.INTERACTIVE])
    check_size("instruction", task.instruction or "", limits.INSTRUCTION_BYTES)
    return body


async def _run(subject: str, body: bytes, timeout_s: float, nats: str | None) -> TaskResult:
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
