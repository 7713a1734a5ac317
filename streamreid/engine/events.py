"""What the engine is told and what it answers: frozen values, ids and numbers only."""

from dataclasses import dataclass
from typing import Literal

from streamreid.association.ledger import Decision, IdentityUpdate
from streamreid.types import CameraId, CropKey, IdentityId, TimeSource, TrackKey

__all__ = [
    "Comparisons",
    "CropAdded",
    "Decision",
    "Event",
    "IdentityUpdate",
    "OperatorCommand",
    "Outcome",
    "RestoredState",
    "RestoredTrack",
    "TimeRecord",
    "TrackClosed",
    "TrackSeen",
    "TransitionUpdate",
]


@dataclass(frozen=True, slots=True)
class CropAdded:
    """A crop is committed to the store and inserted into the scorer.

    Attributes:
        track: Row id of the track.
        camera_id: Camera of the track.
        entry_id: Row id of the crop, its gallery entry id.
        captured_at_s: Capture time of the crop, epoch seconds.
        track_started_at_s: Capture time of the first detection of the track, epoch seconds.
        quality: Picker's quality in [0, 1].
        time_source: Where the camera's times come from.
    """

    track: TrackKey
    camera_id: CameraId
    entry_id: CropKey
    captured_at_s: float
    track_started_at_s: float
    quality: float
    time_source: TimeSource = "file"


@dataclass(frozen=True, slots=True)
class TrackSeen:
    """An open track was detected again; keeps its time span up to date between crops."""

    track: TrackKey
    camera_id: CameraId
    started_at_s: float
    seen_at_s: float


@dataclass(frozen=True, slots=True)
class TrackClosed:
    """A track ended; `ended_at_s` is the time of its last detection."""

    track: TrackKey
    camera_id: CameraId
    started_at_s: float
    ended_at_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class RestoredTrack:
    """One track as the store remembers it, for rebuilding the engine after a restart.

    Attributes:
        track: Row id of the track.
        camera_id: Camera of the track.
        started_at_s: First detection, epoch seconds.
        seen_at_s: Latest detection, epoch seconds.
        ended: Whether the track was closed.
        entry_ids: Its crops that are still in the gallery, oldest first.
        entry_times_s: Capture time of each.
        entry_qualities: Quality of each.
        identity_id: Current identity, None while undecided.
        revision: Last revision in the ledger, -1 while undecided.
        final: Whether only an operator can change it.
        time_source: Where the camera's times come from.
        compared: Whom it was compared with until it became final, as in `Comparisons`.
        seen_times_s: While it is not final, when it was detected, the last time in every second.
    """

    track: TrackKey
    camera_id: CameraId
    started_at_s: float
    seen_at_s: float
    ended: bool
    entry_ids: tuple[CropKey, ...]
    entry_times_s: tuple[float, ...]
    entry_qualities: tuple[float, ...]
    identity_id: IdentityId | None
    revision: int
    final: bool
    time_source: TimeSource = "file"
    compared: tuple[tuple[TrackKey, float], ...] = ()
    seen_times_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class OperatorCommand:
    """A correction by a person; wins for good over automatic decisions.

    Attributes:
        verb: What to do.
        identity_id: The identity it is about.
        other_identity_id: Second identity of `merge` and `reject` (these two are not one person).
        tracks: Tracks to move out of the identity (`split`) or to fix in it (`confirm`; empty =
            all).
        actor: Who asked, for the ledger.
        known: All tracks of both identities as the store knows them; the engine may have forgotten
            some.
        identities: These identities as the store knows them.
        rows: Ledger rows of these tracks, oldest first; needed to undo what happened before a
            restart.
    """

    verb: Literal["merge", "split", "confirm", "reject", "undo"]
    identity_id: IdentityId
    other_identity_id: IdentityId | None = None
    tracks: tuple[TrackKey, ...] = ()
    actor: str = "operator"
    known: tuple[RestoredTrack, ...] = ()
    rows: tuple[Decision, ...] = ()
    identities: tuple[IdentityUpdate, ...] = ()


Event = CropAdded | TrackSeen | TrackClosed | OperatorCommand


@dataclass(frozen=True, slots=True)
class TransitionUpdate:
    """Learned transition times of one ordered camera pair, to be kept by the store.

    Attributes:
        from_camera_id: Camera that was left.
        to_camera_id: Camera that was entered.
        histogram: Times between any two tracks of one person, as `TransitionModel.dump` gives them.
        support: Decayed number of observations in it.
        updated_at_s: Event time of the latest observation, epoch seconds.
        passages: Times from one sighting of a person to the next, likewise; empty if never learned.
    """

    from_camera_id: CameraId
    to_camera_id: CameraId
    histogram: bytes
    support: float
    updated_at_s: float
    passages: bytes = b""


@dataclass(frozen=True, slots=True)
class TimeRecord:
    """What the engine knows about how far times can be trusted, to be kept by the store.

    Attributes:
        name: What it is about, such as `clock:lobby`; a newer record of that name replaces it.
        values: Numbers and camera names; their meaning is the engine's.
        updated_at_s: Event time, epoch seconds.
    """

    name: str
    values: tuple[float | str, ...]
    updated_at_s: float


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Whom a track was compared with until it became final, to be kept by the store.

    Attributes:
        track: Row id of the track.
        scores: Row ids of the other tracks, each with the score of the pair before calibration.
    """

    track: TrackKey
    scores: tuple[tuple[TrackKey, float], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that one call of the engine changed, in order."""

    decisions: tuple[Decision, ...] = ()
    identities: tuple[IdentityUpdate, ...] = ()
    transitions: tuple[TransitionUpdate, ...] = ()
    records: tuple[TimeRecord, ...] = ()
    comparisons: tuple[Comparisons, ...] = ()


@dataclass(frozen=True, slots=True)
class RestoredState:
    """What the store hands back to the engine on start.

    Attributes:
        tracks: Undecided tracks, and every track whose identity can still be linked to.
        identities: Every identity that is not merged, and merged ones that tracks still name.
        decisions: The ledger rows of the tracks above, oldest first.
        transitions: Learned transition times.
        next_identity_id: First id never used before.
        records: How far times could be trusted.
        corrected: Those of the identities that an operator ever decided about.
    """

    tracks: tuple[RestoredTrack, ...]
    identities: tuple[IdentityUpdate, ...]
    decisions: tuple[Decision, ...]
    transitions: tuple[TransitionUpdate, ...]
    next_identity_id: int
    records: tuple[TimeRecord, ...] = ()
    corrected: tuple[IdentityId, ...] = ()
