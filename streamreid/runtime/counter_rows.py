"""Reading the counter files of other processes, while they write and after they are dead."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamreid.messages import KINDS, Kind
from streamreid.runtime.counter_table import (
    BOOK_FIELDS,
    CLOSED_SLOT,
    F64_SLOT,
    HEAD_BYTES,
    LAYOUT,
    MAGIC,
    PID_SLOT,
    RING_SLOT,
    RING_START,
    ROLES,
    SOURCE_STATES,
    U64_SLOT,
    VERSION_SLOT,
    Role,
)
from streamreid.types import CameraId

EARLIER_FOLDER = "counters.earlier"
"""Where the counters of the run before this one lie, all closed."""


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
    if len(data) < HEAD_BYTES or role not in ROLES:
        return None
    words = memoryview(data).cast("Q")
    if words[0] != MAGIC or words[1] != LAYOUT:
        return None
    known: Role = next(known for known in ROLES if known == role)
    return _row_of(words, known, name, int(incarnation), consistent=consistent)


def _read_stable(descriptor: int, *, everything: bool) -> tuple[bytes, bool]:
    """Bytes of a file as they were between two changes, and whether that was possible."""
    size = os.fstat(descriptor).st_size if everything else HEAD_BYTES
    data = b""
    for _ in range(100):
        data = os.pread(descriptor, size - size % 8, 0)
        before = data[8 * VERSION_SLOT : 8 * VERSION_SLOT + 8]
        after = os.pread(descriptor, 8, 8 * VERSION_SLOT)
        if before == after and int.from_bytes(before, sys.byteorder) % 2 == 0:
            return data, True
    return data, False


def _row_of(
    words: memoryview, role: Role, name: str, incarnation: int, *, consistent: bool
) -> CounterRow:
    """Give names to the words of a file."""
    floats = words.cast("B").cast("d")
    values: dict[str, float] = {field: words[slot] for field, slot in U64_SLOT.items()}
    values.update({field: floats[slot] for field, slot in F64_SLOT.items()})
    books = {kind: _counts(words, kind) for kind in KINDS}
    return CounterRow(
        role=role,
        name=name,
        incarnation=incarnation,
        pid=words[PID_SLOT],
        closed=bool(words[CLOSED_SLOT]),
        consistent=consistent,
        values=values,
        books=books,
        acknowledged={kind: _acknowledged(words, kind, books[kind].stored) for kind in KINDS}
        if len(words) > RING_START
        else {},
    )


def _counts(words: memoryview, kind: Kind) -> Counts:
    """Books of one kind."""
    dropped = {
        field.removeprefix("dropped_"): words[U64_SLOT[f"{kind}_{field}"]]
        for field in BOOK_FIELDS
        if field.startswith("dropped_")
    }
    return Counts(
        produced=words[U64_SLOT[f"{kind}_produced"]],
        stored=words[U64_SLOT[f"{kind}_stored"]],
        dropped=dropped,
        outbox=words[U64_SLOT[f"{kind}_outbox"]],
        in_flight=words[U64_SLOT[f"{kind}_in_flight"]],
    )


def _acknowledged(words: memoryview, kind: Kind, stored: int) -> tuple[int, ...]:
    """Newest acknowledged sequence numbers of one kind, oldest first."""
    ring = words[RING_SLOT]
    start = RING_START + KINDS.index(kind) * ring
    return tuple(words[start + index % ring] for index in range(max(0, stored - ring), stored))
