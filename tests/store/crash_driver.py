"""Kills a writer again and again, or fails its k-th write: nothing acknowledged may be lost.

A program of its own, because it forks and replaces SQLite's file system for the whole process:
`python -m tests.store.crash_driver kill FOLDER COUNT SEED` or `... fault FOLDER STEP lasting|once`.
"""

import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from pathlib import Path

from streamreid.errors import StoreError
from streamreid.store import open_reader
from tests.store.builders import DOOR, INCARNATION, full_batch, open_writer
from tests.store.faults import FULL, IOERR_WRITE, Faults, install

_WHOLE = """
    SELECT c.seq FROM crops c JOIN tracks t ON t.id = c.track_id
    JOIN decisions d ON d.track_id = t.id JOIN identities i ON i.id = t.identity_id
    WHERE t.ended_at IS NOT NULL AND t.detection_count = 3
        AND (SELECT count(*) FROM detections WHERE track_id = t.id) = 3
"""
FAULT_BATCHES = 3


def check(path: Path, acknowledged: set[int]) -> set[int]:
    """Everything acknowledged is there, whole and once; returns all that is stored."""
    connection = sqlite3.connect(path)
    try:
        verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
        whole = [row[0] for row in connection.execute(_WHOLE)]
        crops = [row[0] for row in connection.execute("SELECT seq FROM crops")]
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    finally:
        connection.close()
    asked = tuple(range(max(acknowledged.union(crops), default=0) + 1))
    with open_reader(path) as reader:
        stored = reader.stored_of(DOOR, INCARNATION, "crop", asked)
        counted = sum(row.stored for row in reader.counters() if row.kind == "crop")
    problems = [
        verdict != "ok",
        orphans != [],
        sorted(whole) != sorted(crops),
        len(set(crops)) != len(crops),
        set(crops) != stored,
        counted != len(crops),
        not acknowledged <= stored,
    ]
    if any(problems):
        raise SystemExit(f"{path}: {problems}, missing {sorted(acknowledged - stored)[:9]}")
    return set(stored)


def write_until_killed(path: Path, first: int, pipe: int) -> None:
    """Commit batch after batch and tell each number once it is committed."""
    store = open_writer(path)
    for number in range(first, first + 100_000):
        store.commit(full_batch(store, number))
        os.write(pipe, b"%d\n" % number)


def kill_once(path: Path, first: int, delay_s: float) -> set[int]:
    """Start a writer, kill it `delay_s` after its first commit; returns what it acknowledged."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            write_until_killed(path, first, write_end)
        finally:
            os._exit(9)
    os.close(write_end)
    told = os.read(read_end, 65536)
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    while part := os.read(read_end, 65536):
        told += part
    os.close(read_end)
    os.waitpid(child, 0)
    # The last line may have been cut.
    return {int(line) for line in told.split(b"\n")[:-1]}


def kill_many(folder: Path, count: int, seed: int) -> None:
    """Kill the writer of one database `count` times."""
    rng = random.Random(seed)
    path = folder / "killed.sqlite"
    acknowledged: set[int] = set()
    crashes = 0
    for _ in range(count):
        first = max(acknowledged, default=0) + 2
        new = kill_once(path, first, rng.uniform(0.0, 0.04))
        crashes += bool(new)
        acknowledged |= new
        check(path, acknowledged)
    # A writer that was never told to end is a crash in the run's history.
    with open_writer(path) as store:
        rows = store.connection.execute("SELECT count(*) FROM runs WHERE exit_reason = 'crash'")
        noted = rows.fetchone()[0]
    if noted < crashes or not acknowledged:
        raise SystemExit(f"{crashes} kills, {noted} noted, {len(acknowledged)} acknowledged")
    report = f"{count} kills, {len(acknowledged)} batches acknowledged, 0 missing, integrity ok\n"
    sys.stdout.write(report)


def fault_once(folder: Path, faults: Faults, k: int, *, lasting: bool, code: int) -> bool:
    """Fail the k-th write of a short life of a store; returns False once there is no k-th write."""
    path = folder / "faulty.sqlite"
    for old in folder.glob("faulty.sqlite*"):
        old.unlink()
    acknowledged: set[int] = set()
    faults.arm(k, lasting=lasting, code=code)
    try:
        with open_writer(path) as store:
            for number in range(1, FAULT_BATCHES + 1):
                store.commit(full_batch(store, number))
                acknowledged.add(number)
    except StoreError:
        # Expected: a typed error instead of a torn batch.
        if not faults.reached:
            raise
    reached = faults.reached
    faults.disarm()
    with open_writer(path) as store:
        for number in range(1, FAULT_BATCHES + 1):
            store.commit(full_batch(store, number))
    if check(path, acknowledged) != set(range(1, FAULT_BATCHES + 1)):
        raise SystemExit(f"k = {k}: not everything was stored in the end")
    return reached


def fault_every(folder: Path, step: int, *, lasting: bool) -> None:
    """Fail every `step`-th write there is, each in a life of its own."""
    faults = install()
    if faults is None:
        sys.stdout.write("skipped: this Python's SQLite cannot be reached through ctypes\n")
        return
    k = 1
    while fault_once(folder, faults, k, lasting=lasting, code=FULL if k % 2 else IOERR_WRITE):
        k += step
    if k < 20:
        raise SystemExit(f"only {k} writes were seen: the faulty file system was not in use")
    sys.stdout.write(f"{(k - 1) // step} faults over {k} writes, nothing acknowledged was lost\n")
    shutil.rmtree(folder)


def main() -> None:
    """Run one of the two."""
    kind, folder, count, last = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    folder.mkdir(exist_ok=True)
    if kind == "kill":
        kill_many(folder, count, int(last))
    else:
        fault_every(folder, count, lasting=last == "lasting")


if __name__ == "__main__":
    main()
