"""The values that camera workers and matcher exchange."""

from dataclasses import dataclass
from typing import Literal, get_args

from streamreid.types import (
    CameraId,
    Crop,
    Float32Array,
    Float64Array,
    Int64Array,
    TimeSource,
    TrackSummary,
)

Kind = Literal["crop", "detections", "track"]
"""The kinds that are counted: each has its own sequence numbers and conservation equation."""

KINDS: tuple[Kind, ...] = get_args(Kind)

Disposition = Literal["stored", "duplicate", "stale", "rejected", "disk_full"]
"""What the matcher did with a message; everything but `stored` and `duplicate` is a drop reason."""

DISPOSITIONS: tuple[Disposition, ...] = get_args(Disposition)


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of a camera worker, repeated after every new matcher epoch.

    Attributes:
        camera_id: Name of the camera.
        incarnation: 63-bit number of this worker process; later starts have larger ones.
        live: False for file sources, which wait instead of dropping.
        width: Frame width in pixels, 0 while unknown.
        height: Frame height in pixels, 0 while unknown.
        time_source: Where capture times come from.
    """

    camera_id: CameraId
    incarnation: int
    live: bool
    width: int
    height: int
    time_source: TimeSource


@dataclass(frozen=True, slots=True, eq=False)
class CropMessage:
    """A crop and its sequence number."""

    seq: int
    crop: Crop


@dataclass(frozen=True, slots=True, eq=False)
class DetectionsMessage:
    """Compact rows of detections of one camera, at most a few seconds of them.

    Attributes:
        seq: Sequence number among the detections messages.
        captured_at_s: Capture time of each row, shape `(N,)`, float64 epoch seconds.
        track_id: Track of each row, shape `(N,)`, int64.
        track_started_at_s: First detection of that track, shape `(N,)`, float64 epoch seconds.
        boxes_xyxy: Boxes in full-frame pixels, shape `(N, 4)`, float32.
        confidence: Detector confidence, shape `(N,)`, float32.
    """

    seq: int
    captured_at_s: Float64Array
    track_id: Int64Array
    track_started_at_s: Float64Array
    boxes_xyxy: Float32Array
    confidence: Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class TrackMessage:
    """The end of a track and its sequence number."""

    seq: int
    track: TrackSummary


@dataclass(frozen=True, slots=True)
class Progress:
    """Nothing captured before `captured_at_s` will follow from this camera; not counted."""

    captured_at_s: float


@dataclass(frozen=True, slots=True)
class Bye:
    """The worker is done; `produced` holds the number of messages made of each kind.

    Attributes:
        reason: `end` (file finished), `stop` (asked to stop) or `failed`.
        produced: Messages made per kind, in the order of `KINDS`.
    """

    reason: Literal["end", "stop", "failed"]
    produced: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Welcome:
    """Answer to Hello: which matcher this is.

    Attributes:
        epoch: Number of this matcher process; new after every start.
        window: How many messages of each kind may be unacknowledged.
    """

    epoch: int
    window: int


@dataclass(frozen=True, slots=True)
class Ack:
    """Messages the matcher is done with: committed, or dropped for a stated reason."""

    epoch: int
    kind: Kind
    items: tuple[tuple[int, Disposition], ...]


@dataclass(frozen=True, slots=True)
class Who:
    """The matcher does not know the sender: say Hello again."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The matcher took some Progress messages, so that many more may follow."""

    count: int


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Answer to Bye: the matcher knows that nothing more will come from this worker."""

    epoch: int


WorkerMessage = Hello | CropMessage | DetectionsMessage | TrackMessage | Progress | Bye
MatcherMessage = Welcome | Ack | Who | Heard | Goodbye
