"""A supervised run of fake cameras and a slow matcher, to be ill-treated, and its final audit."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from streamreid.clock import SystemClock
from streamreid.messages import Kind
from streamreid.runtime.child import WorkerSpec
from streamreid.runtime.conservation import Imbalance
from streamreid.runtime.counter_rows import CounterRow, read_counters
from streamreid.runtime.ledger import Ledger
from streamreid.runtime.liveness import SupervisorRules
from streamreid.runtime.logs import Record
from streamreid.runtime.restart import RestartRules
from streamreid.runtime.status import RunStatus
from streamreid.runtime.supervisor import Supervisor
from streamreid.transport.keyring import create_keyring

REPOSITORY = Path(__file__).resolve().parents[2]
_LEAST_WORK, _MOST_WORK = 50, 1500
PATIENT = SupervisorRules(
    # killed on purpose again and again: that is no crash loop
    restart=RestartRules(first_delay_s=0.05, longest_delay_s=0.1, loop_deaths=1_000_000),
    silent_s=120.0,
    silent_matcher_s=120.0,
    check_s=0.5,
    tick_s=0.05,
)


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found after a run.

    Attributes:
        produced: Messages made.
        stored: Messages acknowledged as stored.
        dropped: Messages dropped, by reason.
        in_store: Rows in the store.
        imbalances: Books that do not add up, crash losses beyond the bound included.
        unstored: Messages acknowledged as stored that are not in the store.
        crashed_unharmed: Messages booked as lost in a crash by workers that were never killed.
        integrity: What SQLite says about its file.
    """

    produced: int
    stored: int
    dropped: dict[str, int]
    in_store: int
    imbalances: Sequence[Imbalance]
    unstored: int
    crashed_unharmed: int
    integrity: str

    def problems(self) -> list[str]:
        """Everything that must not be; empty for a sound run."""
        found = [one.problem for one in self.imbalances]
        if self.produced != self.stored + sum(self.dropped.values()):
            found.append(f"{self.produced} produced != {self.stored} stored + {self.dropped}")
        if self.unstored:
            found.append(f"{self.unstored} acknowledged messages are not in the store")
        if self.crashed_unharmed:
            found.append(f"{self.crashed_unharmed} messages crashed in workers never killed")
        if self.in_store < self.stored:
            found.append(f"{self.in_store} rows for {self.stored} stored messages")
        if self.in_store > self.produced:
            found.append(f"{self.in_store} rows, but only {self.produced} messages were made")
        if self.integrity != "ok":
            found.append(f"integrity check: {self.integrity}")
        return found


@dataclass
class Site:
    """A run in a folder of its own.

    Attributes:
        run_dir: Its private folder.
        endpoint: Where its matcher listens.
        cameras: How many cameras it has.
        pause_s: How slow its matcher is.
    """

    run_dir: Path
    endpoint: str
    cameras: int = 3
    pause_s: float = 0.02
    log: list[Record] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_keyring(self.run_dir / "keys")

    def supervisor(self, on_tick: Callable[[RunStatus], None]) -> Supervisor:
        """The supervisor of this run."""
        return Supervisor(
            self.specs(),
            run_dir=self.run_dir,
            ledger=Ledger(self.run_dir, self.log.append, keep_ended=1_000_000),
            clock=SystemClock(),
            emit=self.log.append,
            on_tick=on_tick,
            rules=PATIENT,
        )

    def specs(self) -> list[WorkerSpec]:
        """Matcher and cameras."""
        common = ("--run-dir", str(self.run_dir), "--endpoint", self.endpoint)
        environ = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        return [
            WorkerSpec(
                "matcher",
                "matcher",
                "tests.chaos.matcher",
                (*common, "--pause", str(self.pause_s)),
                environ=environ,
            ),
            *(
                WorkerSpec(
                    "camera",
                    f"camera{n}",
                    "tests.chaos.camera",
                    (*common, "--camera", f"camera{n}"),
                    environ=environ,
                )
                for n in range(self.cameras)
            ),
        ]

    def kill(self, pid: int) -> None:
        """Kill one process without warning."""
        self.killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    def audit(self, imbalances: Sequence[Imbalance]) -> Audit:
        """Compare all books with one another and with the store."""
        everybody = read_counters(self.run_dir, acknowledged=True)
        rows = [row for row in everybody if row.role == "camera"]
        store = sqlite3.connect(self.run_dir / "chaos.sqlite")
        present = set(store.execute("SELECT camera, incarnation, kind, seq FROM messages"))
        (integrity,) = store.execute("PRAGMA integrity_check").fetchone()
        store.close()
        dropped: dict[str, int] = {}
        for row in rows:
            for counts in row.books.values():
                for reason, count in counts.dropped.items():
                    dropped[reason] = dropped.get(reason, 0) + count
        return Audit(
            produced=sum(c.produced for row in rows for c in row.books.values()),
            stored=sum(c.stored for row in rows for c in row.books.values()),
            dropped=dropped,
            in_store=len(present),
            imbalances=imbalances,
            unstored=sum(len(acknowledged(row) - present) for row in rows),
            crashed_unharmed=sum(
                counts.dropped["worker_crash"]
                for row in rows
                for counts in row.books.values()
                if row.pid not in self.killed
            ),
            integrity=integrity,
        )


