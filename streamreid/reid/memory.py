"""Says clearly that a device has no memory left, and how much is free."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from streamreid.errors import DeviceMemoryError

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int | None:
    """Memory that can still be filled on a device, bytes; None where the system does not tell.

    A CPU's figure counts what other programs would give up (caches) and keeps to the limit of the
    container.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = _MEMINFO.read_text("ascii").splitlines()
    except OSError:
        return None
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    if "MemAvailable" not in facts:
        return None
    available = int(facts["MemAvailable"].split()[0]) * 1024
    allowed, used = (_number(_CGROUP / name) for name in ("memory.max", "memory.current"))
    if allowed is not None and used is not None:
        available = min(available, max(0, allowed - used))
    return available


@contextmanager
def explain_full_memory(device: torch.device, task: str) -> Iterator[None]:
    """Turn the many ways of torch to say "out of memory" into one error.

    Args:
        device: Where the work is done.
        task: What is being done, as it follows "while".

    Raises:
        DeviceMemoryError: If the work inside ran out of memory.
    """
    try:
        yield
    except RuntimeError as exc:  # the CPU allocator has no class of its own for it
        if not _is_full(exc):
            raise
        left = free_bytes(device)
        free = "an unknown amount" if left is None else f"{left / 2**20:,.0f} MiB"
        raise DeviceMemoryError(
            f"{device} has no memory left while {task}; {free} is free: lower "
            "matcher.gallery.max_crops or matcher.gallery.memory, or stop other programs there"
        ) from exc


def _is_full(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _number(path: Path) -> int | None:
    """A control group's number; None where there is none or it says `max`."""
    try:
        text = path.read_text("ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
