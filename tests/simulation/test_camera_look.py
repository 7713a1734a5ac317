"""What a drawn camera does to the picture."""

from dataclasses import replace

import numpy as np
import pytest

from streamreid.simulation.camera_look import CameraLook, Sensor
from streamreid.types import UInt8Array

NEUTRAL = CameraLook(vignette=0.0, noise=0.0)


def _scene() -> UInt8Array:
    return np.random.default_rng(0).integers(0, 256, (36, 64, 3), dtype=np.uint8)


def _sensor(look: CameraLook) -> Sensor:
    return Sensor(look, 64, 36, np.random.default_rng(1))


def test_a_neutral_camera_changes_nothing() -> None:
    scene = _scene()
    assert np.abs(_sensor(NEUTRAL).expose(scene).astype(int) - scene).max() <= 1


@pytest.mark.parametrize(
    ("change", "brighter"),
    [
        ({"gains": (0.5, 1.0, 1.0)}, False),
        ({"gamma": 1.4}, False),
        ({"gamma": 0.7}, True),
        ({"vignette": 0.5}, False),
        ({"slope": 0.4}, False),
    ],
    ids=["gain", "dark-gamma", "bright-gamma", "vignette", "slope"],
)
def test_each_setting_has_its_direction(change: dict[str, object], brighter: bool) -> None:
    look = replace(NEUTRAL, **change)  # type: ignore[arg-type]
    scene = _scene()
    assert bool(_sensor(look).expose(scene).mean() > scene.mean()) == brighter


def test_saturation_zero_is_grey_and_mirror_swaps_sides() -> None:
    scene = _scene()
    grey = _sensor(replace(NEUTRAL, saturation=0.0)).expose(scene).astype(int)
    assert np.ptp(grey, axis=2).max() <= 2
    mirrored = _sensor(replace(NEUTRAL, mirror=True)).expose(scene)
    assert np.abs(mirrored[:, ::-1].astype(int) - scene).max() <= 1


def test_noise_is_fresh_and_as_strong_as_stated() -> None:
    sensor = _sensor(replace(NEUTRAL, noise=4.0))
    flat = np.full((36, 64, 3), 128, np.uint8)
    first, second = sensor.expose(flat).astype(int), sensor.expose(flat).astype(int)
    assert not np.array_equal(first, second)
    assert (first - 128).std() == pytest.approx(4.0, rel=0.1)


def test_a_window_is_developed_as_the_whole_picture() -> None:
    look = replace(NEUTRAL, gains=(0.9, 1.1, 0.8), gamma=1.2, vignette=0.3, slope=0.2)
    sensor, scene = _sensor(look), _scene()
    whole = sensor.develop(scene, (0, 0))
    assert np.array_equal(sensor.develop(scene[10:20], (10, 0)), whole[10:20])
