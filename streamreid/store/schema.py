"""Tables, indexes and the `sightings` view, as migrations that run once each."""

from sqlite_utils import Database, Migrations

APPLICATION_ID = 0x53524944
"""`SRID` in the file's header: how a file is known to be ours."""

SET_NAME = "streamreid"

_TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at REAL NOT NULL,
    ended_at REAL,
    config_digest TEXT NOT NULL,
    weights_digest TEXT NOT NULL,
    versions TEXT NOT NULL,
    choices TEXT NOT NULL,
    exit_reason TEXT
) STRICT;

CREATE TABLE cameras (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    width INTEGER NOT NULL DEFAULT 0,
    height INTEGER NOT NULL DEFAULT 0,
    time_source TEXT,
    clock_state TEXT
) STRICT;

CREATE TABLE streams (
    camera_id INTEGER NOT NULL REFERENCES cameras(id),
    incarnation INTEGER NOT NULL,
    kind TEXT NOT NULL,
    produced INTEGER NOT NULL DEFAULT 0,
    stored INTEGER NOT NULL DEFAULT 0,
    dropped TEXT NOT NULL DEFAULT '{}',
    last_seq INTEGER NOT NULL DEFAULT -1,
    updated_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (camera_id, incarnation, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE receipts (
    camera_id INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    kind TEXT NOT NULL,
    seq INTEGER NOT NULL,
    disposition TEXT NOT NULL,
    PRIMARY KEY (camera_id, incarnation, kind, seq),
    FOREIGN KEY (camera_id, incarnation, kind)
        REFERENCES streams(camera_id, incarnation, kind) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE identities (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at REAL NOT NULL,
    last_seen_at REAL NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('provisional', 'confirmed', 'merged')),
    merged_into INTEGER,
    label TEXT
) STRICT;

CREATE TABLE tracks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    camera_id INTEGER NOT NULL REFERENCES cameras(id),
    incarnation INTEGER NOT NULL,
    camera_track_id INTEGER NOT NULL,
    started_at REAL NOT NULL,
    seen_at REAL NOT NULL,
    ended_at REAL,
    end_reason TEXT,
    detection_count INTEGER NOT NULL DEFAULT 0,
    identity_id INTEGER REFERENCES identities(id) ON DELETE SET NULL,
    stored_at REAL NOT NULL,
    UNIQUE (camera_id, incarnation, camera_track_id)
) STRICT;
CREATE INDEX tracks_by_identity ON tracks(identity_id, started_at);
CREATE INDEX tracks_by_age ON tracks(stored_at);
CREATE INDEX tracks_open ON tracks(camera_id) WHERE ended_at IS NULL;

CREATE TABLE detections (
    track_id INTEGER NOT NULL REFERENCES tracks(id) ON DELETE CASCADE,
    captured_at REAL NOT NULL,
    x1 REAL NOT NULL,
    y1 REAL NOT NULL,
    x2 REAL NOT NULL,
    y2 REAL NOT NULL,
    confidence REAL NOT NULL,
    PRIMARY KEY (track_id, captured_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE crops (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    track_id INTEGER NOT NULL REFERENCES tracks(id) ON DELETE CASCADE,
    camera_id INTEGER NOT NULL REFERENCES cameras(id),
    incarnation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    captured_at REAL NOT NULL,
    x1 REAL NOT NULL,
    y1 REAL NOT NULL,
    x2 REAL NOT NULL,
    y2 REAL NOT NULL,
    confidence REAL NOT NULL,
    quality REAL NOT NULL,
    weights_digest TEXT NOT NULL,
    stored_at REAL NOT NULL,
    vector BLOB,
    jpeg BLOB,
    feature_map BLOB,
    UNIQUE (camera_id, incarnation, seq)
) STRICT;
CREATE INDEX crops_by_track ON crops(track_id, captured_at);
CREATE INDEX crops_by_age ON crops(stored_at);
CREATE INDEX crops_with_map ON crops(captured_at) WHERE feature_map IS NOT NULL;

CREATE TABLE decisions (
    id INTEGER PRIMARY KEY,
    track_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    decided_at REAL NOT NULL,
    identity_id INTEGER NOT NULL,
    probability REAL NOT NULL,
    appearance REAL,
    cooccurrence REAL,
    transition REAL,
    runner_up_identity_id INTEGER,
    runner_up_probability REAL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    final INTEGER NOT NULL DEFAULT 0,
    UNIQUE (track_id, revision)
) STRICT;

CREATE TABLE transitions (
    from_camera_id INTEGER NOT NULL REFERENCES cameras(id),
    to_camera_id INTEGER NOT NULL REFERENCES cameras(id),
    histogram BLOB NOT NULL,
    support REAL NOT NULL,
    updated_at REAL NOT NULL,
    PRIMARY KEY (from_camera_id, to_camera_id)
) STRICT;

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at REAL NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created_at REAL NOT NULL,
    track_id INTEGER,
    identity_id INTEGER
) STRICT;

CREATE VIEW sightings AS
SELECT
    tracks.identity_id AS identity_id,
    cameras.name AS camera,
    tracks.started_at AS from_at,
    coalesce(tracks.ended_at, tracks.seen_at) AS to_at,
    tracks.id AS track_id
FROM tracks JOIN cameras ON cameras.id = tracks.camera_id
WHERE tracks.identity_id IS NOT NULL
ORDER BY tracks.identity_id, tracks.started_at;
"""

_TIME_RECORDS = """
CREATE TABLE time_records (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""


def migrations() -> Migrations:
    """The steps from an empty file to today's schema; a step never changes once shipped."""
    steps = Migrations(SET_NAME)

    @steps()
    def m001_first_tables(db: Database) -> None:
        # executescript would commit the migration's own transaction.
        for statement in _statements(_TABLES):
            db.conn.execute(statement)
        db.conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    @steps()
    def m002_time_records(db: Database) -> None:
        for statement in _statements(_TIME_RECORDS):
            db.conn.execute(statement)

    @steps()
    def m003_passages(db: Database) -> None:
        db.conn.execute("ALTER TABLE transitions ADD COLUMN passages BLOB")

    @steps()
    def m004_compared(db: Database) -> None:
        db.conn.execute("ALTER TABLE tracks ADD COLUMN compared BLOB")

    return steps


def _statements(script: str) -> list[str]:
    return [part.strip() for part in script.split(";\n") if part.strip()]
