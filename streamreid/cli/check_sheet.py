"""The picture sheet of `streamreid check`: one picture per camera with the people found in it."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import cv2
import numpy as np

from streamreid.pictures import resize_planes_to_rgb
from streamreid.types import CameraId, Detections, Frame, UInt8Array

_WIDTH = 480
_EMPTY_HEIGHT = 270
_HEADER = 28
_GAP = 4
_COLUMNS = 3
_PAPER, _INK, _BAD, _BOX = 245, (30, 30, 30), (190, 30, 30), (40, 200, 60)

Picture = tuple[CameraId, Frame | None, Detections | None]


def draw_sheet(pictures: Sequence[Picture], *, errors: Mapping[CameraId, str]) -> UInt8Array:
    """Draw one cell per camera.

    Args:
        pictures: Name, frame (None: no picture) and detections in full-frame pixels.
        errors: Why a camera has no picture.

    Returns:
        RGB pixels, three cells in a row.
    """
    cells = [_cell(*picture, error=errors.get(picture[0], "")) for picture in pictures]
    rows = []
    for start in range(0, len(cells), _COLUMNS):
        part = cells[start : start + _COLUMNS]
        height = max(cell.shape[0] for cell in part)
        row = np.full((height, _COLUMNS * (_WIDTH + _GAP), 3), _PAPER, np.uint8)
        for place, cell in enumerate(part):
            left = place * (_WIDTH + _GAP)
            row[: cell.shape[0], left : left + _WIDTH] = cell
        rows.append(row)
    return np.concatenate(rows)


def _cell(
    camera_id: CameraId, frame: Frame | None, people: Detections | None, *, error: str
) -> UInt8Array:
    height = _EMPTY_HEIGHT if frame is None else _even(_WIDTH * frame.height / frame.width)
    cell = np.full((_HEADER + height, _WIDTH, 3), _PAPER, np.uint8)
    count = "" if people is None else f", people: {len(people)}"
    _text(cell, f"{camera_id}{count}", (6, 19), _INK)
    if frame is None:
        for number, line in enumerate(wrap(error, 60)[:8]):
            _text(cell, line, (6, 60 + 22 * number), _BAD, size=0.42)
        return cell
    picture = resize_planes_to_rgb(frame, (_WIDTH, height)).copy()
    scale = _WIDTH / frame.width
    for box in () if people is None else people.boxes_xyxy:
        left, top, right, bottom = (round(float(value) * scale) for value in box)
        cv2.rectangle(picture, (left, top), (right, bottom), _BOX, 2, cv2.LINE_AA)
    cell[_HEADER:] = picture
    return cell


def _even(value: float) -> int:
    return max(2, round(value / 2) * 2)


def _text(
    picture: UInt8Array,
    text: str,
    at: tuple[int, int],
    ink: tuple[int, int, int],
    *,
    size: float = 0.5,
) -> None:
    # The drawing library knows Latin letters only.
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(picture, plain, at, cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)
