"""``smallmesh up``: a whole mesh for development."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from smallmesh.cli.completing import complete_scale
from smallmesh.cli.exits import Exit
from smallmesh.cli.options import AsJson
from smallmesh.cli.output import notes
from smallmesh.cli.state import MeshState, held, own_state, read_state, write_state
from smallmesh.cli.views.up import View, print_running, view
from smallmesh.cli.where import check_reachable
from smallmesh.settings import for_child, settings
from smallmesh.supervise import Mesh, MeshError, ProcessInfo, run_until_signalled

EXAMPLES = (
    ("smallmesh up", "a broker of its own, every agent, both orchestrators; Ctrl-C stops them all"),
    ("smallmesh up --scale sentiment=2 --scale ner=3", "more replicas of some; 0 leaves one out"),
    ("smallmesh up --detach", "in the background, until `smallmesh down`"),
    ("smallmesh up --nats nats://broker:4222", "the processes only, on a broker that is there already"),
    (
        "SMALLMESH_STREAM_REPLICAS=3 smallmesh up --nats nats://a:4222,nats://b:4222,nats://c:4222",
        "one of three may be lost",
    ),
)
USUAL_PORT = 4222
_DRAW_S = 0.1


def command(
    *,
    nats: Annotated[
        str | None, typer.Option("--nats", metavar="URL", help="Use this broker; without it one of its own is started.", show_default=False)
    ] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option("--scale", metavar="NAME=N", help="How many replicas, where not one. Repeatable.", autocompletion=complete_scale),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help=f"Port of the broker of its own. Default: {USUAL_PORT} where that is free, else a free one."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once it is ready, and leave it running.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a whole mesh for development: broker, agents, orchestrators.

    One process each for every agent, the escalation service and two orchestrators (one for public
    and internal tasks, one for restricted ones). A process that dies is started again. Store and
    logs are kept in SMALLMESH_STATE_DIR; streams are sized to its disk, or by SMALLMESH_STORE_SIZE.
    Other commands find this mesh by themselves.
    """
    replicas = parse_scale(scale or [])
    folder = settings().state_dir
    running = read_state(folder)
    if running is not None:
        print_running(running, json=as_json)
        return
    if nats is not None:
        check_reachable(nats)
    if nats is None and "nats_url" in settings().model_fields_set:
        notes.print("note: SMALLMESH_NATS_URL is set, so other commands use that broker and not the one started here")
    shown = view(json=as_json)
    if detach:
        ended = run_until_signalled(_detach(folder, _again(nats, scale or [], port), shown))
    else:
        with held(folder):
            ended = run_until_signalled(_up(folder, nats, port if nats or port else usual_port(), replicas, shown))
            ended = Exit.OK if ended is None else ended  # a signal is how it is meant to end
    raise typer.Exit(Exit.INTERRUPTED if ended is None else ended)


def parse_scale(given: list[str]) -> Mapping[str, int]:
    """Read ``NAME=N`` options.

    Raises:
        typer.BadParameter: One is not of that form.
    """
    scale = {}
    for one in given:
        name, _, number = one.partition("=")
        if not name or not number.isdecimal():
            raise typer.BadParameter(f"{one!r} is not NAME=N, as in sentiment=2", param_hint="--scale")
        scale[name] = int(number)
    return scale


def usual_port() -> int | None:
    """Return the usual port where it is free, and None where it is not."""
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", USUAL_PORT)):
        return USUAL_PORT
    return None


async def _up(folder: Path, nats: str | None, port: int | None, scale: Mapping[str, int], shown: View) -> Exit:
    began = time.monotonic()
    changes: asyncio.Queue[ProcessInfo] = asyncio.Queue()
    with shown:
        async with Mesh.start(scale=scale, nats_url=nats, port=port, store=folder, on_change=changes.put_nowait) as mesh:
            state = own_state().model_copy(update={"url": mesh.url})
            ready = asyncio.create_task(mesh.ready())
            while not ready.done():
                _tell(changes, shown)
                shown.starting(mesh.processes)
                write_state(folder, state.model_copy(update={"processes": mesh.processes}))
                await asyncio.wait([ready], timeout=_DRAW_S)
            await ready
            state = state.model_copy(update={"processes": mesh.processes, "ready": True})
            write_state(folder, state)
            shown.ready(state, time.monotonic() - began, detached=False)
            try:
                while True:
                    shown.changed(await changes.get())
                    with contextlib.suppress(OSError):  # a full disk does not end a mesh that runs: it is written at the next change
                        write_state(folder, state.model_copy(update={"processes": mesh.processes}))
            finally:
                notes.print("stopping: work in hand is finished first; a second Ctrl-C does without")


def _tell(changes: "asyncio.Queue[ProcessInfo]", shown: View) -> None:
    while not changes.empty():
        shown.changed(changes.get_nowait())


def _again(nats: str | None, scale: list[str], port: int | None) -> list[str]:
    named = [("--nats", nats), ("--port", port), *(("--scale", one) for one in scale)]
    return ["up", "--json", *(part for name, value in named if value is not None for part in (name, str(value)))]


async def _detach(folder: Path, arguments: list[str], shown: View) -> Exit:
    """Start the same command in a session of its own, and wait until it is ready."""
    log = folder / "up.log"
    began = time.monotonic()
    daemon = _spawn(arguments, log)
    try:
        with shown:
            state = await _until_ready(daemon, folder, log, shown)
            shown.ready(state, time.monotonic() - began, detached=True)
    except BaseException:  # Ctrl-C, too: what is not ready yet is not left behind
        daemon.terminate()
        daemon.wait()
        raise
    return Exit.OK


def _spawn(arguments: list[str], log: Path) -> "subprocess.Popen[bytes]":
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-P", "-m", "smallmesh.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=for_child(),
            start_new_session=True,
        )


async def _until_ready(daemon: "subprocess.Popen[bytes]", folder: Path, log: Path, shown: View) -> MeshState:
    while daemon.poll() is None:
        state = read_state(folder)
        if state is not None and state.pid == daemon.pid:
            shown.starting(state.processes)
            if state.ready:
                return state
        await asyncio.sleep(_DRAW_S)
    raise MeshError(f"the mesh did not start (exit status {daemon.returncode}): {_why(log)}")


def _why(log: Path) -> str:
    """Return the error in the log of a daemon that failed: its last line is a JSON object that says it."""
    from smallmesh.cli.errors import message_in  # noqa: PLC0415 - only after a failure

    told = log.read_text(encoding="utf-8", errors="replace").strip()
    return message_in(told.rpartition("\n")[2]) or told
