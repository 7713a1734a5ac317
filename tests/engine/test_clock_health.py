"""Clocks that move: the right camera is named, steady ones are left alone, restarts included."""

import numpy as np
import pytest

from streamreid.engine.clock_health import ClockWatch
from streamreid.types import CameraId

NAMES = [CameraId(name) for name in "abcd"]
WAYS = [(0, 1), (1, 2), (2, 3), (3, 0)]


def watch(
    fits: int, *, moved: CameraId | None = None, ways: list[tuple[int, int]] = WAYS, seed: int = 0
) -> ClockWatch:
    """Matches that fit by about 1.5, then as many of which those of one camera do not fit."""
    rng = np.random.default_rng(seed)
    found = ClockWatch()
    for number in range(2 * fits):
        one, other = (NAMES[place] for place in ways[int(rng.integers(len(ways)))])
        broken = number >= fits and moved in (one, other)
        found.observe(one, other, float(rng.normal(-1.0 if broken else 1.5, 1.0)))
    return found


@pytest.mark.parametrize("camera", NAMES)
def test_the_camera_whose_clock_moved_is_named_alone(camera: CameraId) -> None:
    assert watch(120, moved=camera).moved() == {camera}


@pytest.mark.parametrize("seed", range(8))
def test_steady_clocks_are_left_alone(seed: int) -> None:
    assert not watch(200, seed=seed).moved()


@pytest.mark.parametrize(("before", "after", "named"), [(2.9, -0.4, True), (0.9, 0.0, False)])
@pytest.mark.parametrize("seed", range(4))
def test_fitting_less_well_is_no_moved_clock_until_others_fit_better(
    before: float, after: float, named: bool, seed: int
) -> None:
    rng, found = np.random.default_rng(seed), ClockWatch()
    for number in range(200):
        one, other = (NAMES[place] for place in WAYS[number % 4])
        broken = number >= 140 and NAMES[1] in (one, other)
        spread = 0.3 if broken else 0.5
        found.observe(one, other, float(rng.normal(after if broken else before, spread)))
    assert (found.moved() == {NAMES[1]}) is named


def test_of_two_cameras_nobody_can_tell_which_one_moved() -> None:
    assert watch(60, moved=NAMES[0], ways=[(0, 1)]).moved() == set(NAMES[:2])


def test_it_is_over_when_times_fit_again() -> None:
    found = watch(120, moved=NAMES[0])
    for _ in range(40):
        found.observe(NAMES[0], NAMES[1], 1.5)
        found.observe(NAMES[0], NAMES[3], 1.5)
    assert not found.moved()


def test_a_camera_says_nothing_about_its_own_clock() -> None:
    found = ClockWatch()
    found.observe(NAMES[0], NAMES[0], 1.0)
    assert not found.cameras


def test_records_come_back_from_the_store() -> None:
    found, again = watch(120, moved=NAMES[2]), ClockWatch()
    for camera in found.cameras:
        again.load(camera, found.dump(camera))
    assert again.moved() == {NAMES[2]}
    assert again.cameras == found.cameras
    with pytest.raises(ValueError, match="2 values"):
        again.load(NAMES[0], [1.0, 2.0])
