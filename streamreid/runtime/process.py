"""What every process of a run does first: die with its parent, stop on signals, know its number."""

import ctypes
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from streamreid.clock import Clock

_PR_SET_PDEATHSIG = 1
_RANDOM_BITS = 22


class StopFlag:
    """True once somebody asked this process to stop; call it to ask."""

    def __init__(self) -> None:
        self._set = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._set

    def set(self) -> None:
        """Ask to stop."""
        self._set = True


@contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """Turn SIGTERM into a flag and ignore SIGINT, which the supervisor handles for all.

    A second SIGTERM ends the process at once with exit code 143.
    """
    flag = StopFlag()

    def on_term(_signal: int, _frame: FrameType | None) -> None:
        if flag():
            os._exit(128 + signal.SIGTERM)
        flag.set()

    old_term = signal.signal(signal.SIGTERM, on_term)
    old_int = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGTERM, old_term)
        signal.signal(signal.SIGINT, old_int)


def die_with_parent(parent_pid: int | None = None) -> None:
    """Ask the kernel to kill this process when its parent dies; the first thing a worker does.

    Args:
        parent_pid: The expected parent; when it is gone already, this process ends at once.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # the parent may have died before the kernel knew
    if parent_pid is not None and os.getppid() != parent_pid:
        os._exit(1)


def new_incarnation(clock: Clock) -> int:
    """A 63-bit number for a process: later starts have larger ones, and no two are the same."""
    milliseconds = int(clock.now_s() * 1000) & (2**41 - 1)
    return (milliseconds << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
