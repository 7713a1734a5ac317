"""Decides a finished run once more, in this process, with the engine and the scorer that ran it."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from streamreid.engine.engine import Engine
from streamreid.engine.events import CropAdded, TrackClosed
from streamreid.engine.settings import EngineSettings
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.scorer import GalleryEntry
from streamreid.store.reader import open_reader
from streamreid.store.views import CropPicture, TrackRow
from streamreid.types import IdentityId, TrackKey, UInt8Array

Shuffle = Callable[[list[UInt8Array]], list[UInt8Array]]


def decide_again(
    store: Path, scorer: LocalScorer, settings: EngineSettings, shuffle: Shuffle = list
) -> dict[TrackKey, IdentityId]:
    """Feed the tracks and crops of a store to a new engine.

    Args:
        store: The database of a run.
        scorer: An empty scorer.
        settings: What the engine decides by.
        shuffle: Gives each crop another picture, to see what features are worth.

    Returns:
        The final identity of every track.
    """
    with open_reader(store) as reader:
        tracks = reader.tracks()
        crops = {row.track: reader.crops(row.track) for row in tracks}
    flat = [crop for row in tracks for crop in crops[row.track]]
    pictures = shuffle([_picture(crop) for crop in flat])
    camera = {row.track: row for row in tracks}
    engine = Engine(scorer, settings=settings)
    held: dict[TrackKey, IdentityId] = {}
    arrivals: list[tuple[float, int, int]] = [
        *((crop.captured_at_s, 0, place) for place, crop in enumerate(flat)),
        *((row.ended_at_s, 1, place) for place, row in enumerate(tracks)),
    ]
    for now_s, kind, place in sorted(arrivals):
        if kind == 0:
            crop, row = flat[place], camera[flat[place].track]
            scorer.insert([_entry(crop, row)], scorer.embed([pictures[place]]))
            event: CropAdded | TrackClosed = CropAdded(
                row.track, row.camera_id, crop.key, now_s, row.started_at_s, crop.quality
            )
        else:
            row = tracks[place]
            event = TrackClosed(row.track, row.camera_id, row.started_at_s, row.ended_at_s, "left")
        outcome = engine.observe(event, now_s)
        held |= {decision.track: decision.identity_id for decision in outcome.decisions}
    outcome = engine.close(max(row.ended_at_s for row in tracks))
    return held | {decision.track: decision.identity_id for decision in outcome.decisions}


def _entry(crop: CropPicture, row: TrackRow) -> GalleryEntry:
    return GalleryEntry(crop.key, row.camera_id, row.track, crop.captured_at_s)


def _picture(crop: CropPicture) -> UInt8Array:
    if crop.jpeg is None:
        raise ValueError(f"crop {crop.key} has no picture")
    decoded = cv2.imdecode(np.frombuffer(crop.jpeg, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError(f"the picture of crop {crop.key} is no JPEG")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
