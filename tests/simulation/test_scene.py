"""Scenes: boxes that hold the drawn people, exact repeats, no equal pixels in two cameras."""

from dataclasses import replace

import numpy as np
import pytest

from streamreid.errors import ConfigError
from streamreid.simulation.demo_scene import (
    LOOK_ALIKES,
    PEOPLE,
    demo_cameras,
    demo_scene,
    short_scene,
)
from streamreid.simulation.network import simulate_network
from streamreid.simulation.network_scene import network_scene
from streamreid.simulation.outfit import outfits
from streamreid.simulation.rendering import render
from streamreid.simulation.scenarios import scenario
from streamreid.simulation.scene import Scene, SceneCamera, TrueBox, Walk
from streamreid.types import CameraId, UInt8Array

CAMERA = SceneCamera(CameraId("door"))


def _scene(*walks: Walk, camera: SceneCamera = CAMERA) -> Scene:
    return Scene((camera,), outfits(2, seed=1), walks, duration_s=4.0, fps=5, width=320, height=180)


def _frames(scene: Scene, number: int = 0) -> list[tuple[UInt8Array, list[TrueBox]]]:
    return list(render(scene, scene.cameras[number]))


@pytest.mark.parametrize("mirror", [False, True])
def test_boxes_lie_where_the_picture_changes(mirror: bool) -> None:
    look = replace(CAMERA.look, noise=0.0, mirror=mirror)
    camera = replace(CAMERA, look=look)
    walk = Walk(1, camera.camera_id, 0.0, 4.0)
    empty = _frames(_scene(camera=camera))[0][0].astype(int)
    checked = 0
    for picture, boxes in _frames(_scene(walk, camera=camera)):
        for box in boxes:
            changed = np.abs(picture.astype(int) - empty).max(axis=2) > 25
            left, top, right, low = (round(value) for value in box.box_xyxy)
            inside = changed[top:low, left:right].mean()
            outside = changed.copy()
            # The shadow under the feet reaches out of the box.
            outside[max(0, top - 2) : low + 10, max(0, left - 14) : right + 14] = False
            assert inside > 0.2
            assert outside.sum() == 0
            checked += 1
    assert checked > 8


def test_frames_are_numbered_from_one_and_people_walk() -> None:
    frames = _frames(_scene(Walk(2, CAMERA.camera_id, 0.0, 4.0)))
    assert len(frames) == 20
    middle = [
        (box.box_xyxy[0] + box.box_xyxy[2]) / 2
        for number, (_, boxes) in enumerate(frames, start=1)
        for box in boxes
        if box.frame == number and box.person == 2
    ]
    assert len(middle) > 10
    assert np.all(np.diff(middle) > 0)


def test_who_walks_backwards_comes_from_the_other_side() -> None:
    there = _frames(_scene(Walk(1, CAMERA.camera_id, 0.0, 4.0)))
    back = _frames(_scene(Walk(1, CAMERA.camera_id, 0.0, 4.0, backwards=True)))
    first = next(boxes[0].box_xyxy for _, boxes in there if boxes)
    other = next(boxes[0].box_xyxy for _, boxes in back if boxes)
    assert first[0] < 100
    assert other[2] > 220


def test_a_nearer_person_hides_one_behind() -> None:
    near = Walk(1, CAMERA.camera_id, 0.0, 4.0, lane=1.0)
    far = Walk(2, CAMERA.camera_id, 0.0, 4.0, lane=-1.0)
    both = _frames(_scene(far, near))
    swapped = _frames(_scene(near, far))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(both, swapped, strict=True))


def test_rendering_is_deterministic_and_no_two_cameras_agree() -> None:
    scene = short_scene(demo_scene(), duration_s=8.0, cameras=4)
    small = replace(scene, fps=1, width=320, height=180)
    first, again = (_frames(small) for _ in range(2))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(first, again, strict=True))
    pictures = [_frames(small, number)[-1][0].astype(int) for number in range(4)]
    for one in range(4):
        for other in range(one):
            assert np.abs(pictures[one] - pictures[other]).mean() > 8


def test_the_demo_is_not_trivial() -> None:
    scene = demo_scene()
    assert len(scene.cameras) >= 3
    assert PEOPLE >= 6
    seen = {person: 0 for person in range(1, PEOPLE + 1)}
    for walk in scene.walks:
        seen[walk.person] += 1
    assert min(seen.values()) >= 3
    first, second = (scene.outfits[number - 1] for number in LOOK_ALIKES)
    assert first != second
    assert (first.top, first.pattern, first.bottom_colour) == (
        second.top,
        second.pattern,
        second.bottom_colour,
    )
    looks = [camera.look for camera in demo_cameras()]
    assert len({look.noise for look in looks}) == len({look.gains for look in looks}) == 4
    assert {look.mirror for look in looks} == {False, True}


def test_look_alikes_are_seen_side_by_side() -> None:
    scene = demo_scene()
    first, second = (
        {walk.camera_id: walk for walk in scene.walks if walk.person == person}
        for person in LOOK_ALIKES
    )
    together = [c for c in first if second[c].enter_s < first[c].leave_s - 1.0]
    assert together


def test_a_network_becomes_a_scene() -> None:
    chosen = scenario("clock-offsets", cameras=3, people=6, seed=2)
    visits = simulate_network(chosen.network, chosen.crowd, seed=2)
    scene = network_scene(chosen.network, visits, seed=2)
    assert {walk.person for walk in scene.walks} == set(range(1, 7))
    offsets = {node.camera_id: node.clock_offset_s for node in chosen.network.nodes}
    assert any(offsets.values())
    for camera in scene.cameras:
        assert camera.started_at_s == offsets[camera.camera_id]
        for walk in scene.walks:
            if walk.camera_id == camera.camera_id:
                assert 0 < walk.enter_s - camera.started_at_s < scene.duration_s


@pytest.mark.parametrize(
    "walk",
    [Walk(3, CAMERA.camera_id, 0.0, 1.0), Walk(1, CameraId("elsewhere"), 0.0, 1.0)],
    ids=["no-such-person", "no-such-camera"],
)
def test_walks_of_nobody_are_refused(walk: Walk) -> None:
    with pytest.raises(ConfigError, match="needs a camera and an outfit"):
        _scene(walk)
