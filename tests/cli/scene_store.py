"""A store as a run over a drawn scene would leave it, written by the real writer in a moment."""

from pathlib import Path

import cv2
import numpy as np

from streamreid.engine.events import Decision, IdentityUpdate, Outcome
from streamreid.simulation.truth import SceneTruth, TrueSighting
from streamreid.store import (
    Batch,
    CropRow,
    DetectionRows,
    MessageId,
    RunInfo,
    TrackEnd,
    open_store,
)
from streamreid.types import CameraId, IdentityId, TrackId
from tests.store.builders import ManualClock

_RUN = RunInfo("c" * 64, "w" * 64, {"streamreid": "0"}, {"detector": "motion", "threads": 1})


def store_of_truth(
    truth: SceneTruth,
    path: Path,
    *,
    identity_of: dict[int, int] | None = None,
    every: int = 2,
) -> None:
    """Write the store of a run that found every person at once.

    Args:
        truth: What is true.
        path: The database.
        identity_of: Identity given to each person; the person's own number if not named.
        every: Only every n-th frame was looked at.
    """
    with open_store(path, run=_RUN, clock=ManualClock()) as store:
        for camera in truth.boxes:
            store.register_camera(camera, url=f"{camera}.mp4", width=640, height=360)
            store.register_stream(camera, 7)
        ordered = sorted(truth.sightings, key=lambda sighting: sighting.from_s)
        revision: dict[int, float] = {}
        for number, sighting in enumerate(ordered, start=1):
            identity = (identity_of or {}).get(sighting.person, sighting.person)
            first_s = revision.setdefault(identity, sighting.from_s)
            key = store.track_key(sighting.camera_id, 7, TrackId(number), sighting.from_s)
            decision = Decision(
                track=key,
                revision=0,
                decided_at_s=sighting.to_s,
                identity_id=IdentityId(identity),
                probability=0.9,
                appearance=None if first_s == sighting.from_s else 0.85,
                cooccurrence=None,
                transition=None if first_s == sighting.from_s else 1.5,
                runner_up_identity_id=IdentityId(identity % 7 + 1),
                runner_up_probability=0.1,
                reason="new" if first_s == sighting.from_s else "matched",
                final=True,
            )
            update = IdentityUpdate(IdentityId(identity), "confirmed", first_s, sighting.to_s)
            rows = _rows(truth, sighting, every)
            times_s = np.array([row[0] for row in rows])
            boxes = np.array([row[1] for row in rows], np.float32)
            camera = sighting.camera_id
            store.commit(
                Batch(
                    crops=(
                        CropRow(
                            message=MessageId(camera, 7, "crop", number),
                            key=store.reserve_crop(),
                            track=key,
                            captured_at_s=float(times_s[len(rows) // 2]),
                            box_xyxy=boxes[len(rows) // 2],
                            confidence=0.9,
                            quality=0.7,
                            jpeg=_jpeg(sighting.person),
                            vector=None,
                            feature_map=None,
                            weights_digest="w" * 64,
                        ),
                    ),
                    detections=(
                        DetectionRows(
                            message=MessageId(camera, 7, "detections", number),
                            track=np.full(len(rows), key, np.int64),
                            captured_at_s=times_s,
                            boxes_xyxy=boxes,
                            confidence=np.full(len(rows), 0.9, np.float32),
                        ),
                    ),
                    ends=(
                        TrackEnd(
                            MessageId(camera, 7, "track", number),
                            key,
                            float(times_s[0]),
                            float(times_s[-1]),
                            "left",
                        ),
                    ),
                    outcome=Outcome((decision,), (update,)),
                )
            )


def _rows(
    truth: SceneTruth, sighting: TrueSighting, every: int
) -> list[tuple[float, tuple[float, float, float, float]]]:
    camera: CameraId = sighting.camera_id
    start_s = truth.started_at_s[camera]
    timed = [
        (start_s + (box.frame - 1) / truth.fps, box)
        for box in truth.boxes[camera]
        if box.person == sighting.person and (box.frame - 1) % every == 0
    ]
    return [
        (at_s, box.box_xyxy)
        for at_s, box in timed
        if sighting.from_s <= at_s <= sighting.to_s + 1e-6
    ]


def _jpeg(person: int) -> bytes:
    pixels = np.full((160, 64, 3), 30 * person % 256, np.uint8)
    _, encoded = cv2.imencode(".jpg", pixels)
    return encoded.tobytes()
