"""What ``up`` shows: a table that lives at a terminal, lines elsewhere, JSON for programs."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol, Self

from rich.live import Live
from rich.table import Table
from rich.text import Text

from smallmesh.cli.output import console, print_json, printable
from smallmesh.cli.state import MeshState
from smallmesh.cli.where import without_password
from smallmesh.supervise import ProcessInfo, ProcessState

_STYLES = {
    ProcessState.STARTING: "yellow",
    ProcessState.READY: "green",
    ProcessState.WAITING: "red",
    ProcessState.FAILED: "bold red",
    ProcessState.STOPPED: "dim",
}
_MEGABYTE = 1e6
TRY = (
    "smallmesh ask sentiment 'The parcel came late, but the support was kind.'",
    "smallmesh run 'Contoso opened an office in Lisbon. Anna Weber is thrilled.'",
    "smallmesh agents",
)


class View(AbstractContextManager["View"], Protocol):
    """One way to show a mesh."""

    def starting(self, processes: Sequence[ProcessInfo]) -> None:
        """Show how far the processes are."""

    def changed(self, process: ProcessInfo) -> None:
        """Tell that a process has changed; deaths are what matters."""

    def ready(self, state: MeshState, took_s: float, *, detached: bool) -> None:
        """Tell that the mesh is ready, where it is, and what to do with it."""


class _Words(ExitStack):
    """What both views for people have."""

    def changed(self, process: ProcessInfo) -> None:
        """Tell of a death, with the last lines of its log."""
        if process.state not in {ProcessState.WAITING, ProcessState.FAILED}:
            return
        what_next = "it is started again" if process.state is ProcessState.WAITING else "it died too often and is not started again"
        console.print(Text.assemble((f"{process.name} ended", "red"), f" (exit status {process.exit_status}): {what_next}; {process.log}"))
        for line in process.last_words:
            console.print(Text(f"  {printable(line)}", "dim"))

    def ready(self, state: MeshState, took_s: float, *, detached: bool) -> None:
        """Print address and examples."""
        console.print(Text.assemble("\nready in ", (f"{took_s:.1f} s", "bold"), " at ", (without_password(state.url), "bold")))
        console.print("\nTry, in another terminal:" if not detached else "\nTry:")
        for line in TRY:
            console.print(Text(f"  {line}"))
        console.print("\nStop it with `smallmesh down`." if detached else "\nCtrl-C stops it.")


class TableView(_Words):
    """A table that lives until the mesh is ready. Afterwards nothing is drawn, so that an idle mesh is idle."""

    def __enter__(self) -> Self:
        """Open the table."""
        super().__enter__()
        self._live = self.enter_context(Live(console=console, auto_refresh=False))
        return self

    def starting(self, processes: Sequence[ProcessInfo]) -> None:
        """Draw the table anew."""
        self._live.update(process_table(processes), refresh=True)

    def ready(self, state: MeshState, took_s: float, *, detached: bool) -> None:
        """Draw the table a last time, and print the rest below."""
        self.starting(state.processes)
        self._live.stop()
        super().ready(state, took_s, detached=detached)


class LinesView(_Words):
    """A line a process, once it is ready."""

    def __init__(self) -> None:
        """Begin with none told."""
        super().__init__()
        self._told: set[str] = set()

    def starting(self, processes: Sequence[ProcessInfo]) -> None:
        """Tell of those that have become ready."""
        for one in processes:
            if one.state is ProcessState.READY and one.name not in self._told:
                self._told.add(one.name)
                took = f" after {one.ready_ms:.0f} ms" if one.ready_ms else ""
                console.print(f"{one.name} ready{took} (pid {one.pid}, {one.memory_bytes / _MEGABYTE:.0f} MB)")

    def ready(self, state: MeshState, took_s: float, *, detached: bool) -> None:
        """Tell of those not told yet, then the rest."""
        self.starting(state.processes)
        super().ready(state, took_s, detached=detached)


class JsonView(ExitStack):
    """One JSON object a line: the mesh once it is ready, then every change."""

    def starting(self, processes: Sequence[ProcessInfo]) -> None:
        """Say nothing yet."""

    def changed(self, process: ProcessInfo) -> None:
        """Print the process."""
        print_json({"event": "changed", "process": as_json(process)})

    def ready(self, state: MeshState, took_s: float, *, detached: bool) -> None:
        """Print the mesh."""
        print_json({"event": "ready", "took_s": round(took_s, 3), "detached": detached, **state_as_json(state)})


def view(*, json: bool) -> View:
    """Return the view that fits the output."""
    if json:
        return JsonView()
    return TableView() if console.is_terminal else LinesView()


def process_table(processes: Iterable[ProcessInfo]) -> Table:
    """Return the processes as a table."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading, justify in (("process", "left"), ("pid", "right"), ("state", "left"), ("ready after ms", "right"), ("memory MB", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    for one in processes:
        state = one.state.value + (f", {one.restarts} restarts" if one.restarts else "")
        ready = f"{one.ready_ms:.0f}" if one.ready_ms else ""
        memory = f"{one.memory_bytes / _MEGABYTE:.0f}" if one.memory_bytes else ""
        table.add_row(one.name, str(one.pid or ""), Text(state, _STYLES[one.state]), ready, memory)
    return table


def print_running(state: MeshState, *, json: bool) -> None:
    """Say that a mesh runs already, and where."""
    if json:
        print_json({"event": "running", **state_as_json(state)})
        return
    console.print(process_table(state.processes))
    console.print(f"\na mesh is running here already (pid {state.pid}) at {without_password(state.url)}; stop it with `smallmesh down`")


def state_as_json(state: MeshState) -> dict[str, object]:
    """Return a mesh for programs. The address is whole: they want to connect."""
    return {"url": state.url, "pid": state.pid, "processes": [as_json(one) for one in state.processes]}


def as_json(process: ProcessInfo) -> dict[str, object]:
    """Return a process for programs."""
    names = ("name", "state", "pid", "ready_ms", "memory_bytes", "restarts", "exit_status", "log", "last_words")
    return {name: getattr(process, name) for name in names}
