"""The truth of the demo scene without drawing it: boxes from the walks alone."""

from dataclasses import replace

from streamreid.simulation.demo_scene import LOOK_ALIKES, demo_scene
from streamreid.simulation.recording import EPOCH_S
from streamreid.simulation.scene import Scene, TrueBox
from streamreid.simulation.truth import SceneTruth, sightings_of


def small_truth() -> SceneTruth:
    """Everybody of the demo in every camera, as plain boxes that walk through the picture."""
    scene = replace(demo_scene(), fps=10)
    boxes = {camera.camera_id: _boxes(scene, camera.camera_id) for camera in scene.cameras}
    started = dict.fromkeys(boxes, EPOCH_S)
    return SceneTruth(
        fps=10.0,
        started_at_s=started,
        sightings=tuple(
            sighting
            for camera, found in boxes.items()
            for sighting in sightings_of(found, camera, started_at_s=EPOCH_S, fps=10.0)
        ),
        look_alikes=(LOOK_ALIKES,),
        boxes=boxes,
    )


def _boxes(scene: Scene, camera: str) -> tuple[TrueBox, ...]:
    found = []
    for walk in scene.walks:
        if walk.camera_id != camera:
            continue
        first, last = round(walk.enter_s * scene.fps), round(walk.leave_s * scene.fps)
        for frame in range(first, last):
            share = (frame - first) / (last - first)
            left = 580.0 * (1.0 - share if walk.backwards else share)
            top = 100.0 + 20.0 * walk.lane
            found.append(TrueBox(frame + 1, walk.person, (left, top, left + 60.0, top + 150.0)))
    return tuple(sorted(found, key=lambda box: (box.frame, box.person)))
