"""Box arithmetic that the detectors share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.detection.detector import (
    MAX_DETECTIONS,
    box_areas,
    pairwise_intersection,
    strongest,
    suppress_doubles,
)
from streamreid.types import Detections


def _detections(*rows: tuple[float, float, float, float, float]) -> Detections:
    array = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(array[:, :4], array[:, 4])


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        pytest.param([], [], id="nobody"),
        pytest.param([(0, 0, 10, 30, 0.5), (1, 1, 10, 30, 0.9)], [0.9], id="double"),
        pytest.param([(0, 0, 10, 30, 0.5), (8, 0, 18, 30, 0.9)], [0.9, 0.5], id="neighbours"),
        pytest.param([(0, 0, 20, 60, 0.9), (2, 2, 18, 45, 0.4)], [0.9], id="half-a-person-inside"),
        pytest.param([(0, 0, 20, 60, 0.9), (6, 36, 14, 60, 0.8)], [0.9, 0.8], id="child-in-front"),
    ],
)
def test_doubles(rows: list[tuple[float, float, float, float, float]], kept: list[float]) -> None:
    found = suppress_doubles(_detections(*rows))
    assert found.confidence.tolist() == pytest.approx(kept)


def test_a_frame_full_of_noise_is_bounded() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 1000, (100_000, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + 10], axis=1)
    found = suppress_doubles(Detections(boxes, rng.random(100_000, dtype=np.float32)))
    assert len(found) <= MAX_DETECTIONS


_box = st.tuples(*[st.integers(0, 60)] * 4, st.floats(0, 1, width=32)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2] + 1), float(b[1] + b[3] + 1), b[4])
)


@given(st.lists(_box, max_size=30))
def test_suppression_keeps_a_spread_out_subset(
    rows: list[tuple[float, float, float, float, float]],
) -> None:
    given_boxes = _detections(*rows)
    found = suppress_doubles(given_boxes)
    assert len(found) == len(suppress_doubles(found))
    assert (np.diff(found.confidence) <= 0).all()
    if rows:
        assert found.confidence[0] == given_boxes.confidence.max()
    shared = pairwise_intersection(found.boxes_xyxy, found.boxes_xyxy)
    areas = box_areas(found.boxes_xyxy)
    iou = shared / (areas[:, None] + areas[None, :] - shared + 1e-6)
    np.fill_diagonal(iou, 0.0)
    assert (iou <= 0.6 + 1e-4).all()


def test_strongest_breaks_ties_by_order() -> None:
    found = strongest(_detections((0, 0, 1, 1, 0.5), (2, 2, 3, 3, 0.5), (4, 4, 5, 5, 0.9)), 2)
    assert found.boxes_xyxy[:, 0].tolist() == [4.0, 0.0]
