"""Room on the disk: when it is short, when it is gone, and that work goes on by itself (R6)."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from streamreid.errors import StoreFullError
from streamreid.store import (
    Batch,
    Housekeeper,
    HousekeepingRules,
    StoreWriter,
    open_reader,
    stored_seqs,
)
from streamreid.types import TrackKey
from tests.store.builders import DOOR, INCARNATION, ManualClock, crop_row, full_batch, open_writer

KIB = 1024


def keeper_of(store: StoreWriter, clock: ManualClock, **rules: float) -> Housekeeper:
    values = {"max_age_s": 1e6, "min_free_bytes": 0, "reserve_bytes": 256 * KIB, **rules}
    return Housekeeper(store, clock=clock, rules=HousekeepingRules(**values))  # type: ignore[arg-type]


def test_a_turn_reports_and_keeps_the_reserve(tmp_path: Path) -> None:
    clock = ManualClock()
    path = tmp_path / "s.sqlite"
    reserve = tmp_path / "s.sqlite.reserve"
    with open_writer(path, clock) as store:
        store.commit(full_batch(store, 1))
        keeper = keeper_of(store, clock, gallery_age_s=10.0)
        report = keeper.turn(event_time_s=111.0)
        assert report.disk == "ok"
        assert report.store_bytes > 0
        assert report.free_bytes > 0
        assert reserve.stat().st_size == 256 * KIB
        assert reserve.stat().st_mode & 0o077 == 0
        maps = store.connection.execute("SELECT count(feature_map) FROM crops").fetchone()
        assert maps == (1,)
        keeper.turn(event_time_s=112.0)
        maps = store.connection.execute("SELECT count(feature_map) FROM crops").fetchone()
        assert maps == (0,)
        keeper.close()
        assert not reserve.exists()


def test_too_little_space_is_low_and_makes_no_reserve(tmp_path: Path) -> None:
    clock = ManualClock()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        status = os.statvfs(tmp_path)
        plenty = 10 * status.f_blocks * status.f_frsize
        keeper = keeper_of(store, clock, min_free_bytes=plenty)
        assert keeper.turn(event_time_s=0.0).disk == "low"
        assert not (tmp_path / "s.sqlite.reserve").exists()


def fill(store: StoreWriter, first: int) -> int:
    """Commit crops until there is no room; returns the first that was refused."""
    for number in range(first, first + 2000):
        try:
            store.commit(Batch(crops=(crop_row(store, number, size=20_000),)))
        except StoreFullError as error:
            if "the disk or the quota is full" in str(error):
                return number
            raise
    raise AssertionError("it never got full")


def check_full_and_back(store: StoreWriter, make_room: object) -> None:
    """Fill, see that nothing committed is lost, make room, go on with the same batch."""
    refused = fill(store, 1)
    assert stored_seqs(store, DOOR, INCARNATION, "crop") == set(range(1, refused))
    batch = Batch(crops=(crop_row(store, refused, size=20_000),))
    with pytest.raises(StoreFullError):
        store.commit(batch)
    assert callable(make_room)
    make_room()
    store.commit(batch)
    assert stored_seqs(store, DOOR, INCARNATION, "crop") == set(range(1, refused + 1))
    assert store.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_full_database_goes_on_when_it_may_grow(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        store.connection.execute("PRAGMA max_page_count = 700")
        check_full_and_back(store, lambda: store.connection.execute("PRAGMA max_page_count = 9000"))


def test_a_full_file_system_goes_on_when_there_is_room(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("needs the right to mount a tmpfs; the file-size test covers the same path")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)], check=True)
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 1024 * KIB)
        with open_writer(disk / "s.sqlite") as store:
            check_full_and_back(store, ballast.unlink)
        with open_reader(disk / "s.sqlite") as reader:
            assert len(reader.crops(TrackKey(1))) > 10
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_reserve_lets_retention_work_on_a_full_file_system(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("needs the right to mount a tmpfs")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(disk)], check=True)
    try:
        clock = ManualClock()
        with open_writer(disk / "s.sqlite", clock) as store:
            keeper = keeper_of(store, clock, reserve_bytes=8 * 1024 * KIB, max_age_s=100.0)
            keeper.turn(event_time_s=0.0)
            refused = fill(store, 1)
            clock.advance(101.0)
            assert keeper.turn(event_time_s=0.0).disk == "full"
            for _ in range(20):
                report = keeper.turn(event_time_s=0.0)
            assert report.disk == "ok"
            store.commit(Batch(crops=(crop_row(store, refused, size=20_000),)))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a small file system."""
    point = folder / "probe"
    point.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(point)],
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        subprocess.run(["umount", str(point)], check=True)
    return done.returncode == 0


LIMITED = """
import resource, signal, sys
from pathlib import Path
from tests.store.test_housekeeping import check_full_and_back, open_writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_writer(Path(sys.argv[1])) as store:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 2**20, hard))
    check_full_and_back(store, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard)))
"""


def test_a_file_size_limit_is_reported_as_full(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "s.sqlite")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
