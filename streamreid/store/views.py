"""What readers of a store are given: its rows as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass

from streamreid.association.ledger import Status
from streamreid.messages import Kind
from streamreid.types import CameraId, CropKey, IdentityId, TrackKey


@dataclass(frozen=True, slots=True)
class RunRow:
    """One start of the matcher."""

    run_id: int
    started_at_s: float
    ended_at_s: float | None
    config_digest: str
    weights_digest: str
    versions: Mapping[str, str]
    choices: Mapping[str, object]
    exit_reason: str | None


@dataclass(frozen=True, slots=True)
class CameraRow:
    """One camera; `url` carries no credentials."""

    camera_id: CameraId
    url: str
    width: int
    height: int
    time_source: str | None
    clock_state: str | None


@dataclass(frozen=True, slots=True)
class CounterRow:
    """Messages of one camera and kind, over all incarnations of its worker.

    Attributes:
        produced: Messages the workers made.
        stored: Messages committed.
        dropped: Messages lost, by reason.
        incarnations: Number of workers that were started.
    """

    camera_id: CameraId
    kind: Kind
    produced: int
    stored: int
    dropped: Mapping[str, int]
    incarnations: int


@dataclass(frozen=True, slots=True)
class TrackRow:
    """One person in one camera without interruption; times are epoch seconds."""

    track: TrackKey
    camera_id: CameraId
    started_at_s: float
    ended_at_s: float
    open: bool
    end_reason: str | None
    detection_count: int
    identity_id: IdentityId | None


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """One person over all cameras, with the tracks that belong to it, oldest first."""

    identity_id: IdentityId
    status: Status
    created_at_s: float
    last_seen_at_s: float
    merged_into: IdentityId | None
    label: str | None
    tracks: tuple[TrackRow, ...]


@dataclass(frozen=True, slots=True)
class CropPicture:
    """One stored crop with its picture.

    Attributes:
        jpeg: The bytes of a JPEG file; None when pictures are not kept.
        box_xyxy: Box in full-frame pixels.
    """

    key: CropKey
    track: TrackKey
    captured_at_s: float
    quality: float
    confidence: float
    box_xyxy: tuple[float, float, float, float]
    jpeg: bytes | None


@dataclass(frozen=True, slots=True)
class DetectionRow:
    """One detection of a track."""

    captured_at_s: float
    box_xyxy: tuple[float, float, float, float]
    confidence: float


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """Learned transition times of one ordered camera pair; the histograms are the engine's own.

    Attributes:
        from_camera_id: Camera that was left.
        to_camera_id: Camera that was entered.
        histogram: Times between any two tracks of one person.
        support: Decayed number of observations in it.
        updated_at_s: Event time of the latest observation, epoch seconds.
        passages: Times from one sighting of a person to the next; empty when never learned.
    """

    from_camera_id: CameraId
    to_camera_id: CameraId
    histogram: bytes
    support: float
    updated_at_s: float
    passages: bytes = b""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of the outbox."""

    event_id: int
    created_at_s: float
    kind: str
    payload: Mapping[str, object]
