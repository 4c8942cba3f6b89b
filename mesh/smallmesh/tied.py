"""Run as a script: become another program, which the kernel kills when the parent is gone, however that ended.

``python -I -S tied.py PARENT_PID PROGRAM ARGUMENT...``

It runs in the child, after the fork, so that the parent's threads and locks do
not matter. Only Linux has this; elsewhere the program simply takes this one's place.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then run the program in it."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died between fork and prctl
            sys.exit("the parent is gone")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
