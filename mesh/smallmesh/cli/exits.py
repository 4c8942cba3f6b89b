"""Exit codes: what a script can tell from them, in one place."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOBODY_THERE = 3
    INSTALLATION = 4
    MESH = 5
    INTERRUPTED = 130


MEANING = {
    Exit.OK: "done, and every answer has its value",
    Exit.ERROR: "answered, but an answer is an error, there is no result, or a check found a problem",
    Exit.USAGE: "the command was given wrongly",
    Exit.NOBODY_THERE: "no broker, or nobody on it who answers",
    Exit.INSTALLATION: "something installed or set here is wrong: an agent's folder, a model file, a missing extra, a setting",
    Exit.MESH: "the mesh could not be started or stopped",
    Exit.INTERRUPTED: "ended by Ctrl-C or a signal before it was done",
}
