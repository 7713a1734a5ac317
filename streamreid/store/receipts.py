"""The `receipts` table: what was decided about each message, for whoever sends it again."""

import sqlite3

from streamreid.messages import Disposition
from streamreid.store.rows import MessageId

RECEIPTS_KEPT = 200_000
"""Receipts per stream; more than any worker may still send again (max_pending + window)."""


def find_receipt(
    connection: sqlite3.Connection, camera_row: int, message: MessageId
) -> Disposition | None:
    """What was decided about a message before; None when it is new."""
    row = connection.execute(
        "SELECT disposition FROM receipts "
        "WHERE camera_id = ? AND incarnation = ? AND kind = ? AND seq = ?",
        (camera_row, message.incarnation, message.kind, message.seq),
    ).fetchone()
    return None if row is None else row[0]


def prune_receipts(connection: sqlite3.Connection) -> None:
    """Forget what nobody can send again."""
    connection.execute(
        "DELETE FROM receipts WHERE (camera_id, incarnation, kind, seq) IN ("
        "SELECT r.camera_id, r.incarnation, r.kind, r.seq FROM receipts r "
        "JOIN streams s USING (camera_id, incarnation, kind) WHERE r.seq < s.last_seq - ?)",
        (RECEIPTS_KEPT,),
    )
