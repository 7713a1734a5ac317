"""What the store knows about a few identities, and how to take back what was learned."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from streamreid.engine.events import Decision, IdentityUpdate, RestoredTrack
from streamreid.store.writer import StoreWriter
from streamreid.types import CameraId, IdentityId, TrackKey


@dataclass(frozen=True, slots=True)
class KnownPeople:
    """Identities with their tracks and the ledger rows of these tracks, oldest first."""

    identities: tuple[IdentityUpdate, ...]
    tracks: tuple[RestoredTrack, ...]
    rows: tuple[Decision, ...]
    next_identity_id: int


def known_people(connection: sqlite3.Connection, wanted: Sequence[IdentityId]) -> KnownPeople:
    """Read identities, those that they were merged with, and every track that ever was theirs.

    A track that was split off counts too: undoing the split gives it back.

    Args:
        connection: An open store.
        wanted: Ids of the identities.
    """
    ids = json.dumps(_with_merged(connection, [int(identity_id) for identity_id in wanted]))
    identities = connection.execute(
        "SELECT id, status, created_at, last_seen_at, merged_into FROM identities "
        "WHERE id IN (SELECT value FROM json_each(?)) OR id IN (SELECT identity_id FROM tracks "
        "WHERE id IN (SELECT track_id FROM decisions "
        "WHERE identity_id IN (SELECT value FROM json_each(?)))) ORDER BY id",
        (ids, ids),
    ).fetchall()
    tracks = connection.execute(
        "SELECT t.id, c.name, t.started_at, coalesce(t.ended_at, t.seen_at), "
        "t.ended_at IS NOT NULL, t.identity_id, coalesce(d.revision, -1), coalesce(d.final, 0) "
        "FROM tracks t JOIN cameras c ON c.id = t.camera_id "
        "LEFT JOIN decisions d ON d.track_id = t.id AND d.revision = "
        "(SELECT max(revision) FROM decisions WHERE track_id = t.id) "
        "WHERE t.id IN (SELECT track_id FROM decisions "
        "WHERE identity_id IN (SELECT value FROM json_each(?))) ORDER BY t.started_at, t.id",
        (ids,),
    ).fetchall()
    rows = connection.execute(
        "SELECT d.track_id, d.revision, d.decided_at, d.identity_id, d.probability, d.appearance, "
        "d.cooccurrence, d.transition, d.runner_up_identity_id, d.runner_up_probability, "
        "d.reason, d.actor, d.final FROM decisions d JOIN tracks t ON t.id = d.track_id "
        "WHERE t.id IN (SELECT track_id FROM decisions "
        "WHERE identity_id IN (SELECT value FROM json_each(?))) ORDER BY d.id",
        (ids,),
    ).fetchall()
    (last,) = connection.execute(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'identities'), 0)"
    ).fetchone()
    return KnownPeople(
        tuple(
            IdentityUpdate(
                IdentityId(key), status, made, seen, None if into is None else IdentityId(into)
            )
            for key, status, made, seen, into in identities
        ),
        tuple(_track(row) for row in tracks),
        tuple(Decision(*(*row[:-1], bool(row[-1]))) for row in rows),
        int(last) + 1,
    )


def _with_merged(connection: sqlite3.Connection, ids: list[int]) -> list[int]:
    """These identities and everything that was merged into them or that they became part of."""
    found = set(ids)
    while True:
        marks = json.dumps(sorted(found))
        rows = connection.execute(
            "SELECT id, merged_into FROM identities WHERE id IN (SELECT value FROM json_each(?)) "
            "OR merged_into IN (SELECT value FROM json_each(?))",
            (marks, marks),
        ).fetchall()
        grown = found | {key for row in rows for key in row if key is not None}
        if grown == found:
            return sorted(found)
        found = grown


def _track(row: tuple[int, str, float, float, int, int | None, int, int]) -> RestoredTrack:
    key, camera, started, seen, ended, identity, revision, final = row
    return RestoredTrack(
        track=TrackKey(key),
        camera_id=CameraId(camera),
        started_at_s=started,
        seen_at_s=seen,
        ended=bool(ended),
        entry_ids=(),
        entry_times_s=(),
        entry_qualities=(),
        identity_id=None if identity is None else IdentityId(identity),
        revision=revision,
        final=bool(final),
    )


def forget_transitions(writer: StoreWriter, source: str | None, target: str | None) -> int:
    """Delete learned transition times, and what was found about the clocks of these cameras.

    Args:
        writer: The store.
        source: Only those from this camera; all when None.
        target: Only those to this camera; all when None.

    Returns:
        How many camera pairs were forgotten.
    """
    cameras = sorted({name for name in (source, target) if name is not None})
    with writer.transaction():
        if cameras:
            writer.connection.executemany(
                "DELETE FROM time_records WHERE name IN ('clock:' || ?1, 'watch:' || ?1)",
                [(name,) for name in cameras],
            )
        else:
            writer.connection.execute("DELETE FROM time_records WHERE name != 'frozen'")
        return writer.connection.execute(
            "DELETE FROM transitions WHERE "
            "(?1 IS NULL OR from_camera_id = (SELECT id FROM cameras WHERE name = ?1)) AND "
            "(?2 IS NULL OR to_camera_id = (SELECT id FROM cameras WHERE name = ?2))",
            (source, target),
        ).rowcount
