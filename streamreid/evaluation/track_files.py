"""Reading tracks from MOT text and AI-City multi-camera text, with errors that say which line."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamreid.errors import DatasetError
from streamreid.types import CameraId, Float64Array, Int64Array

_MOT_COLUMNS = "frame,id,x,y,w,h[,confidence,...]"
_AI_CITY_COLUMNS = "camera id frame x y w h xworld yworld"

_Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class TrackBoxes:
    """Boxes with identities in one camera, as parallel arrays.

    Attributes:
        time: Frame number, or any other moment that truth and prediction share, shape `(N,)`.
        identity: Identity of each box, shape `(N,)`; at most one box per moment and identity.
        boxes_xyxy: Pixels, shape `(N, 4)`.
    """

    time: Int64Array
    identity: Int64Array
    boxes_xyxy: Float64Array

    def __post_init__(self) -> None:
        count = len(self.time)
        if self.identity.shape != (count,) or self.boxes_xyxy.shape != (count, 4):
            raise ValueError(
                f"expected identity ({count},) and boxes ({count}, 4), "
                f"got {self.identity.shape} and {self.boxes_xyxy.shape}"
            )

    def __len__(self) -> int:
        return len(self.time)


def read_mot(path: Path, *, truth: bool = False) -> TrackBoxes:
    """Read MOT text of one camera: `frame,id,x,y,w,h[,confidence,...]`.

    Args:
        path: The file; commas or blanks between columns, frames and pixels as they stand there.
        truth: Ground truth: rows whose seventh column is 0 are marked "to be ignored" and left out.

    Returns:
        The boxes in order of the file.

    Raises:
        DatasetError: If the file cannot be read or a line is not such a row; names file and line.
    """
    rows: list[tuple[int, int, float, float, float, float]] = []
    seen: dict[_Key, int] = {}
    for number, columns in _lines(path):
        if len(columns) < 6:
            raise _bad(path, number, f"found {len(columns)} columns, expected {_MOT_COLUMNS}")
        values = _numbers(path, number, columns[:7])
        if truth and len(values) > 6 and values[6] == 0.0:
            continue
        row = _row(path, number, values[0], values[1], values[2:6])
        _once(path, number, ("", row[0], row[1]), seen)
        rows.append(row)
    return boxes_of_rows(rows)


def read_ai_city(path: Path) -> dict[CameraId, TrackBoxes]:
    """Read AI-City multi-camera text: `camera id frame x y w h xworld yworld`.

    Args:
        path: The file; blanks or commas between columns. The camera column may be any name.

    Returns:
        The boxes of every camera; identities are those of the whole network.

    Raises:
        DatasetError: If the file cannot be read or a line is not such a row; names file and line.
    """
    rows: dict[CameraId, list[tuple[int, int, float, float, float, float]]] = {}
    seen: dict[_Key, int] = {}
    for number, columns in _lines(path):
        if len(columns) < 7:
            raise _bad(path, number, f"found {len(columns)} columns, expected {_AI_CITY_COLUMNS}")
        values = _numbers(path, number, columns[1:7])
        row = _row(path, number, values[1], values[0], values[2:6])
        _once(path, number, (columns[0], row[0], row[1]), seen)
        rows.setdefault(CameraId(columns[0]), []).append(row)
    return {camera: boxes_of_rows(found) for camera, found in rows.items()}


def read_mot_folder(folder: Path, *, truth: bool = False) -> dict[CameraId, TrackBoxes]:
    """Read one MOT text per camera: `<camera>.gt.txt` for truth if there is any, else `*.txt`.

    Raises:
        DatasetError: If the folder holds no such file or one of them cannot be read.
    """
    paths = sorted(folder.glob("*.gt.txt")) if truth else []
    paths = paths or sorted(folder.glob("*.txt"))
    if not paths:
        raise DatasetError(f"{folder}: no *.txt in this folder; name a MOT file or its folder")
    return {
        CameraId(path.name.removesuffix(".txt").removesuffix(".gt")): read_mot(path, truth=truth)
        for path in paths
    }


def is_ai_city(path: Path) -> bool:
    """Whether the first row has nine columns without commas: AI-City text and no MOT text."""
    for _, columns in _lines(path):
        with path.open(encoding="utf-8", errors="replace") as text:
            return len(columns) == 9 and "," not in text.readline()
    return False


def boxes_of_rows(
    rows: Sequence[tuple[int, int, float, float, float, float]],
) -> TrackBoxes:
    """Make `TrackBoxes` of rows (time, identity, x1, y1, x2, y2)."""
    table = np.asarray(rows, np.float64).reshape(-1, 6)
    return TrackBoxes(
        time=np.array([row[0] for row in rows], np.int64),
        identity=np.array([row[1] for row in rows], np.int64),
        boxes_xyxy=table[:, 2:6],
    )


def rename(
    boxes: Mapping[CameraId, TrackBoxes], names: Mapping[CameraId, CameraId]
) -> dict[CameraId, TrackBoxes]:
    """Give cameras other names, such as those of the truth; unnamed ones keep theirs."""
    return {names.get(camera, camera): found for camera, found in boxes.items()}


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as text ({error}); check the path") from error
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        columns = line.replace(",", " ").split()
        if columns:
            found.append((number, columns))
    return found


def _numbers(path: Path, number: int, columns: Sequence[str]) -> list[float]:
    values = []
    for column in columns:
        try:
            value = float(column)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise _bad(path, number, f"{column!r} is no number")
        values.append(value)
    return values


def _row(
    path: Path, number: int, time: float, identity: float, box_xywh: Sequence[float]
) -> tuple[int, int, float, float, float, float]:
    for name, value in (("frame", time), ("id", identity)):
        if value != int(value):
            raise _bad(path, number, f"{name} is {value}, expected a whole number")
    x, y, width, height = box_xywh
    if width < 0.0 or height < 0.0:
        raise _bad(path, number, f"the box is {width} x {height} pixels, expected 0 or more")
    return int(time), int(identity), x, y, x + width, y + height


def _once(path: Path, number: int, key: _Key, seen: dict[_Key, int]) -> None:
    if key in seen:
        _, frame, identity = key
        raise _bad(
            path,
            number,
            f"frame {frame} names id {identity} again (first in line {seen[key]}); "
            "one id has at most one box per frame",
        )
    seen[key] = number


def _bad(path: Path, number: int, what: str) -> DatasetError:
    return DatasetError(f"{path}:{number}: {what}")
