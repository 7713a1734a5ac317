"""Exports for spreadsheets and data frames: one CSV or Parquet file per table, without pictures."""

import csv
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import polars as pl

from streamreid.errors import StoreError
from streamreid.store.reader import StoreReader

CHUNK_ROWS = 20_000
PARQUET_ROWS = 1_000_000
"""Rows of one Parquet file; a longer table becomes several files."""

Progress = Callable[[str, int], None]
"""Called with the table's name and the number of rows written since the last call."""

TABLES: dict[str, str] = {
    "sightings": "SELECT s.identity_id, i.label, s.camera, s.from_at, s.to_at, s.track_id, "
    "strftime('%Y-%m-%dT%H:%M:%fZ', s.from_at, 'unixepoch') AS from_utc, "
    "strftime('%Y-%m-%dT%H:%M:%fZ', s.to_at, 'unixepoch') AS to_utc "
    "FROM sightings s JOIN identities i ON i.id = s.identity_id "
    "ORDER BY s.identity_id, s.from_at, s.track_id",
    "identities": "SELECT id, created_at, last_seen_at, status, merged_into, label "
    "FROM identities ORDER BY id",
    "tracks": "SELECT t.id, c.name AS camera, t.started_at, t.seen_at, t.ended_at, t.end_reason, "
    "t.detection_count, t.identity_id FROM tracks t JOIN cameras c ON c.id = t.camera_id "
    "ORDER BY t.id",
    "detections": "SELECT d.track_id, c.name AS camera, t.identity_id, d.captured_at, d.x1, d.y1, "
    "d.x2, d.y2, d.confidence FROM detections d JOIN tracks t ON t.id = d.track_id "
    "JOIN cameras c ON c.id = t.camera_id ORDER BY d.track_id, d.captured_at",
    "crops": "SELECT r.id, r.track_id, c.name AS camera, r.captured_at, r.x1, r.y1, r.x2, r.y2, "
    "r.confidence, r.quality, r.weights_digest FROM crops r JOIN cameras c ON c.id = r.camera_id "
    "ORDER BY r.id",
    "decisions": "SELECT id, track_id, revision, decided_at, identity_id, probability, appearance, "
    "cooccurrence, transition, runner_up_identity_id, runner_up_probability, reason, actor, final "
    "FROM decisions ORDER BY id",
    "cameras": "SELECT id, name, url, width, height, time_source, clock_state FROM cameras "
    "ORDER BY id",
    "streams": "SELECT c.name AS camera, s.incarnation, s.kind, s.produced, s.stored, s.dropped, "
    "s.last_seq FROM streams s JOIN cameras c ON c.id = s.camera_id "
    "ORDER BY c.id, s.incarnation, s.kind",
    "transitions": "SELECT a.name AS from_camera, b.name AS to_camera, t.support, t.updated_at "
    "FROM transitions t JOIN cameras a ON a.id = t.from_camera_id "
    "JOIN cameras b ON b.id = t.to_camera_id ORDER BY a.id, b.id",
    "runs": "SELECT id, started_at, ended_at, config_digest, weights_digest, versions, choices, "
    "exit_reason FROM runs ORDER BY id",
}

_TYPES: dict[type, type[pl.DataType]] = {int: pl.Int64, float: pl.Float64, str: pl.String}
_TEXT_COLUMNS = frozenset(
    {
        *("label", "camera", "from_utc", "to_utc", "status", "end_reason", "weights_digest"),
        *("reason", "actor", "name", "url", "time_source", "clock_state", "kind", "dropped"),
        *("from_camera", "to_camera", "config_digest", "versions", "choices", "exit_reason"),
    }
)
_INTEGER_COLUMNS = frozenset(
    {
        *("id", "identity_id", "track_id", "merged_into", "detection_count", "revision", "final"),
        *("runner_up_identity_id", "width", "height", "incarnation", "produced", "stored"),
        "last_seq",
    }
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def export_csv(
    reader: StoreReader, folder: Path, *, progress: Progress | None = None
) -> list[Path]:
    """Write every table as `NAME.csv` into a folder.

    Args:
        reader: The open store.
        folder: The folder; made when it is not there, files in it are replaced.
        progress: Told about rows as they are written.

    Returns:
        The files.

    Raises:
        StoreError: If the folder cannot be written.
    """
    _make(folder)
    files = []
    with reader.snapshot():
        for name, query in TABLES.items():
            path = folder / f"{name}.csv"
            cursor = reader.connection.execute(query)
            with _open_text(path) as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(_columns(cursor))
                for rows in _chunks(cursor):
                    writer.writerows([[csv_cell(value) for value in row] for row in rows])
                    _tell(progress, name, rows)
            files.append(path)
    return files


def export_parquet(
    reader: StoreReader, folder: Path, *, progress: Progress | None = None
) -> list[Path]:
    """Write every table as `NAME.parquet` into a folder; see `export_csv`.

    A table of more than `PARQUET_ROWS` rows goes on in `NAME-0001.parquet` and so on.
    """
    _make(folder)
    files = []
    with reader.snapshot():
        for name, query in TABLES.items():
            cursor = reader.connection.execute(query)
            schema = {column: _type(column) for column in _columns(cursor)}
            for number, rows in enumerate(_parts(cursor, PARQUET_ROWS)):
                path = folder / (f"{name}-{number:04d}.parquet" if number else f"{name}.parquet")
                frame = pl.DataFrame(
                    [tuple(row) for row in rows], schema=schema, orient="row", strict=True
                )
                _write_parquet(frame, path)
                _tell(progress, name, rows)
                files.append(path)
    return files


def csv_cell(value: object) -> object:
    """A value that no spreadsheet takes for a formula.

    Args:
        value: A number, text or None. Text that begins like a formula gets an apostrophe in front.

    Returns:
        What to write.
    """
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA_STARTS):
        return "'" + value
    return value


def _type(column: str) -> type[pl.DataType]:
    if column in _TEXT_COLUMNS:
        return _TYPES[str]
    return _TYPES[int] if column in _INTEGER_COLUMNS else _TYPES[float]


def _columns(cursor: sqlite3.Cursor) -> list[str]:
    return [column[0] for column in cursor.description]


def _chunks(cursor: sqlite3.Cursor) -> Iterator[Sequence[sqlite3.Row]]:
    while rows := cursor.fetchmany(CHUNK_ROWS):
        yield rows


def _parts(cursor: sqlite3.Cursor, size: int) -> Iterator[Sequence[sqlite3.Row]]:
    rows = cursor.fetchmany(size)
    yield rows
    while rows := cursor.fetchmany(size):
        yield rows


def _tell(progress: Progress | None, name: str, rows: Sequence[object]) -> None:
    if progress is not None:
        progress(name, len(rows))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder {folder} cannot be made: {error.strerror}") from error


def _open_text(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    try:
        frame.write_parquet(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
