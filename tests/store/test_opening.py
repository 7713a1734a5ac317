"""What a store refuses to open, and that the message says what to do (issue: bad input)."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlite_utils import Database

from streamreid.engine.events import Outcome, TimeRecord, TransitionUpdate
from streamreid.errors import StoreError
from streamreid.store import open_reader
from streamreid.store.lock import StoreLock
from streamreid.store.rows import Batch
from streamreid.store.schema import migrations
from tests.store.builders import DOOR, full_batch, open_writer


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


def _at_the_first_schema(path: Path) -> None:
    """Take a store back to the first migration, its rows kept."""
    steps = [step.name for step in migrations().pending(Database(memory=True))]
    assert len(steps) > 1
    old, new = Database(memory=True), Database(memory=True)
    migrations().apply(old, stop_before=steps[1])
    migrations().apply(new)
    added = set(new.table_names()) - set(old.table_names())
    with closing(sqlite3.connect(path)) as raw, raw:
        for table in added:
            raw.execute(f"DROP TABLE {table}")
        for table in old.table_names():
            for column in set(new[table].columns_dict) - set(old[table].columns_dict):
                raw.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        for step in steps[1:]:
            raw.execute("DELETE FROM _sqlite_migrations WHERE name = ?", (step,))


def _tables(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as raw:
        names = [row[0] for row in raw.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
        query = "SELECT * FROM {}"
        return {name: raw.execute(query.format(name)).fetchall() for name in names}


def test_an_older_store_is_brought_up_to_date_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store:
        store.commit(full_batch(store, 1))
        learned = TransitionUpdate(DOOR, DOOR, b"h", 2.0, 9.0)
        store.commit(Batch(outcome=Outcome(transitions=(learned,))))
    before = _tables(path)
    _at_the_first_schema(path)
    assert "time_records" not in _tables(path)
    with open_reader(path) as reader:
        assert [row.passages for row in reader.transitions()] == [b""]
    with open_writer(path) as store:
        store.commit(Batch(outcome=Outcome(records=(TimeRecord("frozen", (1.0,), 5.0),))))
    after = _tables(path)
    assert set(after) == set(before)
    assert len(after["time_records"]) == 1
    own = {"_sqlite_migrations", "sqlite_sequence", "time_records", "runs"}
    assert {n: r for n, r in after.items() if n not in own} == {
        n: r for n, r in before.items() if n not in own
    }


def test_a_migration_that_breaks_off_changes_nothing_and_is_done_next_time(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store:
        store.commit(full_batch(store, 1))
    _at_the_first_schema(path)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE time_records (in_the_way TEXT)")
    before = _tables(path)
    refused(path)
    assert _tables(path) == before
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TABLE time_records")
    open_writer(path).close()
    assert "time_records" in _tables(path)


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


@contextmanager
def _without_privileges() -> Iterator[None]:
    """The superuser may write everywhere, so be somebody else meanwhile."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_may_not_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "s.sqlite"
        open_writer(path).close()
        for file in path.parent.iterdir():
            file.chmod(0o444 if file == path else 0o666)
        path.parent.chmod(0o755)
        with _without_privileges():
            assert f"{path} cannot be written" in refused(path)


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
