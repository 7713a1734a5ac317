"""Exports and copies: the same facts in every format, and nothing that should stay inside."""

import csv
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from streamreid.errors import StoreError
from streamreid.evaluation.track_files import read_ai_city, read_mot
from streamreid.store import Batch, open_reader
from streamreid.store.copies import backup, clean_copy
from streamreid.store.export_tables import TABLES, csv_cell, export_csv, export_parquet
from streamreid.store.export_text import FrameNumbers, export_ai_city, export_mot
from streamreid.types import CameraId
from tests.store.builders import DOOR, crop_row, detection_rows, full_batch, open_writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with three ended and decided tracks and one open, undecided one."""
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store:
        for number in (1, 2, 3):
            store.commit(full_batch(store, number))
        rows = detection_rows(store, 9, track=9, at_s=200.0)
        store.commit(Batch(crops=(crop_row(store, 9, track=9),), detections=(rows,)))
        store.label_identity(2, '=HYPERLINK("http://evil")')
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_csv_and_parquet_tell_the_same(path: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    with open_reader(path) as reader:
        texts = export_csv(reader, tmp_path / "csv", progress=lambda *args: told.append(args))
        frames = export_parquet(reader, tmp_path / "parquet")
    assert [file.stem for file in texts] == [file.stem for file in frames] == list(TABLES)
    for text, frame in zip(texts, frames, strict=True):
        rows = table(text)
        data = pl.read_parquet(frame)
        assert len(rows) == len(data)
        assert not rows or list(rows[0]) == data.columns
        assert not [name for name, kind in data.schema.items() if kind == pl.Binary]
    tracks = pl.read_parquet(tmp_path / "parquet" / "tracks.parquet")
    assert tracks["identity_id"].to_list() == [2, 3, 4, None]
    assert tracks["started_at"].to_list() == [99.0] * 4
    assert ("detections", 12) in told
    sightings = table(tmp_path / "csv" / "sightings.csv")
    assert sightings[0]["from_utc"] == "1970-01-01T00:01:39.000Z"


def test_a_label_cannot_become_a_formula(path: Path, tmp_path: Path) -> None:
    with open_reader(path) as reader:
        export_csv(reader, tmp_path / "csv")
    label = table(tmp_path / "csv" / "identities.csv")[0]["label"]
    assert label == '\'=HYPERLINK("http://evil")'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1"])
def test_formula_starts_are_defused(text: str) -> None:
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("value", [-1, -1.5, None, "plain", "a=b", "<script>", "'x", ""])
def test_other_cells_stay(value: object) -> None:
    assert csv_cell(value) == value


def test_many_rows_make_several_parquet_files(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamreid.store.export_tables.PARQUET_ROWS", 5)
    with open_reader(path) as reader:
        files = export_parquet(reader, tmp_path / "p")
    parts = [file for file in files if file.stem.startswith("detections")]
    assert [file.name for file in parts] == [
        "detections.parquet",
        "detections-0001.parquet",
        "detections-0002.parquet",
    ]
    assert sum(len(pl.read_parquet(file)) for file in parts) == 12


def test_mot_text_is_read_back(path: Path, tmp_path: Path) -> None:
    frames = FrameNumbers(10.0, {DOOR: 100.0})
    with open_reader(path) as reader:
        files = export_mot(reader, tmp_path / "mot", frames=frames)
        assert [file.name for file in files] == ["door.txt", "hall.txt"]
        boxes = read_mot(files[0])
        assert boxes.time.tolist() == [11, 12, 13, 21, 22, 23, 31, 32, 33]
        assert boxes.identity.tolist() == [2] * 3 + [3] * 3 + [4] * 3
        assert boxes.boxes_xyxy[0].tolist() == [10, 20, 40, 80]
        assert files[1].read_text() == ""
        by_track = read_mot(export_mot(reader, tmp_path / "t", frames=frames, ids="track")[0])
        assert set(by_track.identity.tolist()) == {1, 2, 3, 4}


def test_without_a_frame_rate_moments_are_counted(path: Path, tmp_path: Path) -> None:
    with open_reader(path) as reader:
        file = export_mot(reader, tmp_path, frames=FrameNumbers())[0]
    assert read_mot(file).time.tolist() == list(range(1, 10))


def test_an_id_stands_once_per_frame(path: Path, tmp_path: Path) -> None:
    with open_reader(path) as reader:
        file = export_mot(reader, tmp_path, frames=FrameNumbers(1.0, {DOOR: 100.0}))[0]
    boxes = read_mot(file)
    assert len(set(zip(boxes.time.tolist(), boxes.identity.tolist(), strict=True))) == len(boxes)


def test_ai_city_text_is_read_back(path: Path, tmp_path: Path) -> None:
    with open_reader(path) as reader:
        file = export_ai_city(reader, tmp_path / "a.txt", frames=FrameNumbers(10.0, {DOOR: 100.0}))
    assert file.read_text().splitlines()[0] == "door 2 11 10 20 30 60 -1 -1"
    boxes = read_ai_city(file)[CameraId("door")]
    assert boxes.time.tolist() == [11, 12, 13, 21, 22, 23, 31, 32, 33]


def test_a_wrong_start_time_or_rate_is_named(path: Path, tmp_path: Path) -> None:
    with open_reader(path) as reader, pytest.raises(StoreError, match="check start_time"):
        export_mot(reader, tmp_path, frames=FrameNumbers(10.0, {DOOR: 500.0}))
    with pytest.raises(StoreError, match="frame rate"):
        FrameNumbers(0.0)


def test_a_clean_copy_is_one_sound_file_without_feature_maps(path: Path, tmp_path: Path) -> None:
    for pictures in (True, False):
        target = tmp_path / f"copy-{pictures}.sqlite"
        clean_copy(path, target, pictures=pictures)
        with sqlite3.connect(target) as copy:
            assert copy.execute("SELECT count(*) FROM sightings").fetchone() == (3,)
            assert copy.execute(
                "SELECT count(feature_map), count(jpeg), count(vector) FROM crops"
            ).fetchone() == ((0, 4, 4) if pictures else (0, 0, 0))
            assert copy.execute("SELECT count(*) FROM receipts").fetchone() == (0,)
            assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        copy.close()
        assert target.stat().st_mode & 0o077 == 0
        assert (b"jjjj" in target.read_bytes()) is pictures
        with open_reader(target) as reader:
            assert len(reader.identities()) == 3
    assert not list(tmp_path.glob("*.part*"))


def test_a_backup_is_exact_even_while_writing(tmp_path: Path) -> None:
    source, target = tmp_path / "s.sqlite", tmp_path / "b.sqlite"
    with open_writer(source) as store:
        store.commit(full_batch(store, 1))
        backup(source, target)
        store.commit(full_batch(store, 2))
    with open_writer(target) as copy:
        assert len(list(copy.connection.execute("SELECT id FROM tracks"))) == 1
        assert copy.reserve_crop() == 2


def test_a_copy_never_overwrites(path: Path, tmp_path: Path) -> None:
    for copy in (backup, clean_copy):
        with pytest.raises(StoreError, match="exists already"):
            copy(path, path)
        with pytest.raises(StoreError, match="does not exist"):
            copy(path, tmp_path / "none" / "x.sqlite")
        with pytest.raises(StoreError, match="does not exist"):
            copy(tmp_path / "none.sqlite", tmp_path / "x.sqlite")
    assert not list(tmp_path.glob("*.part*"))
