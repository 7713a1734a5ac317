"""What makes one crop better than another."""

import numpy as np
import pytest

from streamreid.tracking.quality import box_qualities, sharpness
from streamreid.types import Float32Array


def _quality(*boxes: tuple[float, float, float, float]) -> Float32Array:
    return box_qualities(np.array(boxes, np.float32).reshape(-1, 4), 640, 480)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param((100, 100, 160, 280), (100, 100, 120, 160), id="size"),
        pytest.param((100, 100, 160, 280), (0, 100, 60, 280), id="cut-off-left"),
        pytest.param((100, 100, 160, 280), (100, 300, 160, 480), id="cut-off-below"),
        pytest.param((100, 100, 160, 280), (100, 100, 300, 280), id="too-wide"),
    ],
)
def test_alone(
    better: tuple[float, float, float, float], worse: tuple[float, float, float, float]
) -> None:
    assert _quality(better)[0] > _quality(worse)[0]


def test_who_is_hidden_is_worse_than_who_hides() -> None:
    alone = _quality((100, 100, 160, 280))[0]
    behind, front = _quality((100, 100, 160, 280), (120, 110, 185, 300))
    assert behind < front < alone


@pytest.mark.parametrize("count", [0, 1, 300])
def test_range_and_shape(count: int) -> None:
    rng = np.random.default_rng(count)
    boxes = rng.uniform(-50, 700, (count, 4)).astype(np.float32)
    qualities = box_qualities(boxes, 640, 480)
    assert qualities.shape == (count,)
    assert ((qualities >= 0) & (qualities <= 1)).all()


def test_sharp_beats_blurred_at_any_size() -> None:
    import cv2

    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (24, 12, 3), dtype=np.uint8)
    sharp = cv2.resize(blocks, (96, 192), interpolation=cv2.INTER_NEAREST)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 10)
    assert sharpness(np.asarray(sharp)) > sharpness(np.asarray(blurred))
    assert 0.3 <= sharpness(np.asarray(blurred)) <= 1.0
    assert sharpness(np.zeros((2, 2, 3), np.uint8)) == pytest.approx(0.3)
