"""Nothing is lost silently: checks the books of all workers, and closes those of dead ones.

For every worker and kind, `produced == stored + sum(dropped by reason) + outbox + in flight`. What
a killed worker held is booked as `worker_crash`; that would make the equation true whatever
happened, so it may never be more than the depth the worker last wrote. And whatever was
acknowledged as stored must be in the store: that is asked of the store itself.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamreid.messages import KINDS, Kind
from streamreid.runtime.counter_rows import CounterRow
from streamreid.runtime.counter_table import SOURCE_STATES
from streamreid.runtime.counters import counter_path, open_for_repair

StoredLookup = Callable[[str, int, Kind, Sequence[int]], set[int]]
"""(camera, incarnation, kind, sequence numbers) -> those of them that are in the store."""


@dataclass(frozen=True, slots=True)
class Imbalance:
    """Books that do not add up: always a bug.

    Attributes:
        camera: Camera of the worker.
        incarnation: Number of the worker process.
        kind: Kind of message.
        difference: Messages too few (positive) or too many.
        problem: One sentence for the log.
    """

    camera: str
    incarnation: int
    kind: Kind
    difference: int
    problem: str


@dataclass(frozen=True, slots=True)
class Closing:
    """What closing the books of one dead worker found.

    Attributes:
        lost: Messages booked as `worker_crash`, per kind.
        imbalances: Kinds for which more was lost than the worker held.
    """

    lost: dict[Kind, int]
    imbalances: tuple[Imbalance, ...]


def conservation(rows: Iterable[CounterRow]) -> list[Imbalance]:
    """Check the equation for every camera worker.

    Args:
        rows: As `read_counters` gives them; rows in the middle of a change are passed over.
    """
    found = []
    for row in rows:
        if row.role != "camera" or not row.consistent:
            continue
        for kind, counts in row.books.items():
            held = 0 if row.closed else counts.depth
            difference = counts.remainder - held
            if difference:
                state = "closed" if row.closed else "running"
                found.append(
                    Imbalance(
                        row.name,
                        row.incarnation,
                        kind,
                        difference,
                        f"{state} worker: produced {counts.produced}, stored {counts.stored}, "
                        f"dropped {counts.dropped_total}, held {held}",
                    )
                )
    return found


def close_books(run_dir: Path, row: CounterRow) -> Closing:
    """Close the books of a worker that died, unless it did so itself.

    Args:
        run_dir: Private folder of the run.
        row: The worker's last counters.
    """
    if row.closed:
        return Closing({}, ())
    lost: dict[Kind, int] = {}
    imbalances = []
    with open_for_repair(counter_path(run_dir, row.role, row.name, row.incarnation)) as counters:
        for kind in KINDS:
            held = row.books[kind].depth
            lost[kind] = counters.book(kind).write_off()
            if not 0 <= lost[kind] <= held:
                imbalances.append(
                    Imbalance(
                        row.name,
                        row.incarnation,
                        kind,
                        lost[kind] - held,
                        f"killed worker: {lost[kind]} messages are gone, it held {held}",
                    )
                )
        if not row.values["complete"]:
            # the mark of a crash, whatever it was doing: see resume.has_crashed
            counters.set("source_state", SOURCE_STATES.index("starting"))
        counters.mark_closed()
    return Closing({kind: count for kind, count in lost.items() if count}, tuple(imbalances))


def missing_in_store(rows: Iterable[CounterRow], stored: StoredLookup) -> list[Imbalance]:
    """Check that the messages last acknowledged as stored are in the store.

    Args:
        rows: As `read_counters` gives them.
        stored: Looks sequence numbers up in the store.
    """
    found = []
    for row in rows:
        for kind, acknowledged in row.acknowledged.items():
            if row.role != "camera" or not acknowledged:
                continue
            missing = set(acknowledged) - stored(row.name, row.incarnation, kind, acknowledged)
            if missing:
                found.append(
                    Imbalance(
                        row.name,
                        row.incarnation,
                        kind,
                        len(missing),
                        f"acknowledged as stored but not in the store: {sorted(missing)[:5]} ...",
                    )
                )
    return found
