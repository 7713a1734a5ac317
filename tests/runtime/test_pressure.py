"""What is given up under pressure, in which order, and that it comes back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.runtime.pressure import Pressure
from streamreid.types import CameraId, Crop, TrackId


def _crop(track: int, at_s: float) -> Crop:
    box = np.array([0, 0, 4, 8], np.float32)
    image = np.zeros((8, 4, 3), np.uint8)
    return Crop(CameraId("door"), TrackId(track), at_s, 0.0, box, 0.9, 0.5, image)


@pytest.mark.parametrize(
    ("fills", "levels"),
    [
        ([0.0, 0.24, 0.25, 0.5, 0.75, 1.0], [0, 0, 1, 2, 3, 3]),
        ([1.0, 0.38, 0.37, 0.26, 0.2, 0.12, 0.0], [3, 3, 2, 2, 1, 0, 0]),
        ([0.3, 0.2, 0.3, 0.2, 0.1], [1, 1, 1, 1, 0]),
    ],
    ids=["rises", "falls later than it rose", "does not flutter"],
)
def test_levels_rise_at_once_and_fall_with_a_margin(fills: list[float], levels: list[int]) -> None:
    pressure = Pressure()
    assert [pressure.update(fill) for fill in fills] == levels


@pytest.mark.parametrize(("fill", "taken"), [(0.0, 10), (0.3, 5), (1.0, 5)])
def test_every_second_frame_is_given_up_first(fill: float, taken: int) -> None:
    pressure = Pressure()
    pressure.update(fill)
    assert sum(pressure.take_frame() for _ in range(10)) == taken


def test_then_crops_become_rare_and_then_new_tracks_send_none() -> None:
    pressure = Pressure()
    assert pressure.admit(_crop(1, 0.0))
    pressure.update(0.6)
    assert pressure.admit(_crop(2, 1.0))
    assert not pressure.admit(_crop(1, 2.0))
    assert pressure.admit(_crop(1, 9.0))
    pressure.update(0.9)
    assert not pressure.admit(_crop(3, 10.0))
    assert pressure.admit(_crop(2, 10.0))
    pressure.update(0.0)
    assert not pressure.admit(_crop(3, 11.0))
    assert pressure.admit(_crop(4, 11.0))
    pressure.forget(TrackId(3))
    assert not pressure.withheld_tracks


@given(fills=st.lists(st.floats(0.0, 1.0), max_size=30))
def test_without_pressure_nothing_is_given_up(fills: list[float]) -> None:
    pressure = Pressure()
    for fill in [*fills, 0.0, 0.0]:
        pressure.update(fill)
    assert pressure.level == 0
    assert pressure.take_frame()
    assert pressure.admit(_crop(99, 5.0))
