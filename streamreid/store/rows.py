"""What the writer is given: rows of one commit as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamreid.engine.events import Outcome
from streamreid.messages import Disposition, Kind
from streamreid.types import (
    CameraId,
    CropKey,
    Float32Array,
    Float64Array,
    Int64Array,
    TrackKey,
    TrackSummary,
)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is recorded about one start of the writer.

    Attributes:
        config_digest: `Config.digest()`.
        weights_digest: SHA-256 of the re-identification weights.
        versions: Versions of program, libraries and detector weights by name.
        choices: Back-end, dtype, threads and whatever else decides the numbers.
    """

    config_digest: str = ""
    weights_digest: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessageId:
    """One message of one camera worker: what is stored once and acknowledged."""

    camera_id: CameraId
    incarnation: int
    kind: Kind
    seq: int


@dataclass(frozen=True, slots=True, eq=False)
class CropRow:
    """One crop with what the network made of it.

    Attributes:
        message: Where it came from; kind `crop`.
        key: Reserved by `StoreWriter.reserve_crop`.
        track: From `StoreWriter.track_key`.
        captured_at_s: Capture time, epoch seconds.
        box_xyxy: Box in full-frame pixels, shape `(4,)`.
        confidence: Detector confidence in [0, 1].
        quality: Picker's quality in [0, 1].
        jpeg: The picture, None when pictures are not kept.
        vector: Pooled shortlist vector, float16 little-endian; None without features.
        feature_map: Packed map for rebuilding the gallery; None without features.
        weights_digest: SHA-256 of the weights that made vector and map.
    """

    message: MessageId
    key: CropKey
    track: TrackKey
    captured_at_s: float
    box_xyxy: Float32Array
    confidence: float
    quality: float
    jpeg: bytes | None
    vector: bytes | None
    feature_map: bytes | None
    weights_digest: str


@dataclass(frozen=True, slots=True, eq=False)
class DetectionRows:
    """The detections of one message, as parallel arrays.

    Attributes:
        message: Where they came from; kind `detections`.
        track: Track row id of each, shape `(N,)`, int64.
        captured_at_s: Capture times, shape `(N,)`, float64 epoch seconds.
        boxes_xyxy: Boxes in full-frame pixels, shape `(N, 4)`.
        confidence: Detector confidence, shape `(N,)`.
    """

    message: MessageId
    track: Int64Array
    captured_at_s: Float64Array
    boxes_xyxy: Float32Array
    confidence: Float32Array


@dataclass(frozen=True, slots=True)
class TrackEnd:
    """The end of a track.

    Attributes:
        message: Where it came from, kind `track`; None when the matcher ends the track of a worker
            that died.
        track: From `StoreWriter.track_key`.
        started_at_s: First detection, epoch seconds.
        ended_at_s: Last detection, epoch seconds.
        reason: `left`, `segment`, `end`, or `lost` when its worker died.
    """

    message: MessageId | None
    track: TrackKey
    started_at_s: float
    ended_at_s: float
    reason: str

    @classmethod
    def of(cls, message: MessageId, track: TrackKey, summary: TrackSummary) -> "TrackEnd":
        """The end of a track as its camera worker reported it."""
        return cls(message, track, summary.started_at_s, summary.ended_at_s, summary.reason)


@dataclass(frozen=True, slots=True)
class Drop:
    """A message that is not stored, and why."""

    message: MessageId
    disposition: Disposition


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """Something others may want to hear of; `payload` is JSON without pictures."""

    kind: str
    payload: Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that is written in one transaction: all of it or nothing."""

    crops: tuple[CropRow, ...] = ()
    detections: tuple[DetectionRows, ...] = ()
    ends: tuple[TrackEnd, ...] = ()
    drops: tuple[Drop, ...] = ()
    outcome: Outcome = field(default_factory=Outcome)
    events: tuple[OutboxEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenTrack:
    """A track that has not ended, as the store knows it."""

    track: TrackKey
    camera_id: CameraId
    incarnation: int
    started_at_s: float
    seen_at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class GalleryRow:
    """One crop of the gallery as the store keeps it; see `GalleryEntry` and `Embeddings`."""

    entry_id: CropKey
    camera_id: CameraId
    track: TrackKey
    captured_at_s: float
    feature_map: bytes
    vector: bytes
