"""Groups the images of a data set with times into tracklets: one person, one camera, no gap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamreid.errors import DatasetError
from streamreid.evaluation.datasets import ImageRecord
from streamreid.types import CameraId, TrackKey

MAX_GAP_S = 10.0
"""A person unseen for longer starts a new tracklet: 250 frames at 25 a second."""


@dataclass(frozen=True, slots=True)
class Tracklet:
    """Images of one person in one camera without a long gap.

    Attributes:
        track: Number of the tracklet, in order of its start, from 1.
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


def tracklets_of(records: Iterable[ImageRecord], *, max_gap_s: float = MAX_GAP_S) -> list[Tracklet]:
    """Group images into tracklets.

    Args:
        records: Images with a time on one clock; identities below 1 (junk and distractors) are
            left out.
        max_gap_s: A longer gap between two images of a person starts a new tracklet.

    Returns:
        Tracklets in order of their start.

    Raises:
        DatasetError: If an image has no time, or no image is left.
    """
    groups: dict[tuple[int, int], list[tuple[float, Path]]] = {}
    for record in records:
        if record.time_s is None:
            raise DatasetError(
                f"image '{record.path.name}' has no time; a stream needs names that carry "
                "sequence and frame (0002_c1s1_000451_03.jpg) and a clock file (--clock)"
            )
        if record.identity >= 1:
            key = (record.identity, record.camera)
            groups.setdefault(key, []).append((record.time_s, record.path))
    if not groups:
        raise DatasetError("there is no image of a person in these splits; nothing to replay")
    return numbered(
        Tracklet(
            TrackKey(0),
            CameraId(f"c{camera + 1}"),
            person,
            tuple(time_s for time_s, _ in run),
            tuple(path for _, path in run),
        )
        for (person, camera), images in groups.items()
        for run in _runs(sorted(images), max_gap_s)
    )


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


def folded(tracklets: Sequence[Tracklet], period_s: float) -> list[Tracklet]:
    """Lay blocks of time over one another, so that fewer people are as dense as many.

    A person's tracklets move together: transition times and most companions stay what they were.

    Args:
        tracklets: The tracklets.
        period_s: Length of a block, seconds.
    """
    origin_s = min(tracklet.started_at_s for tracklet in tracklets)
    first: dict[int, float] = {}
    for tracklet in tracklets:
        first[tracklet.person] = min(
            tracklet.started_at_s, first.get(tracklet.person, tracklet.started_at_s)
        )
    return numbered(
        tracklet.shifted(-period_s * ((first[tracklet.person] - origin_s) // period_s))
        for tracklet in tracklets
    )


def _runs(images: list[tuple[float, Path]], max_gap_s: float) -> list[list[tuple[float, Path]]]:
    """Split images in order of time where the gap is too long."""
    runs: list[list[tuple[float, Path]]] = []
    for time_s, path in images:
        # Times are frames over 25; half a frame absorbs their rounding.
        if runs and time_s - runs[-1][-1][0] <= max_gap_s + 0.02:
            runs[-1].append((time_s, path))
        else:
            runs.append([(time_s, path)])
    return runs
