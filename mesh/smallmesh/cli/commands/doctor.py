"""``smallmesh doctor``: what is wrong here, and what to do about it."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smallmesh.cli.exits import Exit
from smallmesh.cli.options import AsJson, Nats

if TYPE_CHECKING:
    from smallmesh.doctor import Broker, Facts, Finding
    from smallmesh.settings import Settings

EXAMPLES = (
    ("smallmesh doctor", "looks at broker, streams, processes, models, memory, permissions, and says what to do"),
    ("smallmesh doctor --nats nats://broker:4222", "the same for a mesh elsewhere"),
    ("smallmesh doctor --json | jq -r '.findings[] | select(.level == \"problem\") | .todo'", "what to do, for a program"),
)


def command(
    wait: Annotated[float, typer.Option(metavar="SECONDS", min=0.01, help="How long to wait for the first process to answer.")] = 1.0,
    nats: Nats = None,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong, and say what to do about it.

    Nothing is changed. The exit code is 0 where there is no problem; warnings are none.
    """
    from smallmesh.cli.output import console, print_json  # noqa: PLC0415
    from smallmesh.cli.views.findings import print_findings  # noqa: PLC0415 - what follows is not for a Tab to load
    from smallmesh.doctor import Level, examine  # noqa: PLC0415

    facts = asyncio.run(_facts(nats, wait))
    findings = list(examine(facts))
    if as_json:
        print_json(_as_json(facts, findings))
    else:
        print_findings(findings, console)
    if any(finding.level is Level.PROBLEM for finding in findings):
        raise typer.Exit(Exit.ERROR)


def _as_json(facts: "Facts", findings: "Sequence[Finding]") -> dict[str, Any]:
    counts = Counter(finding.level.value for finding in findings)
    return {"url": facts.url, "counts": counts, "findings": [asdict(finding) for finding in findings]}


async def _facts(nats: str | None, wait_s: float) -> "Facts":
    from smallmesh.cli.where import find_url, without_password  # noqa: PLC0415
    from smallmesh.doctor.facts import Facts  # noqa: PLC0415
    from smallmesh.doctor.here import look_around  # noqa: PLC0415
    from smallmesh.settings import settings  # noqa: PLC0415
    from smallmesh_contracts import ContractError, ErrorCode  # noqa: PLC0415

    chosen = settings()
    host = look_around(chosen, _running_here(chosen))
    url = without_password(find_url(nats))
    try:
        return Facts(url, host, await _broker(nats, chosen, [*host.agents], [*host.services], wait_s))
    except ContractError as error:
        if error.info.code is not ErrorCode.UNAVAILABLE:
            raise
        return Facts(url, host, unreachable=str(error).partition(": start ")[0])


async def _broker(nats: str | None, chosen: "Settings", agents: Sequence[str], services: Sequence[str], wait_s: float) -> "Broker":
    from smallmesh.bus.layout import all_consumers  # noqa: PLC0415
    from smallmesh.cli.where import connected  # noqa: PLC0415
    from smallmesh.doctor.gather import Connection, Wanted, ask_broker  # noqa: PLC0415

    denied: list[str] = []
    async with connected(nats, problem=lambda error: denied.append(str(error))) as bus:
        consumers = all_consumers(agents, services, step_wait_s=chosen.step_ack_wait_s, lease_wait_s=chosen.lease_ack_wait_s)
        wanted = Wanted(consumers, chosen.keeping, _unsaid(chosen))
        return await ask_broker(Connection(bus, bus.client.max_payload, denied), wanted, wait_s)


def _unsaid(chosen: "Settings") -> set[str]:
    """Return what of a stream's configuration is decided elsewhere: by `provision --replicas`, or by `up` from its disk."""
    settled = {"num_replicas": "stream_replicas" in chosen.model_fields_set, "max_bytes": chosen.store_size is not None}
    return {name for name, here in settled.items() if not here}


def _running_here(chosen: "Settings") -> dict[str, int]:
    try:
        from smallmesh.cli.state import read_state  # noqa: PLC0415
    except ModuleNotFoundError:  # psutil, of the extra `broker`: then nothing was started here
        return {}
    running = read_state(chosen.state_dir)
    return {one.name: one.pid for one in running.processes if one.pid} if running is not None else {}
