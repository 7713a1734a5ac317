"""Counters in a memory-mapped file per process: they survive kill -9 and anybody may read them.

The writer is one thread of one process. A sequence number around every change of the books (odd
while writing) lets a reader tell a half-made change from a wrong one. The order inside a change
keeps `produced - stored - dropped <= outbox + in flight` true at every instant, so that what a
killed worker leaves behind is never more than the depth it last wrote.
"""

import bisect
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from streamreid.clock import Clock
from streamreid.errors import StoreError
from streamreid.messages import KINDS, Kind
from streamreid.runtime.counter_table import (
    BOOK_FIELDS,
    CLOSED_SLOT,
    DEPTH_FIELDS,
    F64_SLOT,
    LATENCY_BUCKETS_S,
    LAYOUT,
    MAGIC,
    RING_SLOT,
    RING_START,
    SOURCE_STATES,
    U64_SLOT,
    VERSION_SLOT,
    CounterName,
    GaugeName,
    Role,
)
from streamreid.transport.outbox import DropReason

DEFAULT_RING = 1024
"""Last acknowledged sequence numbers kept per kind, for the check against the store."""


class ProcessCounters:
    """The counters of this process, mapped into its memory; made by `create_counters`.

    As a context manager it closes the books at the end, so enter it before the sender.
    """

    def __init__(self, mapping: mmap.mmap) -> None:
        self._mapping = mapping
        self._u64 = memoryview(mapping).cast("Q")
        self._f64 = memoryview(mapping).cast("d")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            # not in order, although the books are: see resume.has_crashed
            self.set("source_state", SOURCE_STATES.index("starting"))
        self.mark_closed()
        self.close()

    def close(self) -> None:
        """Unmap the file; it stays on disk. Safe to call twice."""
        self._u64.release()
        self._f64.release()
        self._mapping.close()

    def add(self, name: CounterName, count: int = 1) -> None:
        """Raise a counter."""
        self._u64[U64_SLOT[name]] += count

    def set(self, name: GaugeName, value: float) -> None:
        """Set a gauge."""
        self._f64[F64_SLOT[name]] = value

    def value(self, name: CounterName | GaugeName) -> float:
        """Value of a counter or gauge."""
        slot = U64_SLOT.get(name)
        return self._f64[F64_SLOT[name]] if slot is None else float(self._u64[slot])

    def observe_latency(self, latency_s: float) -> None:
        """Count one crop's way from capture to committed row."""
        bucket = bisect.bisect_left(LATENCY_BUCKETS_S, latency_s)
        self._u64[U64_SLOT[f"latency_bucket_{bucket}"]] += 1
        self._f64[F64_SLOT["latency_sum_s"]] += latency_s

    def book(self, kind: Kind) -> "KindBook":
        """The books of one kind, for the sender."""
        return KindBook(self._u64, kind)

    def mark_closed(self) -> None:
        """This process ends in order: nothing remains to be booked by the supervisor."""
        self._u64[CLOSED_SLOT] = 1

    @property
    def closed(self) -> bool:
        """True when the books are closed."""
        return bool(self._u64[CLOSED_SLOT])


