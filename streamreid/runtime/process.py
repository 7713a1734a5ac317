"""What every process of a run does first: die with its parent, stop on signals, know its number."""

import ctypes
import os
import secrets
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from streamreid.clock import Clock

PARENT_VARIABLE = "STREAMREID_SUPERVISOR_PID"
"""Environment variable with the process id of the supervisor."""

_PR_SET_PDEATHSIG = 1
_RANDOM_BITS = 22
_ONE_REQUEST_S = 1.0


@contextmanager
def wake_on_signals(
    selector: selectors.BaseSelector, note: Callable[[int], None]
) -> Iterator[None]:
    """Let SIGTERM, SIGINT and SIGHUP end a selector's waiting at once.

    Args:
        selector: Gets a pipe that becomes readable with every signal; its data is a callable.
        note: Told the number of each signal, in the main thread.
    """
    read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    old_handlers = {
        number: signal.signal(number, lambda number, _frame: note(number)) for number in numbers
    }
    old_fd = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    selector.register(read_fd, selectors.EVENT_READ, lambda: os.read(read_fd, 4096))
    try:
        yield
    finally:
        selector.unregister(read_fd)
        signal.set_wakeup_fd(old_fd)
        for number, handler in old_handlers.items():
            signal.signal(number, handler)
        os.close(read_fd)
        os.close(write_fd)


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

    A second SIGTERM ends the process at once with exit code 143, unless it comes within a second:
    whoever stops a whole group of processes reaches a worker twice, the other time through its
    supervisor. Afterwards both signals are ignored: a worker that has done its work must not die of
    a request to stop while it leaves.
    """
    flag = StopFlag()
    asked_s = 0.0

    def on_term(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked_s
        if not flag():
            asked_s = time.monotonic()
            flag.set()
        elif time.monotonic() - asked_s > _ONE_REQUEST_S:
            os._exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, on_term)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def die_with_parent(environ: Mapping[str, str]) -> None:
    """Ask the kernel to kill this process when the supervisor dies; the first thing a worker does.

    Does nothing in a worker that was started by hand.

    Args:
        environ: The environment; the supervisor puts its process id there.
    """
    parent_pid = environ.get(PARENT_VARIABLE)
    if parent_pid is None:
        return
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # the supervisor may have died before the kernel knew
    if str(os.getppid()) != parent_pid:
        os._exit(1)


def new_incarnation(clock: Clock) -> int:
    """A 63-bit number for a process: later starts have larger ones, and no two are the same."""
    milliseconds = int(clock.now_s() * 1000) & (2**41 - 1)
    return (milliseconds << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
