"""Reading MOT and AI-City text: what is kept, and what each error says."""

from pathlib import Path

import pytest

from streamreid.errors import DatasetError
from streamreid.evaluation.track_files import (
    is_ai_city,
    read_ai_city,
    read_mot,
    read_mot_folder,
    rename,
)
from streamreid.types import CameraId


def _file(folder: Path, text: str, name: str = "door.txt") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_boxes_become_corners_and_order_is_kept(tmp_path: Path) -> None:
    boxes = read_mot(_file(tmp_path, "3,7,10,20,5,6,1,-1,-1,-1\n\n1 8 0.5 1 2 2\n"))
    assert boxes.time.tolist() == [3, 1]
    assert boxes.identity.tolist() == [7, 8]
    assert boxes.boxes_xyxy.tolist() == [[10, 20, 15, 26], [0.5, 1, 2.5, 3]]
    assert len(boxes) == 2


def test_rows_marked_to_be_ignored_are_left_out_of_truth_only(tmp_path: Path) -> None:
    path = _file(tmp_path, "1,1,0,0,5,5,1,-1,-1,-1\n1,2,0,0,5,5,0,-1,-1,-1\n")
    assert read_mot(path, truth=True).identity.tolist() == [1]
    assert read_mot(path).identity.tolist() == [1, 2]


def test_an_empty_file_has_no_boxes(tmp_path: Path) -> None:
    assert len(read_mot(_file(tmp_path, ""))) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,0,0,5\n", r"door.txt:1: found 5 columns, expected frame,id,x,y,w,h"),
        ("1,1,0,0,5,5\n2,1,0,x,5,5\n", r"door.txt:2: 'x' is no number"),
        ("1,1,0,0,nan,5\n", r"door.txt:1: 'nan' is no number"),
        ("1.5,1,0,0,5,5\n", r"door.txt:1: frame is 1.5, expected a whole number"),
        ("1,1.5,0,0,5,5\n", r"door.txt:1: id is 1.5, expected a whole number"),
        ("1,1,0,0,-5,5\n", r"door.txt:1: the box is -5.0 x 5.0 pixels"),
        ("1,1,0,0,5,5\n1,1,9,9,5,5\n", r"door.txt:2: frame 1 names id 1 again \(first in line 1\)"),
    ],
    ids=["short", "word", "nan", "half-frame", "half-id", "negative-size", "twice"],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_mot(_file(tmp_path, text))


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read as text"):
        read_mot(tmp_path / "nowhere.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="cannot be read as text"):
        read_mot(tmp_path / "b.txt")


def test_ai_city_text_is_split_by_camera(tmp_path: Path) -> None:
    path = _file(tmp_path, "1 5 3 10 20 5 6 0 0\n2 5 4 0 0 5 6 0 0\n1 6 3 1 1 5 6 0 0\n")
    assert is_ai_city(path)
    cameras = read_ai_city(path)
    assert {camera: boxes.identity.tolist() for camera, boxes in cameras.items()} == {
        "1": [5, 6],
        "2": [5],
    }
    assert cameras[CameraId("1")].time.tolist() == [3, 3]
    door = CameraId("door")
    assert set(rename(cameras, {CameraId("1"): door})) == {door, CameraId("2")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 5 3 10 20 5\n", "found 6 columns, expected camera id frame"),
        ("1 5 3 10 20 5 6 0 0\n1 5 3 0 0 5 6 0 0\n", "frame 3 names id 5 again"),
    ],
)
def test_a_bad_ai_city_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_ai_city(_file(tmp_path, text))


def test_mot_is_not_taken_for_ai_city(tmp_path: Path) -> None:
    assert not is_ai_city(_file(tmp_path, "1,1,399,182,121,229,1,-1,-1,-1\n"))
    assert not is_ai_city(_file(tmp_path, ""))


def test_a_folder_prefers_files_marked_as_truth(tmp_path: Path) -> None:
    _file(tmp_path, "1,1,0,0,5,5\n", "door.gt.txt")
    _file(tmp_path, "1,9,0,0,5,5\n", "door.txt")
    assert read_mot_folder(tmp_path, truth=True)[CameraId("door")].identity.tolist() == [1]


def test_a_folder_without_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="in this folder; name a MOT file"):
        read_mot_folder(tmp_path)