class KindBook:
    """The books of one kind in the counter file; implements `transport.outbox.Book`."""

    def __init__(self, u64: memoryview, kind: Kind) -> None:
        self._u64 = u64
        self._slot = {name: U64_SLOT[f"{kind}_{name}"] for name in (*BOOK_FIELDS, *DEPTH_FIELDS)}
        self._ring: int = u64[RING_SLOT]
        self._ring_start = RING_START + KINDS.index(kind) * self._ring

    def produce(self) -> None:
        """One message was made and lies in the outbox."""
        u64 = self._u64
        u64[VERSION_SLOT] += 1
        u64[self._slot["outbox"]] += 1
        u64[self._slot["produced"]] += 1
        u64[VERSION_SLOT] += 1

    def drop(self, reason: DropReason, *, in_flight: bool = False) -> None:
        """One message left the outbox, or the window, and will never be stored."""
        u64 = self._u64
        u64[VERSION_SLOT] += 1
        u64[self._slot[f"dropped_{reason}"]] += 1
        u64[self._slot["in_flight" if in_flight else "outbox"]] -= 1
        u64[VERSION_SLOT] += 1

    def store(self, seq: int, *, in_flight: bool) -> None:
        """Message `seq` was acknowledged as committed."""
        u64 = self._u64
        u64[VERSION_SLOT] += 1
        stored = u64[self._slot["stored"]]
        u64[self._ring_start + stored % self._ring] = seq
        u64[self._slot["stored"]] = stored + 1
        u64[self._slot["in_flight" if in_flight else "outbox"]] -= 1
        u64[VERSION_SLOT] += 1

    def send(self) -> None:
        """One message moved from the outbox into the window."""
        u64 = self._u64
        u64[VERSION_SLOT] += 1
        u64[self._slot["in_flight"]] += 1
        u64[self._slot["outbox"]] -= 1
        u64[VERSION_SLOT] += 1

    def requeue(self, count: int) -> None:
        """`count` messages moved from the window back into the outbox."""
        u64 = self._u64
        u64[VERSION_SLOT] += 1
        u64[self._slot["outbox"]] += count
        u64[self._slot["in_flight"]] -= count
        u64[VERSION_SLOT] += 1

    def write_off(self) -> int:
        """Book what a dead worker left behind as `worker_crash`; returns how many that were."""
        u64 = self._u64
        settled = u64[self._slot["stored"]] + sum(
            u64[self._slot[name]] for name in BOOK_FIELDS if name.startswith("dropped_")
        )
        remainder: int = u64[self._slot["produced"]] - settled
        u64[self._slot["dropped_worker_crash"]] += max(remainder, 0)
        u64[self._slot["outbox"]] = 0
        u64[self._slot["in_flight"]] = 0
        u64[VERSION_SLOT] += u64[VERSION_SLOT] % 2
        return remainder


def counter_path(run_dir: Path, role: Role, name: str, incarnation: int) -> Path:
    """Where the counters of one process lie."""
    return run_dir / "counters" / f"{role}.{name}.{incarnation}"


def create_counters(
    run_dir: Path,
    role: Role,
    name: str,
    incarnation: int,
    *,
    clock: Clock,
    ring: int = DEFAULT_RING,
    gauges: Mapping[GaugeName, float] | None = None,
) -> ProcessCounters:
    """Make this process' counter file, all zero; it replaces one of the same name.

    Args:
        run_dir: Private folder of the run.
        role: What the process does.
        name: Camera id, or the role again.
        incarnation: Number of the process.
        clock: For the start time.
        ring: Acknowledged sequence numbers to keep per kind.
        gauges: Gauges that are there from the first moment on.

    Raises:
        StoreError: The file cannot be made.
    """
    path = counter_path(run_dir, role, name, incarnation)
    size = 8 * (RING_START + ring * len(KINDS))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name.replace('.', '-')}.draft")
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # posix_fallocate: on a full disk this fails here, not later with SIGBUS
            os.posix_fallocate(descriptor, 0, size)
            counters = ProcessCounters(mmap.mmap(descriptor, size))
        finally:
            os.close(descriptor)
        header = (MAGIC, LAYOUT, 0, os.getpid(), 0, incarnation, ring, 0)
        for index, value in enumerate(header):
            counters._u64[index] = value
        counters.set("started_at_s", clock.now_s())
        for gauge, level in (gauges or {}).items():
            counters.set(gauge, level)
        draft.rename(path)
    except OSError as exc:
        raise StoreError(f"cannot make the counter file '{path}': {exc.strerror}") from exc
    return counters


@contextmanager
def open_for_repair(path: Path) -> Iterator[ProcessCounters]:
    """Map the counters of a process that is dead, to close its books."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        mapping = mmap.mmap(descriptor, 0)
    finally:
        os.close(descriptor)
    counters = ProcessCounters(mapping)
    try:
        yield counters
    finally:
        counters.close()
