"""A child that does not outlive its parent, even when the parent is killed outright.

Run as a program, ``python tether.py PARENT PROGRAM ARGUMENTS…`` asks Linux for SIGTERM at the parent's
death and becomes PROGRAM; its pid stays. Nothing of ours is imported: it starts before every child.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_NO_SUCH_PROGRAM = 127


def tethered(argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` tethered to this process; ``argv`` itself where that cannot be.

    Linux counts the thread that started a child as its parent, so only the main thread tethers.
    """
    if (
        not sys.platform.startswith("linux")
        or threading.current_thread() is not threading.main_thread()
    ):
        return list(argv)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]


def main(arguments: Sequence[str]) -> None:
    """Tie, look whether the parent is still there, and become the program."""
    parent, *argv = arguments
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it went before we were tied
        sys.exit(_NO_SUCH_PROGRAM)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the parent's own command
    except OSError as error:
        sys.exit(f"utaa: {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
