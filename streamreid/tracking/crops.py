"""The crop picker: of all the pictures of a track, the few that are worth sending."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from streamreid.tracking.quality import box_qualities, sharpness
from streamreid.types import (
    CameraId,
    Crop,
    Float32Array,
    Frame,
    TrackedDetections,
    TrackId,
    UInt8Array,
)

CutCrop = Callable[[Frame, Float32Array], UInt8Array | None]
"""Cuts a box out of a frame: RGB `(h, w, 3)` with its own memory, or None if nothing is left."""

_STEADY_CROPS = 4
_MAX_WINDOW_S = 16.0


@dataclass(slots=True)
class _TrackState:
    """What the picker remembers of one track."""

    started_at_s: float
    camera_id: CameraId
    offers: int = 0
    sent: int = 0
    last_sent_s: float = float("-inf")
    best_sent: float = 0.0
    candidate: Crop | None = None


class CropPicker:
    """Picks the best crops of every track, spread over its life, with a bounded rate.

    A track's first crop goes out within its first detections, so that matching can begin. Then
    time is cut into windows, the best crop of each window is sent when the window is over, and the
    windows grow while a person stays: somebody who stands there for an hour is not sent 3,600
    times. A clearly better view is sent at once. Between two crops of a track there is always at
    least `interval_s`. Nothing depends on a clock or on chance.

    Args:
        cut: Cuts a box out of a frame.
        interval_s: Least seconds between two crops of a track.
        early_after: Offers after which the first crop is sent whatever its quality.
        early_quality: Quality from which the very first offer is sent at once.
    """

    def __init__(
        self,
        cut: CutCrop,
        *,
        interval_s: float = 1.0,
        early_after: int = 2,
        early_quality: float = 0.6,
        better_by: float = 0.15,
    ) -> None:
        self._cut = cut
        self._interval_s = interval_s
        self._early_after = early_after
        self._early_quality = early_quality
        self._better_by = better_by
        self._tracks: dict[TrackId, _TrackState] = {}

    def offer(self, frame: Frame, tracked: TrackedDetections) -> list[Crop]:
        """Show the picker one frame.

        Args:
            frame: The frame.
            tracked: The tracked people in it.

        Returns:
            The crops to send now, at most one per track, in the order of `tracked`.
        """
        qualities = box_qualities(tracked.boxes_xyxy, frame.width, frame.height)
        crops: list[Crop] = []
        for row in range(len(tracked)):
            track_id = TrackId(int(tracked.track_id[row]))
            state = self._tracks.get(track_id)
            if state is None:
                state = _TrackState(frame.captured_at_s, frame.camera_id)
                self._tracks[track_id] = state
            state.offers += 1
            self._consider(state, frame, tracked, row, float(qualities[row]))
            crop = self._due(state, frame.captured_at_s)
            if crop is not None:
                crops.append(crop)
        return crops

    def end(self, track_ids: Iterable[TrackId]) -> list[Crop]:
        """Tracks have ended: send what is still worth sending and forget them.

        Args:
            track_ids: Tracks that ended, such as those of `CameraTracker.take_ended`.
        """
        crops: list[Crop] = []
        for track_id in track_ids:
            state = self._tracks.pop(track_id, None)
            if state is None or state.candidate is None:
                continue
            spaced = state.candidate.captured_at_s - state.last_sent_s >= self._interval_s
            if spaced and (state.sent < _STEADY_CROPS or self._is_better(state)):
                crops.append(state.candidate)
        return crops

    def flush(self) -> list[Crop]:
        """End every track."""
        return self.end(list(self._tracks))

    def _consider(
        self,
        state: _TrackState,
        frame: Frame,
        tracked: TrackedDetections,
        row: int,
        geometry: float,
    ) -> None:
        best = state.candidate
        # Sharpness can only lower the quality, so a worse box needs no cutting.
        if best is not None and geometry <= best.quality:
            return
        if frame.captured_at_s - state.last_sent_s < self._interval_s:
            return
        box = tracked.boxes_xyxy[row]
        image = self._cut(frame, box)
        if image is None:
            return
        quality = geometry * sharpness(image)
        if best is not None and quality <= best.quality:
            return
        state.candidate = Crop(
            camera_id=frame.camera_id,
            track_id=TrackId(int(tracked.track_id[row])),
            captured_at_s=frame.captured_at_s,
            track_started_at_s=state.started_at_s,
            box_xyxy=box.copy(),
            confidence=float(tracked.confidence[row]),
            quality=quality,
            image=image,
        )

    def _due(self, state: _TrackState, now_s: float) -> Crop | None:
        candidate = state.candidate
        if candidate is None or now_s - state.last_sent_s < self._interval_s:
            return None
        if state.sent == 0:
            due = state.offers >= self._early_after or candidate.quality >= self._early_quality
        else:
            due = now_s - state.last_sent_s >= self._window_s(state) or self._is_better(state)
        if not due:
            return None
        state.sent += 1
        # The crop may be older than now; the next one must keep its distance from both.
        state.last_sent_s = now_s
        state.best_sent = max(state.best_sent, candidate.quality)
        state.candidate = None
        return candidate

    def _window_s(self, state: _TrackState) -> float:
        doublings = max(0, state.sent - _STEADY_CROPS)
        return float(min(2.0 * self._interval_s * 2.0 ** min(doublings, 16), _MAX_WINDOW_S))

    def _is_better(self, state: _TrackState) -> bool:
        candidate = state.candidate
        return candidate is not None and candidate.quality >= state.best_sent + self._better_by
