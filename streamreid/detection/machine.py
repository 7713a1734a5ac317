"""What is worked out once per machine: its key, helper processes, and one of them at a time."""

import ctypes
import fcntl
import hashlib
import importlib.metadata
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamreid.errors import DetectorError, WeightsError

_HELPER_TIMEOUT_S = 300.0
_LOCK_POLL_S = 0.2


def machine_key(threads: int) -> str:
    """Digest of what decides which back-end is fastest: processor, libraries, threads.

    Args:
        threads: CPU threads of a detector.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    facts = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    for package in ("openvino", "onnxruntime"):
        try:
            facts.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            facts.append(f"{package} absent")
    facts.append(f"{threads} threads")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def run_helper(module: str, *arguments: str) -> str:
    """Run a module of ours in a process of its own, so that nothing it loads stays in this one.

    Args:
        module: Its full name.
        arguments: Its command line.

    Returns:
        Its standard output.

    Raises:
        WeightsError: It failed; the message is its last line.
        DetectorError: It did not end.
    """
    command = [sys.executable, "-P", "-m", module, *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - our own module, no shell, paths as arguments
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=_HELPER_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise DetectorError(f"{module} did not end within {_HELPER_TIMEOUT_S:.0f} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise WeightsError(lines[-1])
    return done.stdout


def give_back_memory() -> None:
    """Return what was allocated and freed again to the system, where its C library can.

    Loading a network takes some ten MiB that glibc would keep for later.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock is the kernel's, so a killed holder leaves none behind.

    Args:
        path: The lock's file.

    Raises:
        DetectorError: Another process holds it for longer than any helper may run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline_s = time.monotonic() + 2.0 * _HELPER_TIMEOUT_S
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise DetectorError(f"another process holds '{path}' for too long") from None
                time.sleep(_LOCK_POLL_S)
        yield
