"""What one camera does with one frame: hide, gate, detect, track, pick. No sockets, no clock."""

from dataclasses import dataclass

import numpy as np

from streamreid.detection.detector import Detector
from streamreid.detection.gate import MotionGate
from streamreid.tracking.crops import CropPicker
from streamreid.tracking.tracker import CameraTracker
from streamreid.types import Crop, Detections, Frame, TrackedDetections, TrackId, TrackSummary
from streamreid.video.sampler import FrameSampler
from streamreid.video.zones import Zones


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What came of one frame.

    Attributes:
        detected: Whether the detector ran.
        detections: People found, tracked or not.
        tracked: The tracked people.
        crops: Crops to send now.
        ended: Tracks that ended, after their last crops.
    """

    detected: bool
    detections: int
    tracked: TrackedDetections
    crops: tuple[Crop, ...]
    ended: tuple[TrackSummary, ...]


def _nobody() -> TrackedDetections:
    empty = Detections.empty()
    return TrackedDetections(np.zeros(0, np.int64), empty.boxes_xyxy, empty.confidence)


class CameraPipeline:
    """The stages of one camera in order.

    Args:
        sampler: Which frames are looked at.
        zones: What is hidden and what counts.
        gate: Whether the detector has to run; None for a detector that learns from every frame.
        detector: Finds people.
        tracker: Follows them.
        picker: Chooses crops.
    """

    def __init__(
        self,
        *,
        sampler: FrameSampler,
        zones: Zones,
        gate: MotionGate | None,
        detector: Detector,
        tracker: CameraTracker,
        picker: CropPicker,
    ) -> None:
        self._sampler = sampler
        self._zones = zones
        self._gate = gate
        self._detector = detector
        self._tracker = tracker
        self._picker = picker

    @property
    def open_tracks(self) -> int:
        """Number of tracks that have not ended."""
        return self._tracker.open_tracks

    def due(self, frame: Frame) -> bool:
        """Whether `detect_fps` asks for this frame; asked once for every frame, in order."""
        return self._sampler.due(frame)

    def look(self, frame: Frame) -> Looked:
        """Take a frame of the camera that is due, in order of capture."""
        # A new segment must end the old tracks before anything of the new one is gated or tracked.
        self._tracker.advance(captured_at_s=frame.captured_at_s, segment=frame.segment)
        visible = self._zones.hide(frame)
        gate = self._gate
        if gate is not None and not gate.update(visible, tracks=self._tracker.open_tracks).open:
            crops, ended = self._take_ended()
            return Looked(False, 0, _nobody(), crops, ended)
        found = self._zones.keep(self._detector.detect([visible])[0])
        tracked = self._tracker.update(
            found, captured_at_s=frame.captured_at_s, segment=frame.segment, frame=visible
        )
        offered = tuple(self._picker.offer(visible, tracked))
        last, ended = self._take_ended()
        return Looked(True, len(found), tracked, last + offered, ended)

    def finish(self) -> Looked:
        """The source ended: end every track."""
        ended = tuple(self._tracker.finish())
        crops = tuple(self._picker.end(track.track_id for track in ended))
        return Looked(False, 0, _nobody(), crops, ended)

    def _take_ended(self) -> tuple[tuple[Crop, ...], tuple[TrackSummary, ...]]:
        ended = tuple(self._tracker.take_ended())
        return tuple(self._picker.end(TrackId(track.track_id) for track in ended)), ended
