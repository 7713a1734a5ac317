"""Exports for tracking evaluation: MOT text per camera and AI-City multi-camera text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from streamreid.errors import StoreError
from streamreid.store.reader import StoreReader
from streamreid.types import CameraId

Ids = Literal["identity", "track"]
"""What the id column holds: the person over all cameras, or the track in one camera."""


@dataclass(frozen=True, slots=True)
class FrameNumbers:
    """How a capture time becomes a frame number, counted from 1.

    With a frame rate: `round((captured_at - origin) * fps) + 1`, as it stands in the video.
    Without: the moments at which anything was detected in the camera are counted in order, which
    is right only when every frame was looked at and none was empty.

    Attributes:
        fps: Frame rate of the video; None counts moments.
        origins_s: Capture time of the first frame per camera, epoch seconds; a camera without
            one starts at its first detection.
    """

    fps: float | None = None
    origins_s: Mapping[CameraId, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise StoreError(f"the frame rate must be above 0 and at most 1000, got {self.fps}")


@dataclass(frozen=True, slots=True)
class _Row:
    frame: int
    number: int
    left: float
    top: float
    width: float
    height: float
    confidence: float


_DETECTIONS = """
    SELECT d.captured_at, t.id, t.identity_id, d.x1, d.y1, d.x2, d.y2, d.confidence
    FROM detections d JOIN tracks t ON t.id = d.track_id JOIN cameras c ON c.id = t.camera_id
    WHERE c.name = ? AND (? OR t.identity_id IS NOT NULL)
    ORDER BY d.captured_at, t.id
"""


def export_mot(
    reader: StoreReader, folder: Path, *, frames: FrameNumbers, ids: Ids = "identity"
) -> list[Path]:
    """Write `CAMERA.txt` per camera: `frame,id,x,y,w,h,confidence,-1,-1,-1`.

    Args:
        reader: The open store.
        folder: The folder; made when it is not there, files in it are replaced.
        frames: How capture times become frame numbers.
        ids: What the id column holds; tracks without an identity are left out with `identity`.

    Returns:
        The files.

    Raises:
        StoreError: If they cannot be written, or a capture time lies before its camera's origin.
    """
    files = []
    for camera in reader.cameras():
        lines = [
            f"{row.frame},{row.number},{row.left:.2f},{row.top:.2f},{row.width:.2f},"
            f"{row.height:.2f},{row.confidence:.4f},-1,-1,-1\n"
            for row in _rows(reader, camera.camera_id, frames, ids)
        ]
        path = folder / f"{camera.camera_id}.txt"
        _write(path, lines)
        files.append(path)
    return files


def export_ai_city(reader: StoreReader, path: Path, *, frames: FrameNumbers) -> Path:
    """Write one file over all cameras: `camera id frame x y w h xworld yworld`.

    The camera column holds the camera's name, or its number when the name is `c` and digits as in
    the AI City data; world coordinates are unknown and stand as -1.

    Args:
        reader: The open store.
        path: The file; replaced when it is there.
        frames: How capture times become frame numbers.

    Returns:
        The file.

    Raises:
        StoreError: As for `export_mot`.
    """
    lines = [
        f"{_ai_city_camera(camera.camera_id)} {row.number} {row.frame} {row.left:.0f} "
        f"{row.top:.0f} {row.width:.0f} {row.height:.0f} -1 -1\n"
        for camera in reader.cameras()
        for row in _rows(reader, camera.camera_id, frames, "identity")
    ]
    _write(path, lines)
    return path


def _ai_city_camera(camera_id: CameraId) -> str:
    digits = camera_id.removeprefix("c")
    return str(int(digits)) if digits.isdecimal() else camera_id


def _rows(
    reader: StoreReader, camera_id: CameraId, frames: FrameNumbers, ids: Ids
) -> Iterator[_Row]:
    origin_s = frames.origins_s.get(camera_id)
    last_s, moment = None, 0
    seen: set[tuple[int, int]] = set()
    cursor = reader.connection.execute(_DETECTIONS, (camera_id, ids == "track"))
    for at_s, track, identity, x1, y1, x2, y2, confidence in cursor:
        if origin_s is None:
            origin_s = at_s
        if at_s != last_s:
            last_s, moment = at_s, moment + 1
        frame = moment if frames.fps is None else round((at_s - origin_s) * frames.fps) + 1
        if frame < 1:
            raise StoreError(
                f"camera {camera_id!r}: a detection at {at_s} s lies before the first frame at "
                f"{origin_s} s; check start_time"
            )
        number = track if ids == "track" else identity
        # An id may stand once per frame: the first of two tracks that overlap in a merged identity.
        if (frame, number) not in seen:
            seen.add((frame, number))
            yield _Row(frame, number, x1, y1, x2 - x1, y2 - y1, confidence)


def _write(path: Path, lines: list[str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
