"""The `runs` table: how each start of a writer began and ended, and what a crash left behind."""

import json
import sqlite3
from pathlib import Path

from streamreid.errors import StoreError
from streamreid.store.connection import translated
from streamreid.store.rows import RunInfo


def check_after_crash(connection: sqlite3.Connection, path: Path) -> None:
    """Look for damage where the last run did not end in order.

    Raises:
        StoreError: The database is damaged.
    """
    with translated(path):
        crashed = connection.execute(
            "SELECT id FROM runs WHERE ended_at IS NULL LIMIT 1"
        ).fetchone()
        if crashed is None:
            return
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreError(
            f"{path} was damaged when the last run broke off ({verdict}); restore a "
            "backup, or move it away to start afresh"
        )


def begin_run(connection: sqlite3.Connection, run: RunInfo, *, now_s: float) -> int:
    """Note that a run begins, and that those before it which never ended have crashed.

    Returns:
        Its row id.
    """
    connection.execute(
        "UPDATE runs SET ended_at = ?, exit_reason = 'crash' WHERE ended_at IS NULL", (now_s,)
    )
    cursor = connection.execute(
        "INSERT INTO runs (started_at, config_digest, weights_digest, versions, choices) "
        "VALUES (?, ?, ?, ?, ?)",
        (
            now_s,
            run.config_digest,
            run.weights_digest,
            json.dumps(dict(run.versions), sort_keys=True),
            json.dumps(dict(run.choices), sort_keys=True),
        ),
    )
    return int(cursor.lastrowid or 0)


def end_run(connection: sqlite3.Connection, run_id: int, *, reason: str, now_s: float) -> None:
    """Note how a run ended."""
    connection.execute(
        "UPDATE runs SET ended_at = ?, exit_reason = ? WHERE id = ?", (now_s, reason, run_id)
    )
