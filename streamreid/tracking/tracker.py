"""Tracks of one camera: a thin, frozen-valued face on ByteTrack from Roboflow `trackers`."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from streamreid.tracking.appearance import AppearanceGuard
from streamreid.tracking.library import load_bytetrack
from streamreid.types import (
    CameraId,
    Detections,
    Float32Array,
    Frame,
    Int64Array,
    TrackedDetections,
    TrackId,
    TrackSummary,
)

_MAX_DETECTIONS = 300
_LIBRARY_BUFFER_FPS = (
    30.0  # `lost_track_buffer` counts frames at 30 fps, whatever the camera's rate
)
_UNCONFIRMED = -1
_LOST_LOOKS = 3.5
"""Looks that a person may be missed for, where looks are so rare that `lost_s` covers fewer."""

_GAP_S = 0.7

EndReason = Literal["left", "segment", "end"]


@dataclass(slots=True)
class _OpenTrack:
    track_id: TrackId
    started_at_s: float
    last_seen_s: float
    detection_count: int


class CameraTracker:
    """Gives detections of one camera their track ids; ids start at 1 and are never used twice.

    Args:
        camera_id: Camera of the tracks.
        detect_fps: Detections a second that are expected; only scales the motion model, real
            time comes with every update.
        lost_s: Seconds after its last detection at which a track ends; more at a low `detect_fps`,
            and more than the motion gate's `keep_alive_s`.
        confidence: Detector confidence from which a new track may start, in [0, 1]; weaker
            detections only prolong tracks.
        confirm_after: Detections in a row before a track is reported.
        minimum_iou: Overlap of prediction and detection from which they may be the same person;
            default: 0.15 from 5 looks a second on, less below it, because people move further.
    """

    def __init__(
        self,
        camera_id: CameraId,
        *,
        detect_fps: float,
        lost_s: float = 2.0,
        confidence: float = 0.35,
        confirm_after: int = 2,
        minimum_iou: float | None = None,
    ) -> None:
        lost_s = max(lost_s, _LOST_LOOKS / detect_fps)
        self._camera_id = camera_id
        self._lost_s = lost_s
        library = load_bytetrack()
        self._detections = library.detections
        self._library = library.tracker(
            lost_track_buffer=max(1, round(lost_s * _LIBRARY_BUFFER_FPS)),
            frame_rate=detect_fps,
            track_activation_threshold=confidence,
            minimum_consecutive_frames=confirm_after,
            minimum_iou_threshold=_least_iou(detect_fps) if minimum_iou is None else minimum_iou,
            high_conf_det_threshold=confidence,
        )
        # Unseen means missed by more than one look.
        self._guard = AppearanceGuard(gap_s=max(_GAP_S, 2.5 / detect_fps))
        self._open: dict[int, _OpenTrack] = {}
        self._ended: list[TrackSummary] = []
        self._next_id = 1
        self._segment: int | None = None
        self._last_s = -np.inf

    @property
    def open_tracks(self) -> int:
        """Number of tracks that have not ended."""
        return len(self._open)

    def update(
        self,
        detections: Detections,
        *,
        captured_at_s: float,
        segment: int = 0,
        frame: Frame | None = None,
    ) -> TrackedDetections:
        """Follow the people of one frame.

        Args:
            detections: What the detector found, in full-frame pixels.
            captured_at_s: Capture time of the frame in epoch seconds; grows inside a segment.
            segment: Segment of the frame; a new one ends every track.
            frame: The frame itself; with it a track that comes out of a crossing in other colours
                is cut in two.

        Returns:
            The detections that belong to a reported track, in the order of their track ids.
        """
        self.advance(captured_at_s=captured_at_s, segment=segment)
        if captured_at_s <= self._last_s:
            raise ValueError(
                f"captured_at_s must grow inside a segment: {captured_at_s} after {self._last_s}"
            )
        self._last_s = captured_at_s
        boxes, confidence, library_ids = self._associate(detections, captured_at_s)
        confirmed = library_ids != _UNCONFIRMED
        boxes, confidence = boxes[confirmed], confidence[confirmed]
        numbers = library_ids[confirmed].tolist()
        if frame is not None:
            for number in sorted(self._guard.changed(frame, numbers, boxes, captured_at_s)):
                if number in self._open:
                    self._end(number, "left")
        ids = [self._see(number, captured_at_s) for number in numbers]
        order = np.argsort(np.asarray(ids, np.int64), kind="stable")
        return TrackedDetections(
            track_id=np.asarray(ids, np.int64)[order],
            boxes_xyxy=boxes[order],
            confidence=confidence[order],
        )

    def advance(self, *, captured_at_s: float, segment: int = 0) -> None:
        """Let time pass without a detection (the motion gate was closed): lost tracks end.

        Args:
            captured_at_s: Capture time of the frame in epoch seconds.
            segment: Segment of the frame.
        """
        if segment != self._segment:
            self._end_all("segment")
            self._segment = segment
        lost = [
            number
            for number, track in self._open.items()
            if captured_at_s - track.last_seen_s > self._lost_s
        ]
        for number in lost:
            self._end(number, "left")

    def take_ended(self) -> list[TrackSummary]:
        """The tracks that ended since the last call, in the order in which they ended."""
        ended, self._ended = self._ended, []
        return ended

    def finish(self) -> list[TrackSummary]:
        """End every track because the source ended; returns all ends not taken yet."""
        self._end_all("end")
        return self.take_ended()

    def _associate(
        self, detections: Detections, captured_at_s: float
    ) -> tuple[Float32Array, Float32Array, Int64Array]:
        order = np.argsort(-detections.confidence, kind="stable")[:_MAX_DETECTIONS]
        boxes, confidence = detections.boxes_xyxy[order], detections.confidence[order]
        # Empty and non-finite boxes would poison the Kalman filter.
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] - boxes[:, :2] >= 1.0).all(axis=1)
        found = self._library.update(
            self._detections(xyxy=boxes[sound].astype(np.float64), confidence=confidence[sound]),
            timestamp=captured_at_s,
        )
        count = len(found)
        if count == 0:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        return (
            np.asarray(found.xyxy, np.float32),
            np.asarray(found.confidence, np.float32),
            np.asarray(found.tracker_id, np.int64),
        )

    def _see(self, library_id: int, captured_at_s: float) -> TrackId:
        track = self._open.get(library_id)
        if track is None:
            # Also where the library revives a track that has already been reported as ended.
            track = _OpenTrack(TrackId(self._next_id), captured_at_s, captured_at_s, 0)
            self._next_id += 1
            self._open[library_id] = track
        track.last_seen_s = captured_at_s
        track.detection_count += 1
        return track.track_id

    def _end(self, library_id: int, reason: EndReason) -> None:
        track = self._open.pop(library_id)
        self._guard.forget(library_id)
        self._ended.append(
            TrackSummary(
                camera_id=self._camera_id,
                track_id=track.track_id,
                started_at_s=track.started_at_s,
                ended_at_s=track.last_seen_s,
                detection_count=track.detection_count,
                reason=reason,
            )
        )

    def _end_all(self, reason: EndReason) -> None:
        for library_id in list(self._open):
            self._end(library_id, reason)
        self._library.reset()
        self._guard.clear()
        self._last_s = -np.inf


def _least_iou(detect_fps: float) -> float:
    """Source: scripts/bench_trackers.py; IDF1 .80 at 5/s with .15, .64 at 2.5/s with less."""
    return 0.15 * min(1.0, detect_fps / 5.0) ** 2
