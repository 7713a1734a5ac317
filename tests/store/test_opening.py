"""What a store refuses to open, and that the message says what to do (issue: bad input)."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from streamreid.errors import StoreError
from streamreid.store import open_reader
from streamreid.store.lock import StoreLock
from tests.store.builders import full_batch, open_writer


def refused(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        open_writer(path)
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_a_new_store_is_private_and_holds_the_named_tables(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store:
        store.commit(full_batch(store, 1))
        for file in tmp_path.iterdir():
            assert file.stat().st_mode & 0o077 == 0, file
        names = {row[0] for row in store.connection.execute("SELECT name FROM sqlite_schema")}
        pragmas = {
            name: store.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "foreign_keys", "auto_vacuum", "synchronous")
        }
    assert names >= {
        *("runs", "cameras", "streams", "tracks", "detections", "crops", "identities"),
        *("decisions", "transitions", "events", "audit", "artifacts", "sightings"),
    }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "auto_vacuum": 2, "synchronous": 1}


def test_every_table_is_strict(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        rows = store.connection.execute("PRAGMA table_list").fetchall()
    ours = [row for row in rows if row[2] == "table" and not row[1].startswith(("sqlite_", "_"))]
    assert len(ours) == 14
    assert all(row[5] == 1 for row in ours), ours


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "does not exist; create it or change store.path" in refused(tmp_path / "no" / "s.sqlite")


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path)


def test_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_text("this is no database, but a text of some length\n" * 40)
    assert "damaged or not a database" in refused(path)
    with pytest.raises(StoreError, match="damaged or not a database"):
        open_reader(path)


def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE tracks (id INTEGER)")
    other.close()
    assert "is a database of another program" in refused(path)
    with pytest.raises(StoreError, match="another program"):
        open_reader(path)


def test_a_newer_schema(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store:
        store.connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('streamreid', 'm999_from_the_future', '')"
        )
    assert "written by a newer streamreid (schema m999_from_the_future)" in refused(path)


def test_a_second_writer_is_told_who_is_first(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path):
        assert f"is in use by run, process {os.getpid()}" in refused(path)
    open_writer(path).close()


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from streamreid.store.lock import StoreLock; "
        "lock = StoreLock(Path(sys.argv[1]), owner='x'); os._exit(1)"
    )
    path = tmp_path / "s.sqlite"
    subprocess.run([sys.executable, "-c", code, str(path)], timeout=60, check=False)
    with StoreLock(path, owner="y") as lock:
        assert not lock.released
    assert lock.released


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_file_that_may_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    open_writer(path).close()
    path.chmod(0o400)
    assert "cannot be written" in refused(path)


def test_a_database_held_by_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamreid.store.connection.BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "s.sqlite"
    open_writer(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        assert "is locked by another program" in refused(path)
    finally:
        other.close()


def test_damage_after_a_crash_is_found_on_start(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store:
        for number in range(1, 40):
            store.commit(full_batch(store, number))
        store.connection.execute("UPDATE runs SET ended_at = NULL")
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = store.connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'detections'"
        ).fetchone()[0]
    with sqlite3.connect(path, isolation_level=None) as raw:
        raw.execute("UPDATE runs SET ended_at = NULL")
        raw.execute("PRAGMA journal_mode = DELETE")
    raw.close()
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096 + 8 : (root - 1) * 4096 + 64] = b"\xff" * 56
    path.write_bytes(bytes(data))
    assert "damaged" in refused(path)


def test_a_sound_store_after_a_crash_opens_and_notes_it(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store:
        store.connection.execute("UPDATE runs SET started_at = 1")
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE runs SET ended_at = NULL, exit_reason = NULL")
    raw.close()
    open_writer(path).close()
    with open_reader(path) as reader:
        assert [run.exit_reason for run in reader.runs()] == ["crash", "done"]
