"""Small rows for the tests of the store."""

from pathlib import Path

import numpy as np

from streamreid.engine.events import Decision, IdentityUpdate, Outcome
from streamreid.messages import Kind
from streamreid.store import (
    Batch,
    CropRow,
    DetectionRows,
    MessageId,
    RunInfo,
    StoreWriter,
    TrackEnd,
    open_store,
)
from streamreid.types import CameraId, IdentityId, TrackId, TrackKey

DOOR = CameraId("door")
HALL = CameraId("hall")
INCARNATION = 7
RUN = RunInfo("config", "weights", {"streamreid": "0"}, {"threads": 1})


class ManualClock:
    """Wall and monotonic time that tests move by hand."""

    def __init__(self, now_s: float = 1_000_000.0) -> None:
        self.wall_s = now_s
        self.running_s = 0.0

    def now_s(self) -> float:
        return self.wall_s

    def monotonic_s(self) -> float:
        return self.running_s

    def sleep(self, duration_s: float) -> None:
        self.advance(duration_s)

    def advance(self, duration_s: float) -> None:
        """Let both clocks run."""
        self.wall_s += duration_s
        self.running_s += duration_s


def open_writer(path: Path, clock: ManualClock | None = None) -> StoreWriter:
    """A writer with two cameras and one worker each."""
    store = open_store(path, run=RUN, clock=clock or ManualClock())
    try:
        for camera in (DOOR, HALL):
            url = f"rtsp://user:secret@{camera}/1"
            store.register_camera(camera, url=url, width=640, height=480)
            store.register_stream(camera, INCARNATION)
    except BaseException:
        store.close("failed")
        raise
    return store


def message(seq: int, kind: Kind = "crop", camera: CameraId = DOOR) -> MessageId:
    """Name of a message."""
    return MessageId(camera, INCARNATION, kind, seq)


def crop_row(
    store: StoreWriter,
    seq: int,
    *,
    track: int = 1,
    at_s: float = 100.0,
    camera: CameraId = DOOR,
    size: int = 32,
) -> CropRow:
    """One crop of a track that started at 99 s."""
    return CropRow(
        message=message(seq, camera=camera),
        key=store.reserve_crop(),
        track=store.track_key(camera, INCARNATION, TrackId(track), 99.0),
        captured_at_s=at_s,
        box_xyxy=np.array([1, 2, 30, 60], np.float32),
        confidence=0.5,
        quality=0.75,
        jpeg=b"j" * size,
        vector=b"v" * 8,
        feature_map=b"m" * size,
        weights_digest="weights",
    )


def detection_rows(
    store: StoreWriter, seq: int, *, track: int = 1, at_s: float = 100.0, count: int = 3
) -> DetectionRows:
    """A message of detections of one track, 0.1 s apart."""
    key = store.track_key(DOOR, INCARNATION, TrackId(track), 99.0)
    boxes = np.tile(np.array([10, 20, 40, 80], np.float32), (count, 1))
    return DetectionRows(
        message=message(seq, "detections"),
        track=np.full(count, key, np.int64),
        captured_at_s=np.float64(at_s) + np.arange(count, dtype=np.float64) * 0.1,
        boxes_xyxy=boxes,
        confidence=np.full(count, 0.9, np.float32),
    )


def track_end(
    store: StoreWriter, seq: int, *, track: int = 1, at_s: float = 110.0, camera: CameraId = DOOR
) -> TrackEnd:
    """The end of a track."""
    key = store.track_key(camera, INCARNATION, TrackId(track), 99.0)
    return TrackEnd(message(seq, "track", camera), key, 99.0, at_s, "left")


def outcome(
    track: TrackKey, identity: int = 1, *, revision: int = 0, at_s: float = 111.0
) -> Outcome:
    """One decision and its identity."""
    decision = Decision(
        track=track,
        revision=revision,
        decided_at_s=at_s,
        identity_id=IdentityId(identity),
        probability=0.8,
        appearance=0.7,
        cooccurrence=None,
        transition=None,
        runner_up_identity_id=None,
        runner_up_probability=None,
        reason="new",
    )
    return Outcome((decision,), (IdentityUpdate(IdentityId(identity), "provisional", 99.0, at_s),))


def full_batch(store: StoreWriter, number: int) -> Batch:
    """One track with a crop, detections, its end and its identity, all in one commit."""
    crop = crop_row(store, number, track=number, at_s=100.0 + number)
    return Batch(
        crops=(crop,),
        detections=(detection_rows(store, number, track=number, at_s=100.0 + number),),
        ends=(track_end(store, number, track=number, at_s=110.0 + number),),
        outcome=outcome(crop.track, number + 1),
    )
