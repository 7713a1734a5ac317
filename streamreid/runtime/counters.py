"""Counters in a memory-mapped file per process: they survive kill -9 and anybody may read them.

The writer is one thread of one process. A sequence number around every change of the books (odd
while writing) lets a reader tell a half-made change from a wrong one. The order inside a change
keeps `produced - stored - dropped <= outbox + in flight` true at every instant, so that what a
killed worker leaves behind is never more than the depth it last wrote.
"""

import bisect
import mmap
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from streamreid.clock import Clock
from streamreid.errors import StoreError
from streamreid.messages import KINDS, Kind
from streamreid.runtime.counter_table import (
    BOOK_FIELDS,
    DEPTH_FIELDS,
    F64_NAMES,
    LATENCY_BUCKETS_S,
    LAYOUT,
    ROLES,
    SOURCE_STATES,
    U64_NAMES,
    CounterName,
    GaugeName,
    Role,
)
from streamreid.transport.outbox import DropReason
from streamreid.types import CameraId

_MAGIC = int.from_bytes(b"srcount1", "little")
_HEADER = ("magic", "layout", "version", "pid", "closed", "incarnation", "ring", "reserved")
_VERSION, _PID, _CLOSED, _RING = 2, 3, 4, 6
_U64_START = len(_HEADER)
_F64_START = _U64_START + len(U64_NAMES)
_RING_START = _F64_START + len(F64_NAMES)
_HEAD_BYTES = 8 * _RING_START
_U64_SLOT = {name: _U64_START + index for index, name in enumerate(U64_NAMES)}
_F64_SLOT = {name: _F64_START + index for index, name in enumerate(F64_NAMES)}

EARLIER_FOLDER = "counters.earlier"
"""Where the counters of the run before this one lie, all closed."""

DEFAULT_RING = 1024
"""Last acknowledged sequence numbers kept per kind, for the check against the store."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The books of one kind at one instant."""

    produced: int
    stored: int
    dropped: Mapping[str, int]
    outbox: int
    in_flight: int

    @property
    def dropped_total(self) -> int:
        """Messages dropped, for whatever reason."""
        return sum(self.dropped.values())

    @property
    def remainder(self) -> int:
        """Messages neither stored nor dropped."""
        return self.produced - self.stored - self.dropped_total

    @property
    def depth(self) -> int:
        """Messages that the worker says it still holds."""
        return self.outbox + self.in_flight


@dataclass(frozen=True, slots=True)
class CounterRow:
    """All counters of one process at one instant.

    Attributes:
        role: What the process does.
        name: Camera id, or the role again.
        incarnation: Number of the process; later ones are larger.
        pid: Its process id.
        closed: True when the process ended and its books were closed.
        consistent: False when the process died, or hangs, in the middle of a change.
        values: Every counter and gauge by name.
        books: Counts per kind; all zero for processes that are no camera worker.
        acknowledged: Last sequence numbers acknowledged as stored, per kind, newest last; empty
            when they were not asked for.
    """

    role: Role
    name: str
    incarnation: int
    pid: int
    closed: bool
    consistent: bool
    values: Mapping[str, float]
    books: Mapping[Kind, Counts]
    acknowledged: Mapping[Kind, tuple[int, ...]]


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
        self._u64[_U64_SLOT[name]] += count

    def set(self, name: GaugeName, value: float) -> None:
        """Set a gauge."""
        self._f64[_F64_SLOT[name]] = value

    def value(self, name: CounterName | GaugeName) -> float:
        """Value of a counter or gauge."""
        slot = _U64_SLOT.get(name)
        return self._f64[_F64_SLOT[name]] if slot is None else float(self._u64[slot])

    def observe_latency(self, latency_s: float) -> None:
        """Count one crop's way from capture to committed row."""
        bucket = bisect.bisect_left(LATENCY_BUCKETS_S, latency_s)
        self._u64[_U64_SLOT[f"latency_bucket_{bucket}"]] += 1
        self._f64[_F64_SLOT["latency_sum_s"]] += latency_s

    def book(self, kind: Kind) -> "KindBook":
        """The books of one kind, for the sender."""
        return KindBook(self._u64, kind)

    def mark_closed(self) -> None:
        """This process ends in order: nothing remains to be booked by the supervisor."""
        self._u64[_CLOSED] = 1

    @property
    def closed(self) -> bool:
        """True when the books are closed."""
        return bool(self._u64[_CLOSED])


class KindBook:
    """The books of one kind in the counter file; implements `transport.outbox.Book`."""

    def __init__(self, u64: memoryview, kind: Kind) -> None:
        self._u64 = u64
        self._slot = {name: _U64_SLOT[f"{kind}_{name}"] for name in (*BOOK_FIELDS, *DEPTH_FIELDS)}
        self._ring: int = u64[_RING]
        self._ring_start = _RING_START + KINDS.index(kind) * self._ring

    def produce(self) -> None:
        """One message was made and lies in the outbox."""
        u64 = self._u64
        u64[_VERSION] += 1
        u64[self._slot["outbox"]] += 1
        u64[self._slot["produced"]] += 1
        u64[_VERSION] += 1

    def drop(self, reason: DropReason, *, in_flight: bool = False) -> None:
        """One message left the outbox, or the window, and will never be stored."""
        u64 = self._u64
        u64[_VERSION] += 1
        u64[self._slot[f"dropped_{reason}"]] += 1
        u64[self._slot["in_flight" if in_flight else "outbox"]] -= 1
        u64[_VERSION] += 1

    def store(self, seq: int, *, in_flight: bool) -> None:
        """Message `seq` was acknowledged as committed."""
        u64 = self._u64
        u64[_VERSION] += 1
        stored = u64[self._slot["stored"]]
        u64[self._ring_start + stored % self._ring] = seq
        u64[self._slot["stored"]] = stored + 1
        u64[self._slot["in_flight" if in_flight else "outbox"]] -= 1
        u64[_VERSION] += 1

    def send(self) -> None:
        """One message moved from the outbox into the window."""
        u64 = self._u64
        u64[_VERSION] += 1
        u64[self._slot["in_flight"]] += 1
        u64[self._slot["outbox"]] -= 1
        u64[_VERSION] += 1

    def requeue(self, count: int) -> None:
        """`count` messages moved from the window back into the outbox."""
        u64 = self._u64
        u64[_VERSION] += 1
        u64[self._slot["outbox"]] += count
        u64[self._slot["in_flight"]] -= count
        u64[_VERSION] += 1

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
        u64[_VERSION] += u64[_VERSION] % 2
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
    size = 8 * (_RING_START + ring * len(KINDS))
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
        header = (_MAGIC, LAYOUT, 0, os.getpid(), 0, incarnation, ring, 0)
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