def acknowledged(row: CounterRow) -> set[tuple[str, int, Kind, int]]:
    """Everything that one worker was told is stored."""
    return {
        (row.name, row.incarnation, kind, seq)
        for kind, seqs in row.acknowledged.items()
        for seq in seqs
    }


class Killer:
    """Kills workers at random, one at a time, each after it has done some amount of work.

    Args:
        site: Whose processes.
        matchers: How many matchers to kill.
        workers: How many camera workers to kill.
        rng: Chooses.
    """

    def __init__(
        self,
        site: Site,
        *,
        matchers: int,
        workers: int,
        rng: random.Random,
    ) -> None:
        self.left = ["matcher"] * matchers + ["camera"] * workers
        rng.shuffle(self.left)
        self._site = site
        self._rng = rng
        self._after = rng.randrange(_LEAST_WORK, _MOST_WORK)
        self.done: Callable[[], None] = lambda: None  # when enough are dead and all work again

    def __call__(self, status: RunStatus) -> None:
        """Kill one process that works, if there is one of the role that is next."""
        working = [
            row
            for row in status.rows
            if not row.closed and row.pid not in self._site.killed and self._works(row)
        ]
        if not self.left:
            if len(working) == self._site.cameras + 1 and not status.stopping:
                self.done()
            return
        candidates = [row for row in working if row.role == self.left[-1]]
        if candidates:
            self.left.pop()
            self._after = self._rng.randrange(_LEAST_WORK, _MOST_WORK)
            self._site.kill(self._rng.choice(candidates).pid)

    def _works(self, row: CounterRow) -> bool:
        if row.role == "matcher":
            return row.values["messages_received"] > self._after
        return row.books["crop"].produced > self._after


class Freezer:
    """Freezes the matcher until cameras have run on for a while, then waits for recovery.

    Args:
        site: Whose matcher.
        frames: How many frames every camera must decode meanwhile.
    """

    def __init__(self, site: Site, frames: int = 100) -> None:
        self.state: Literal["warm", "frozen", "recovering", "thawed"] = "warm"
        self.done: Callable[[], None] = lambda: None
        self.frames_while_frozen = self.dropped_while_frozen = 0.0
        self.frozen_s = self.recovery_s = 0.0
        self._site = site
        self._frames = frames
        self._since_s = 0.0
        self._before = (0.0, 0, 0)

    def __call__(self, status: RunStatus) -> None:
        """Take the next step when it is time."""
        now = self._now(status)
        matcher = status.latest("matcher", "matcher")
        if matcher is None:
            return
        if self.state == "warm" and now[2] > 100:
            os.kill(matcher.pid, signal.SIGSTOP)
            self._enter("frozen", now)
        elif self.state == "frozen" and self._enough(now):
            self.frames_while_frozen = now[0] - self._before[0]
            self.dropped_while_frozen = now[1] - self._before[1]
            self.frozen_s = time.monotonic() - self._since_s
            os.kill(matcher.pid, signal.SIGCONT)
            self._enter("recovering", now)
        elif self.state == "recovering" and now[2] > self._before[2] + 100:
            self.recovery_s = time.monotonic() - self._since_s
            self._enter("thawed", now)
            self.done()

    def _now(self, status: RunStatus) -> tuple[float, int, int]:
        """Frames decoded, crops dropped, crops stored: by all cameras so far."""
        cameras = [row for row in status.rows if row.role == "camera"]
        crops = [row.books["crop"] for row in cameras]
        return (
            sum(row.values["frames_decoded"] for row in cameras),
            sum(counts.dropped["queue_full"] for counts in crops),
            sum(counts.stored for counts in crops),
        )

    def _enough(self, now: tuple[float, int, int]) -> bool:
        frames = self._before[0] + self._frames * self._site.cameras
        return now[0] > frames and now[1] > self._before[1]

    def _enter(
        self, state: Literal["frozen", "recovering", "thawed"], now: tuple[float, int, int]
    ) -> None:
        self.state, self._before, self._since_s = state, now, time.monotonic()
