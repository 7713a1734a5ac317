"""Masks and regions of interest."""

import numpy as np
import pytest

from streamreid.types import Detections
from streamreid.video.zones import Zones
from tests.video.clips import flat_frame

LEFT_HALF = [[0, 0], [32, 0], [32, 48], [0, 48]]


def test_masked_pixels_are_black_in_all_planes() -> None:
    frame = flat_frame(luma=200, chroma=(90, 160))
    hidden = Zones(mask=[LEFT_HALF]).hide(frame)
    assert (hidden.y[:, :32] == 16).all()
    assert (hidden.y[:, 34:] == 200).all()
    assert (hidden.u[:, :16] == 128).all()
    assert (hidden.v[:, 18:] == 160).all()
    assert (frame.y == 200).all()


def test_without_a_mask_the_frame_is_not_copied() -> None:
    frame = flat_frame()
    assert Zones(roi=[LEFT_HALF]).hide(frame) is frame


def _feet_at(*points: tuple[float, float]) -> Detections:
    boxes = [[x - 2, y - 10, x + 2, y] for x, y in points]
    return Detections(np.array(boxes, np.float32), np.full(len(boxes), 0.9, np.float32))


@pytest.mark.parametrize(
    ("zones", "kept"),
    [
        (Zones(mask=[LEFT_HALF]), [50.0]),
        (Zones(roi=[LEFT_HALF]), [10.0]),
        (Zones(roi=[LEFT_HALF], mask=[LEFT_HALF]), []),
        (Zones(), [10.0, 50.0]),
    ],
    ids=["mask", "roi", "both", "none"],
)
def test_people_count_where_they_stand(zones: Zones, kept: list[float]) -> None:
    found = zones.keep(_feet_at((10, 40), (50, 40)))
    assert [float(box[::2].mean()) for box in found.boxes_xyxy] == kept


def test_a_polygon_needs_three_corners() -> None:
    with pytest.raises(ValueError, match="3 corners"):
        Zones(mask=[[[0, 0], [5, 5]]])