def read_counters(
    run_dir: Path, *, earlier: bool = False, acknowledged: bool = False
) -> list[CounterRow]:
    """Counters of all processes of a run, oldest incarnation first.

    Args:
        run_dir: Private folder of the run.
        earlier: Read those that the run before this one left instead.
        acknowledged: Read the acknowledged sequence numbers too.
    """
    rows = []
    for path in counter_paths(run_dir, earlier=earlier):
        row = read_row(path, acknowledged=acknowledged)
        if row is not None:
            rows.append(row)
    return sorted(rows, key=lambda row: (row.role, row.name, row.incarnation))


def counter_paths(run_dir: Path, *, earlier: bool = False) -> list[Path]:
    """Counter files of all processes of a run."""
    return list((run_dir / (EARLIER_FOLDER if earlier else "counters")).glob("*.*.*"))


def file_number(path: Path) -> int | None:
    """What tells a counter file from another one of the same name; None when it is gone."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def ended_cameras(run_dir: Path) -> frozenset[CameraId]:
    """Cameras of this run from which nothing more will come: read to the end, or given up.

    A matcher learns from this what a Bye that it never heard would have told.
    """
    newest = {row.name: row for row in read_counters(run_dir) if row.role == "camera"}
    over = {float(SOURCE_STATES.index("ended")), float(SOURCE_STATES.index("failed"))}
    return frozenset(
        CameraId(name)
        for name, row in newest.items()
        if row.closed and row.values["source_state"] in over
    )


def read_row(path: Path, *, acknowledged: bool = False) -> CounterRow | None:
    """Counters of one process, or None when the file is gone, half made or of another version."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        data, consistent = _read_stable(descriptor, everything=acknowledged)
    finally:
        os.close(descriptor)
    role, name, incarnation = path.name.split(".")
    if len(data) < _HEAD_BYTES or role not in ROLES:
        return None
    words = memoryview(data).cast("Q")
    if words[0] != _MAGIC or words[1] != LAYOUT:
        return None
    known: Role = next(known for known in ROLES if known == role)
    return _row_of(words, known, name, int(incarnation), consistent=consistent)


def _read_stable(descriptor: int, *, everything: bool) -> tuple[bytes, bool]:
    """Bytes of a file as they were between two changes, and whether that was possible."""
    size = os.fstat(descriptor).st_size if everything else _HEAD_BYTES
    data = b""
    for _ in range(100):
        data = os.pread(descriptor, size - size % 8, 0)
        before = data[8 * _VERSION : 8 * _VERSION + 8]
        after = os.pread(descriptor, 8, 8 * _VERSION)
        if before == after and int.from_bytes(before, sys.byteorder) % 2 == 0:
            return data, True
    return data, False


def _row_of(
    words: memoryview, role: Role, name: str, incarnation: int, *, consistent: bool
) -> CounterRow:
    """Give names to the words of a file."""
    floats = words.cast("B").cast("d")
    values: dict[str, float] = {field: words[slot] for field, slot in _U64_SLOT.items()}
    values.update({field: floats[slot] for field, slot in _F64_SLOT.items()})
    books = {kind: _counts(words, kind) for kind in KINDS}
    return CounterRow(
        role=role,
        name=name,
        incarnation=incarnation,
        pid=words[_PID],
        closed=bool(words[_CLOSED]),
        consistent=consistent,
        values=values,
        books=books,
        acknowledged={kind: _acknowledged(words, kind, books[kind].stored) for kind in KINDS}
        if len(words) > _RING_START
        else {},
    )


def _counts(words: memoryview, kind: Kind) -> Counts:
    """Books of one kind."""
    dropped = {
        field.removeprefix("dropped_"): words[_U64_SLOT[f"{kind}_{field}"]]
        for field in BOOK_FIELDS
        if field.startswith("dropped_")
    }
    return Counts(
        produced=words[_U64_SLOT[f"{kind}_produced"]],
        stored=words[_U64_SLOT[f"{kind}_stored"]],
        dropped=dropped,
        outbox=words[_U64_SLOT[f"{kind}_outbox"]],
        in_flight=words[_U64_SLOT[f"{kind}_in_flight"]],
    )


def _acknowledged(words: memoryview, kind: Kind, stored: int) -> tuple[int, ...]:
    """Newest acknowledged sequence numbers of one kind, oldest first."""
    ring = words[_RING]
    start = _RING_START + KINDS.index(kind) * ring
    return tuple(words[start + index % ring] for index in range(max(0, stored - ring), stored))
