"""What is going on in a run, as plain data: for `status`, the live table, metrics and health."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from streamreid.messages import KINDS, Kind
from streamreid.runtime.conservation import Imbalance
from streamreid.runtime.counter_rows import CounterRow, Counts
from streamreid.runtime.counter_table import (
    COUNTERS_OF,
    GAUGE_NAMES,
    GAUGES_OF,
    SOURCE_STATES,
    TIME_SOURCES,
    Role,
)
from streamreid.runtime.latency import latency_buckets, latency_quantiles
from streamreid.transport.outbox import DROP_REASONS


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker process.

    Attributes:
        role: `camera` or `matcher`.
        name: Camera id, or the role again.
        state: As in `runtime.child.ChildState`.
        pid: Process id while it runs.
        uptime_s: How long it has run, 0 while it does not.
        restarts: How often it was started again.
        last_exit: Last exit code, negative for a signal.
        resident_bytes: Memory it holds, 0 while it does not run.
    """

    role: Role
    name: str
    state: str
    pid: int | None
    uptime_s: float
    restarts: int
    last_exit: int | None
    resident_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The whole run at one instant.

    Attributes:
        workers: All processes.
        rows: All counters, those of ended processes included.
        imbalances: Books that did not add up, so far.
        stopping: True once the run was asked to end.
    """

    workers: Sequence[WorkerStatus]
    rows: Sequence[CounterRow]
    imbalances: Sequence[Imbalance]
    stopping: bool

    def latest(self, role: Role, name: str) -> CounterRow | None:
        """Counters of the newest process of a worker."""
        found = [row for row in self.rows if row.role == role and row.name == name]
        return found[-1] if found else None

    def current(self, worker: "WorkerStatus") -> CounterRow | None:
        """Counters of the process that a worker is now; None before it has any of its own."""
        row = self.latest(worker.role, worker.name)
        mine = row is not None and worker.pid in (None, row.pid)
        return row if mine else None

    def counter(self, role: Role, name: str, counter: str) -> float:
        """A counter, summed over all processes that a worker has had."""
        return sum(
            row.values[counter] for row in self.rows if row.role == role and row.name == name
        )

    def books(self, camera: str) -> dict[Kind, Counts]:
        """Books of a camera, summed over all its processes."""
        rows = [row for row in self.rows if row.role == "camera" and row.name == camera]
        return {kind: add_counts(row.books[kind] for row in rows) for kind in KINDS}

    @property
    def ready(self) -> bool:
        """True when the matcher works and every camera worker runs or has finished."""
        matcher = self.latest("matcher", "matcher")
        return (
            not self.stopping
            and matcher is not None
            and not matcher.closed
            and matcher.values["ready"] == 1
            and all(worker.state in ("running", "finished") for worker in self.workers)
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON can carry it."""
        return {
            "ready": self.ready,
            "stopping": self.stopping,
            "workers": [_worker_dict(self, worker) for worker in self.workers],
            "imbalances": [
                {"camera": one.camera, "kind": one.kind, "problem": one.problem}
                for one in self.imbalances
            ],
            "latency_s": latency_quantiles(latency_buckets(self.rows)),
        }


def add_counts(counts: Iterable[Counts]) -> Counts:
    """Sum of several books."""
    produced = stored = outbox = in_flight = 0
    dropped: dict[str, int] = dict.fromkeys(DROP_REASONS, 0)
    for one in counts:
        produced += one.produced
        stored += one.stored
        outbox += one.outbox
        in_flight += one.in_flight
        for reason, count in one.dropped.items():
            dropped[reason] += count
    return Counts(produced, stored, dropped, outbox, in_flight)


def add_rows(older: CounterRow, newer: CounterRow) -> CounterRow:
    """Two ended processes of one worker as one: counters added, gauges and names of the newer."""
    values = {
        name: value if _is_gauge(name) else older.values[name] + value
        for name, value in newer.values.items()
    }
    books = {kind: add_counts((older.books[kind], newer.books[kind])) for kind in newer.books}
    return replace(newer, values=values, books=books, acknowledged={})


def _worker_dict(status: RunStatus, worker: WorkerStatus) -> dict[str, Any]:
    """One worker with its gauges and the sums of its counters."""
    entry: dict[str, Any] = {
        "role": worker.role,
        "name": worker.name,
        "state": worker.state,
        "pid": worker.pid,
        "uptime_s": round(worker.uptime_s, 1),
        "restarts": worker.restarts,
        "last_exit": worker.last_exit,
        "resident_bytes": worker.resident_bytes,
        "counters": {
            name: int(total)
            for name in COUNTERS_OF[worker.role]
            if (total := status.counter(worker.role, worker.name, name))
        },
    }
    row = status.current(worker)
    if row is not None:
        entry["gauges"] = {
            name: row.values[name] for name in GAUGES_OF[worker.role] if row.values[name]
        }
    if row is not None and worker.role == "camera":
        entry["source"] = SOURCE_STATES[int(row.values["source_state"])]
        entry["time_source"] = TIME_SOURCES[int(row.values["time_source"])]
    if worker.role == "camera":
        entry["messages"] = {
            kind: {
                "produced": counts.produced,
                "stored": counts.stored,
                "dropped": {reason: n for reason, n in counts.dropped.items() if n},
                "outbox": counts.outbox,
                "in_flight": counts.in_flight,
            }
            for kind, counts in status.books(worker.name).items()
        }
    return entry


def _is_gauge(name: str) -> bool:
    """True for values that are replaced, not added up."""
    return name in GAUGE_NAMES
