"""The demo's picture sheet: frames of every camera with the found people in their colours."""

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamreid.cli.store_tracks import FrameClock
from streamreid.clock import SystemClock
from streamreid.pictures import resize_planes_to_rgb
from streamreid.store.reader import open_reader
from streamreid.types import CameraId, IdentityId, TrackKey, UInt8Array
from streamreid.video.source import open_source

if TYPE_CHECKING:
    from streamreid.store.reader import StoreReader

_COLUMNS = 3
_APART_S = 3.0
_HEADER = 26
_GAP = 4


@dataclass(frozen=True, slots=True)
class _Mark:
    """One found person in one frame."""

    box_xyxy: tuple[float, float, float, float]
    identity: IdentityId | None
    track: TrackKey


def draw_sheet(
    store: Path,
    folder: Path,
    clocks: Mapping[CameraId, FrameClock],
    *,
    person_of: Mapping[TrackKey, int | None],
    width: int = 480,
) -> UInt8Array:
    """Draw the busiest moments of every camera of a scene.

    Args:
        store: The database of the run.
        folder: Where `<camera>.mp4` lies.
        clocks: The cameras and their frame numbers.
        person_of: The true person of each track, for the labels.
        width: Pixels per row of one frame.

    Returns:
        RGB, one row of frames per camera.
    """
    rows = []
    with open_reader(store) as reader:
        for camera, clock in clocks.items():
            marks = _marks(reader, camera, clock)
            pictures = _frames(folder / f"{camera}.mp4", camera, _moments(marks, clock.fps), width)
            cells = [
                _annotate(picture, scale, marks[frame], person_of)
                for frame, (picture, scale) in sorted(pictures.items())
            ]
            if cells:
                rows.append(_row(camera, cells, width))
    if not rows:
        return np.full((_HEADER, width, 3), 245, np.uint8)
    return np.concatenate(rows)


def write_sheet(sheet: UInt8Array, path: Path) -> None:
    """Write a sheet as PNG, readable by its owner only."""
    from streamreid.cli.private_file import write_private

    _, encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    write_private(path, encoded.tobytes())


def identity_rgb(identity: IdentityId | None) -> tuple[int, int, int]:
    """A bright colour per identity, as in the report; grey for nobody."""
    if identity is None:
        return (170, 170, 170)
    hue = int(identity) * 137.508 % 360.0 / 360.0
    red, green, blue = colorsys.hls_to_rgb(hue, 0.55, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def _marks(reader: "StoreReader", camera: CameraId, clock: FrameClock) -> dict[int, list[_Mark]]:
    marks: dict[int, list[_Mark]] = {}
    for track in reader.tracks(camera_id=camera):
        for detection in reader.detections(track.track):
            frame = clock.frame(detection.captured_at_s)
            mark = _Mark(detection.box_xyxy, track.identity_id, track.track)
            marks.setdefault(frame, []).append(mark)
    return marks


def _moments(marks: Mapping[int, Sequence[_Mark]], fps: float) -> list[int]:
    """Frames with most people that lie some seconds apart."""
    chosen: list[int] = []
    for frame in sorted(marks, key=lambda number: (-len(marks[number]), number)):
        if len(chosen) == _COLUMNS:
            break
        if all(abs(frame - other) >= _APART_S * fps for other in chosen):
            chosen.append(frame)
    return chosen


def _frames(
    path: Path, camera: CameraId, wanted: Sequence[int], width: int
) -> dict[int, tuple[UInt8Array, float]]:
    """Decode the wanted frames (numbers from 1) with the factor from frame to picture."""
    pictures: dict[int, tuple[UInt8Array, float]] = {}
    source = open_source(str(path), camera_id=camera, clock=SystemClock(), start_time_s=0.0)
    try:
        for frame in source:
            if frame.index + 1 in wanted:
                height = round(frame.height * width / frame.width / 2) * 2
                picture = resize_planes_to_rgb(frame, (width, height))
                pictures[frame.index + 1] = (picture, width / frame.width)
            if len(pictures) == len(wanted):
                break
    finally:
        source.close()
    return pictures


def _annotate(
    picture: UInt8Array,
    scale: float,
    marks: Sequence[_Mark],
    person_of: Mapping[TrackKey, int | None],
) -> UInt8Array:
    drawn = picture.copy()
    for mark in marks:
        colour = identity_rgb(mark.identity)
        left, top, right, low = (round(value * scale) for value in mark.box_xyxy)
        cv2.rectangle(drawn, (left, top), (right, low), colour, 2, cv2.LINE_AA)
        person = person_of.get(mark.track)
        name = "?" if mark.identity is None else f"#{mark.identity}"
        label = f"{name} ({'-' if person is None else person})"
        (wide, high), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
        base = max(high + 6, top)
        cv2.rectangle(drawn, (left, base - high - 6), (left + wide + 6, base), colour, -1)
        _text(drawn, label, (left + 3, base - 4), 0.42, (20, 20, 20))
    return drawn


def _row(camera: CameraId, cells: Sequence[UInt8Array], width: int) -> UInt8Array:
    height = cells[0].shape[0]
    row = np.full((height + _HEADER, _COLUMNS * (width + _GAP) - _GAP, 3), 245, np.uint8)
    _text(row, camera, (6, _HEADER - 8), 0.55, (30, 30, 30))
    for place, cell in enumerate(cells):
        left = place * (width + _GAP)
        row[_HEADER:, left : left + width] = cell
    return row


def _text(
    picture: UInt8Array, text: str, at: tuple[int, int], size: float, ink: tuple[int, int, int]
) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)
