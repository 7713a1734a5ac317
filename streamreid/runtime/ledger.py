"""The supervisor's books: reads all counters, closes those of the dead, remembers problems."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from streamreid.runtime.conservation import (
    Imbalance,
    StoredLookup,
    close_books,
    conservation,
    missing_in_store,
)
from streamreid.runtime.counter_table import Role
from streamreid.runtime.counters import EARLIER_FOLDER, CounterRow, read_counters
from streamreid.runtime.logs import Emit


class Ledger:
    """All counters of one run.

    Args:
        run_dir: Private folder of the run.
        emit: Where problems are logged.
        stored: Looks up in the store what was acknowledged; None leaves that check out.
    """

    def __init__(self, run_dir: Path, emit: Emit, stored: StoredLookup | None = None) -> None:
        self._run_dir = run_dir
        self._emit = emit
        self._stored = stored
        self.imbalances: list[Imbalance] = []

    def begin(self) -> None:
        """Put the counters of the run before aside; close what it left open when it was killed."""
        for row in read_counters(self._run_dir):
            self._close(row)
        folder, earlier = self._run_dir / "counters", self._run_dir / EARLIER_FOLDER
        if folder.exists():
            shutil.rmtree(earlier, ignore_errors=True)
            folder.rename(earlier)
        self.imbalances.clear()

    def rows(self) -> list[CounterRow]:
        """Counters of all processes."""
        return read_counters(self._run_dir)

    def worker_died(self, role: Role, name: str, pid: int) -> None:
        """Close the books of a process that has ended."""
        for row in self.rows():
            if (row.role, row.name, row.pid) == (role, name, pid):
                self._close(row)

    def check(self) -> Sequence[Imbalance]:
        """Check everything now; returns what is wrong, and remembers and logs what is new."""
        rows = self.rows()
        found = conservation(rows)
        if self._stored is not None:
            found += missing_in_store(rows, self._stored)
        known = {(one.incarnation, one.kind) for one in self.imbalances}
        for one in found:
            if (one.incarnation, one.kind) not in known:
                self._report(one)
        return found

    def _close(self, row: CounterRow) -> None:
        """Close one process' books and tell what it took with it."""
        closing = close_books(self._run_dir, row)
        for imbalance in closing.imbalances:
            self._report(imbalance)
        if closing.lost:
            self._emit(
                {
                    "event": "messages lost with a killed worker",
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
