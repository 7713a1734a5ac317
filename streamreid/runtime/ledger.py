"""The supervisor's books: reads all counters, closes those of the dead, remembers problems."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from streamreid.clock import Clock
from streamreid.errors import StreamreidError
from streamreid.messages import KINDS, Kind
from streamreid.runtime.conservation import (
    Imbalance,
    StoredLookup,
    close_books,
    conservation,
    missing_in_store,
)
from streamreid.runtime.counter_rows import (
    EARLIER_FOLDER,
    CounterRow,
    counter_paths,
    file_number,
    read_counters,
    read_row,
)
from streamreid.runtime.counter_table import SOURCE_STATES, Role
from streamreid.runtime.counters import create_counters
from streamreid.runtime.logs import Emit
from streamreid.runtime.process import new_incarnation
from streamreid.runtime.status import add_rows


class Ledger:
    """All counters of one run.

    Args:
        run_dir: Private folder of the run.
        emit: Where problems are logged.
        stored: Looks up in the store what was acknowledged; None leaves that check out.
        keep_ended: So many ended processes of each worker keep a file; older ones are added up.
    """

    def __init__(
        self,
        run_dir: Path,
        emit: Emit,
        stored: StoredLookup | None = None,
        *,
        keep_ended: int = 16,
    ) -> None:
        self._run_dir = run_dir
        self._emit = emit
        self._stored = stored
        self.imbalances: list[Imbalance] = []
        self._keep_ended = keep_ended
        self._ended: dict[Path, tuple[int, CounterRow]] = {}
        self._added_up: dict[tuple[Role, str], CounterRow] = {}
        self._verified: dict[tuple[int, Kind], int] = {}

    def begin(self) -> None:
        """Put the counters of the run before aside; close what it left open when it was killed."""
        for row in read_counters(self._run_dir):
            self._close(row)
        folder, earlier = self._run_dir / "counters", self._run_dir / EARLIER_FOLDER
        if folder.exists():
            shutil.rmtree(earlier, ignore_errors=True)
            folder.rename(earlier)
        self.imbalances.clear()
        self._ended.clear()
        self._added_up.clear()

    def rows(self, *, acknowledged: bool = False) -> list[CounterRow]:
        """Counters of all processes; those of ended ones are read once and remembered.

        Args:
            acknowledged: Read the acknowledged sequence numbers of running processes too.
        """
        rows = list(self._added_up.values())
        for path in counter_paths(self._run_dir):
            file = file_number(path)
            known = self._ended.get(path)
            # a file that is read again has a new process with the old number, and a new file
            same = known is not None and known[0] == file
            row = known[1] if known and same else read_row(path, acknowledged=acknowledged)
            if row is None or file is None:
                continue
            if row.closed:
                self._ended[path] = (file, row)
            rows.append(row)
        return sorted(rows, key=lambda row: (row.role, row.name, row.incarnation))

    def worker_died(self, role: Role, name: str, pid: int) -> None:
        """Check and close the books of a process that has ended."""
        for row in read_counters(self._run_dir, acknowledged=True):
            if (row.role, row.name, row.pid) == (role, name, pid):
                for problem in self._unstored([row]):
                    self._report(problem)
                self._close(row)
                for kind in KINDS:
                    self._verified.pop((row.incarnation, kind), None)

    def has_finished(self, name: str) -> bool:
        """Whether the last worker of a camera had nothing left to do when it ended."""
        rows = [row for row in self.rows() if (row.role, row.name) == ("camera", name)]
        return bool(rows and rows[-1].closed and rows[-1].values["complete"])

    def give_up(self, name: str, clock: Clock) -> None:
        """Leave word that no worker of a camera will be started again."""
        incarnation = new_incarnation(clock)
        with create_counters(
            self._run_dir, "camera", name, incarnation, clock=clock, ring=1
        ) as counters:
            counters.set("source_state", SOURCE_STATES.index("failed"))

    def tidy(self) -> None:
        """Add up the oldest ended processes of workers that have many, and remove their files."""
        files: dict[tuple[Role, str], list[tuple[int, Path]]] = {}
        for path, (_, row) in self._ended.items():
            files.setdefault((row.role, row.name), []).append((row.incarnation, path))
        for worker, ended in files.items():
            for _, path in sorted(ended)[: -self._keep_ended]:
                _, row = self._ended.pop(path)
                before = self._added_up.get(worker)
                self._added_up[worker] = row if before is None else add_rows(before, row)
                path.unlink(missing_ok=True)

    def check(self) -> Sequence[Imbalance]:
        """Check everything now; returns what is wrong, and remembers and logs what is new."""
        rows = self.rows(acknowledged=self._stored is not None)
        found = conservation(rows) + self._unstored(rows)
        known = {(one.incarnation, one.kind) for one in self.imbalances}
        for one in found:
            if (one.incarnation, one.kind) not in known:
                self._report(one)
        return found

    def _unstored(self, rows: Sequence[CounterRow]) -> list[Imbalance]:
        """Ask the store for what was acknowledged since the last time.

        Older ones are not asked for again: retention or an operator may have deleted them since.
        """
        if self._stored is None:
            return []
        fresh = [replace(row, acknowledged=self._fresh(row)) for row in rows]
        try:
            missing = missing_in_store(fresh, self._stored)
        except StreamreidError as exc:
            self._emit(
                {
                    "event": "the store cannot be asked what it holds",
                    "level": "warning",
                    "process": "supervisor",
                    "reason": str(exc),
                }
            )
            return []
        for row in rows:
            for kind in row.acknowledged:
                self._verified[row.incarnation, kind] = row.books[kind].stored
        return missing

    def _fresh(self, row: CounterRow) -> dict[Kind, tuple[int, ...]]:
        """What was acknowledged since it was last looked at."""
        counts = {
            kind: row.books[kind].stored - self._verified.get((row.incarnation, kind), 0)
            for kind in row.acknowledged
        }
        return {kind: row.acknowledged[kind][-count:] for kind, count in counts.items() if count}

    def _close(self, row: CounterRow) -> None:
        """Close one process' books and tell what it took with it."""
        closing = close_books(self._run_dir, row)
        for imbalance in closing.imbalances:
            self._report(imbalance)
        if closing.lost:
            self._emit(
                {
                    "event": "a killed worker took messages with it",
                    "level": "warning",
                    "process": "supervisor",
                    "camera": row.name,
                    "incarnation": row.incarnation,
                    "lost": dict(closing.lost),
                }
            )

    def _report(self, imbalance: Imbalance) -> None:
        """Remember and log one problem."""
        self.imbalances.append(imbalance)
        self._emit(
            {
                "event": "the books do not add up: please report this",
                "level": "error",
                "process": "supervisor",
                "camera": imbalance.camera,
                "kind": imbalance.kind,
                "difference": imbalance.difference,
                "problem": imbalance.problem,
            }
        )
