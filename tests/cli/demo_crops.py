"""Crops of the demo scene cut at the true boxes: what a perfect detector would hand over."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamreid.engine.engine import Engine
from streamreid.engine.events import CropAdded, TrackClosed
from streamreid.engine.settings import EngineSettings
from streamreid.evaluation.clustering import ClusterFigures, cluster_figures
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.scorer import Embeddings, GalleryEntry
from streamreid.simulation.demo_scene import demo_scene
from streamreid.simulation.rendering import render_moments
from streamreid.simulation.scene import Walk
from streamreid.types import CropKey, IdentityId, TrackKey, UInt8Array

_SHARES = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, slots=True, eq=False)
class TrueCrop:
    """One crop: whose walk, when, its pixels."""

    walk: Walk
    captured_at_s: float
    image: UInt8Array


def demo_crops() -> list[TrueCrop]:
    """Four crops of every walk of the demo scene, in order of time."""
    scene = demo_scene()
    crops: list[TrueCrop] = []
    for camera in scene.cameras:
        walks = [walk for walk in scene.walks if walk.camera_id == camera.camera_id]
        wanted = [
            (walk.enter_s + share * (walk.leave_s - walk.enter_s), walk)
            for walk in walks
            for share in _SHARES
        ]
        moments = render_moments(scene, camera, [at_s for at_s, _ in wanted])
        for (at_s, walk), (picture, boxes) in zip(wanted, moments, strict=True):
            for box in boxes:
                if box.person == walk.person:
                    left, top, right, low = (round(value) for value in box.box_xyxy)
                    cut = np.ascontiguousarray(picture[top:low, left:right])
                    crops.append(TrueCrop(walk, at_s, cut))
    return sorted(crops, key=lambda crop: crop.captured_at_s)


def decide(
    crops: Sequence[TrueCrop],
    features: Sequence[Embeddings],
    scorer: LocalScorer,
    settings: EngineSettings,
) -> ClusterFigures:
    """Feed crops to the engine that `run` uses and compare its identities with the people.

    Args:
        crops: The crops.
        features: What stands for the look of each crop; its own, or somebody else's.
        scorer: A scorer; it is emptied first.
        settings: What the engine decides by.
    """
    scorer.remove([CropKey(place + 1) for place in range(len(crops))])
    walks = list(dict.fromkeys(crop.walk for crop in crops))
    key = {walk: TrackKey(number) for number, walk in enumerate(walks, start=1)}
    engine = Engine(scorer, settings=settings)
    held: dict[TrackKey, IdentityId] = {}
    arrivals: list[tuple[float, int, int]] = [
        *((crop.captured_at_s, 0, place) for place, crop in enumerate(crops)),
        *((walk.leave_s, 1, place) for place, walk in enumerate(walks)),
    ]
    for now_s, kind, place in sorted(arrivals):
        event: CropAdded | TrackClosed
        if kind == 0:
            crop, entry = crops[place], CropKey(place + 1)
            walk = crop.walk
            scorer.insert(
                [GalleryEntry(entry, walk.camera_id, key[walk], now_s)],
                features[place],
            )
            event = CropAdded(key[walk], walk.camera_id, entry, now_s, walk.enter_s, 0.8)
        else:
            walk = walks[place]
            event = TrackClosed(key[walk], walk.camera_id, walk.enter_s, walk.leave_s, "left")
        held |= {row.track: row.identity_id for row in engine.observe(event, now_s).decisions}
    outcome = engine.close(max(walk.leave_s for walk in walks))
    held |= {row.track: row.identity_id for row in outcome.decisions}
    return cluster_figures([walk.person for walk in walks], [held[key[walk]] for walk in walks])
