"""One thread of another process held still from outside, by ptrace: what a hung model looks like to its process."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_ALL_CHILDREN = 0x40000000
"""Threads of others are not this process's children in the ordinary sense (``__WALL``)."""
_ptrace = ctypes.CDLL(None, use_errno=True).ptrace if sys.platform == "linux" else None
if _ptrace is not None:
    _ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    _ptrace.restype = ctypes.c_long


class NotPermittedError(Exception):
    """This system lets nobody hold a thread of another process."""


def other_threads(pid: int) -> list[int]:
    """Return the ids of a process's threads but its first, which runs the event loop. Python gives them no names before 3.14."""
    return [int(one.name) for one in Path(f"/proc/{pid}/task").iterdir() if one.name != str(pid)]


def processor_s(thread: int) -> float:
    """Return the processor time that a thread has had, in seconds."""
    return int(Path(f"/proc/{thread}/task/{thread}/schedstat").read_text().split()[0]) / 1e9


@contextmanager
def held_still(thread: int) -> Iterator[None]:
    """Stop one thread, and no other of its process, and let it go on at the end. Not its process's first: for that one its parent waits.

    Enter and leave it in the same thread of this process: that one is the tracer. A process that ends while one
    of its threads is held is gone for its parent only afterwards.

    Raises:
        NotPermittedError: The kernel refuses, or is none that has ptrace.
    """
    _trace(_SEIZE, thread)
    try:
        _trace(_INTERRUPT, thread)
        os.waitpid(thread, _ALL_CHILDREN)
        yield
    finally:
        try:
            _trace(_DETACH, thread)
        except NotPermittedError:  # its process has ended meanwhile
            with contextlib.suppress(ChildProcessError):
                os.waitpid(thread, _ALL_CHILDREN)


def _trace(request: int, thread: int) -> None:
    if _ptrace is None or _ptrace(request, thread, None, None) != 0:
        raise NotPermittedError(os.strerror(ctypes.get_errno()) if _ptrace else "no ptrace")
