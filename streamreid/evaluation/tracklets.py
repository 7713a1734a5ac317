"""Turns a data set whose names carry camera, sequence and frame into tracklets on one clock."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamreid.errors import DatasetError
from streamreid.types import CameraId, TrackKey

FRAMES_PER_SECOND = 25.0
MAX_GAP_FRAMES = 250
_NAME = re.compile(
    r"^(?P<identity>-?\d+)_c(?P<camera>\d+)s(?P<sequence>\d+)_(?P<frame>\d+)_\d+\.(jpe?g|png|bmp)$"
)


@dataclass(frozen=True, slots=True)
class Tracklet:
    """Images of one person in one camera without a long gap.

    Attributes:
        track: Number of the tracklet, in order of its start.
        camera_id: Its camera, such as `c1`.
        person: True identity.
        times_s: Time of each image on the common clock, ascending.
        images: Path of each image.
    """

    track: TrackKey
    camera_id: CameraId
    person: int
    times_s: tuple[float, ...]
    images: tuple[Path, ...]

    @property
    def started_at_s(self) -> float:
        """Time of the first image."""
        return self.times_s[0]

    @property
    def ended_at_s(self) -> float:
        """Time of the last image."""
        return self.times_s[-1]

    def shifted(self, by_s: float) -> "Tracklet":
        """The same tracklet at another time."""
        return replace(self, times_s=tuple(time_s + by_s for time_s in self.times_s))


def read_clock(path: Path) -> dict[tuple[int, int], float]:
    """Read a clock file: what to add to a frame number of a camera and sequence.

    Args:
        path: CSV with the columns `camera,sequence,offset_frames`.

    Returns:
        Offset in frames by (camera, sequence).

    Raises:
        DatasetError: If the file or a column is missing or a row is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {
                (int(row["camera"]), int(row["sequence"])): float(row["offset_frames"])
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, ValueError, TypeError) as exc:
        raise DatasetError(
            f"clock file '{path}' cannot be used ({exc}); it must be a CSV with the header "
            "camera,sequence,offset_frames and one row of numbers per camera and sequence"
        ) from exc


def load_tracklets(
    images: Iterable[Path],
    clock: dict[tuple[int, int], float],
    *,
    frames_per_second: float = FRAMES_PER_SECOND,
    max_gap_frames: int = MAX_GAP_FRAMES,
) -> list[Tracklet]:
    """Group images into tracklets and put them on one clock.

    Args:
        images: Paths with names such as `0002_c1s1_000451_03.jpg`; identities below 1 (junk and
            distractors) are left out.
        clock: Offset in frames by (camera, sequence).
        frames_per_second: Frame rate of all cameras.
        max_gap_frames: A longer gap between two images of a person starts a new tracklet.

    Returns:
        Tracklets in order of their start.

    Raises:
        DatasetError: If a name carries no time or the clock lacks its camera and sequence.
    """
    groups: dict[tuple[int, int, int], list[tuple[int, Path]]] = {}
    for path in images:
        match = _NAME.match(path.name)
        if match is None:
            raise DatasetError(
                f"image name '{path.name}' carries no camera, sequence and frame; names must look "
                "like 0002_c1s1_000451_03.jpg"
            )
        identity, camera, sequence, frame = (
            int(match[field]) for field in ("identity", "camera", "sequence", "frame")
        )
        if identity < 1:
            continue
        if (camera, sequence) not in clock:
            raise DatasetError(
                f"the clock file has no row for camera {camera}, sequence {sequence} "
                f"(image '{path.name}'); add one"
            )
        groups.setdefault((identity, camera, sequence), []).append((frame, path))
    found = []
    for (identity, camera, sequence), frames in groups.items():
        for run in _runs(sorted(frames), max_gap_frames):
            offset = clock[camera, sequence]
            times_s = tuple((frame + offset) / frames_per_second for frame, _ in run)
            paths = tuple(path for _, path in run)
            found.append(Tracklet(TrackKey(0), CameraId(f"c{camera}"), identity, times_s, paths))
    return numbered(found)


def numbered(tracklets: Iterable[Tracklet]) -> list[Tracklet]:
    """Sort tracklets by their start and number them from 1."""
    ordered = sorted(
        tracklets, key=lambda item: (item.started_at_s, item.camera_id, item.images[0].name)
    )
    return [replace(tracklet, track=TrackKey(number)) for number, tracklet in enumerate(ordered, 1)]


def shuffled_in_camera(tracklets: Sequence[Tracklet], seed: int) -> list[Tracklet]:
    """Permute the start times of the tracklets within every camera; their lengths stay.

    Args:
        tracklets: The tracklets.
        seed: Seed of the permutation.
    """
    rng = np.random.default_rng(seed)
    result: list[Tracklet] = []
    for camera in sorted({tracklet.camera_id for tracklet in tracklets}):
        mine = [tracklet for tracklet in tracklets if tracklet.camera_id == camera]
        starts = rng.permutation([tracklet.started_at_s for tracklet in mine])
        result.extend(
            tracklet.shifted(float(start) - tracklet.started_at_s)
            for tracklet, start in zip(mine, starts, strict=True)
        )
    return numbered(result)


def _runs(frames: list[tuple[int, Path]], max_gap: int) -> list[list[tuple[int, Path]]]:
    """Split images in order of their frame where the gap is too long."""
    runs: list[list[tuple[int, Path]]] = []
    for frame, path in frames:
        if runs and frame - runs[-1][-1][0] <= max_gap:
            runs[-1].append((frame, path))
        else:
            runs.append([(frame, path)])
    return runs
