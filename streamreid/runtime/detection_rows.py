"""Gathering the rows of tracked detections into one message a second."""

from dataclasses import dataclass, field

import numpy as np

from streamreid.types import Float32Array, Float64Array, Frame, Int64Array, TrackedDetections

MAX_ROWS = 512


@dataclass(frozen=True, slots=True, eq=False)
class DetectionRows:
    """Rows of detections as parallel arrays, as in `messages.DetectionsMessage`."""

    captured_at_s: Float64Array
    track_id: Int64Array
    track_started_at_s: Float64Array
    boxes_xyxy: Float32Array
    confidence: Float32Array


@dataclass(slots=True)
class RowBuffer:
    """Collects the tracked detections of one camera until a message is due.

    Attributes:
        interval_s: Seconds of capture time in one message.
    """

    interval_s: float = 1.0
    _frames: list[tuple[float, TrackedDetections]] = field(default_factory=list)
    _count: int = 0
    _started_at_s: dict[int, float] = field(default_factory=dict)

    def add(self, frame: Frame, tracked: TrackedDetections) -> None:
        """Remember the tracked people of one frame."""
        if not len(tracked):
            return
        for track_id in tracked.track_id:
            self._started_at_s.setdefault(int(track_id), frame.captured_at_s)
        self._frames.append((frame.captured_at_s, tracked))
        self._count += len(tracked)

    def due(self, now_s: float) -> bool:
        """Whether the rows are old or many enough to be sent."""
        return bool(self._frames) and (
            self._count >= MAX_ROWS or now_s - self._frames[0][0] >= self.interval_s
        )

    def forget(self, track_id: int) -> None:
        """A track ended and its rows were taken."""
        self._started_at_s.pop(track_id, None)

    def take(self) -> DetectionRows | None:
        """All rows so far, oldest first, or None when there are none."""
        if not self._frames:
            return None
        times = [np.full(len(tracked), at_s) for at_s, tracked in self._frames]
        track_id = np.concatenate([tracked.track_id for _, tracked in self._frames])
        rows = DetectionRows(
            captured_at_s=np.concatenate(times),
            track_id=track_id,
            track_started_at_s=np.array([self._started_at_s[int(number)] for number in track_id]),
            boxes_xyxy=np.concatenate([tracked.boxes_xyxy for _, tracked in self._frames]),
            confidence=np.concatenate([tracked.confidence for _, tracked in self._frames]),
        )
        self._frames, self._count = [], 0
        return rows
