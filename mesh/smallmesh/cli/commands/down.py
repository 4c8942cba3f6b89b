"""``smallmesh down``: stop what ``up`` started."""

from collections.abc import Sequence

import psutil

from smallmesh.cli.options import AsJson
from smallmesh.cli.output import console, print_json
from smallmesh.cli.state import process_of, read_state
from smallmesh.settings import settings
from smallmesh.supervise.mesh import STOP_WITHIN_S

EXAMPLES: Sequence[tuple[str, str]] = (
    ("smallmesh down", "whether it runs in the background or in another terminal"),
    ("SMALLMESH_STATE_DIR=/srv/mesh smallmesh down", "one that was started with its own folder"),
)
_MORE_S = 8.0
"""What the broker and the supervisor itself may take on top."""


def command(*, as_json: AsJson = False) -> None:
    """Stop the mesh that `up` started here.

    Every process ends what it has in hand first. Tasks that were not done stay in the store and
    go on at the next `up`.
    """
    state = read_state(settings().state_dir)
    process = process_of(state) if state is not None else None
    if process is None:
        _say("no mesh is running here", as_json=as_json, stopped=False)
        return
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S + _MORE_S)
    except psutil.TimeoutExpired:
        process.kill()  # the kernel ends its children with it
        process.wait(_MORE_S)
    _say(f"stopped (pid {process.pid})", as_json=as_json, stopped=True)


def _say(text: str, *, as_json: bool, stopped: bool) -> None:
    if as_json:
        print_json({"stopped": stopped})
    else:
        console.print(text)
