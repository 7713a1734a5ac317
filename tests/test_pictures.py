"""Pictures straight from planes: equal to converting the whole frame first."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.pictures import (
    clip_box,
    crop_rgb,
    letterbox_rgb,
    resize_planes_to_rgb,
    small_luma,
)
from streamreid.types import UInt8Array
from tests.video.clips import flat_frame, rgb_frame


def _scene(width: int = 320, height: int = 180) -> UInt8Array:
    rng = np.random.default_rng(3)
    coarse = rng.integers(70, 180, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_resizing_planes_equals_resizing_the_converted_frame() -> None:
    frame = rgb_frame(_scene())
    small = resize_planes_to_rgb(frame, (160, 90))
    whole = resize_planes_to_rgb(frame, (320, 180))
    reference = cv2.resize(whole, (160, 90), interpolation=cv2.INTER_LINEAR)
    assert small.shape == (90, 160, 3)
    assert np.abs(small.astype(int) - reference).mean() < 3.0


@pytest.mark.parametrize(
    ("luma", "full_range", "expected"),
    [(16, False, 0), (235, False, 255), (0, True, 0), (255, True, 255), (128, True, 128)],
)
def test_both_luma_ranges(luma: int, full_range: bool, expected: int) -> None:
    frame = flat_frame(luma=luma, full_range=full_range)
    whole = resize_planes_to_rgb(frame, (32, 24))
    crop = crop_rgb(frame, np.array([4, 4, 30, 30], np.float32))
    assert crop is not None
    for image in (whole, crop):
        assert np.abs(image.astype(int) - expected).max() <= 2


def test_full_range_colours() -> None:
    # Red in JPEG's YCbCr: Y 76, Cb 85, Cr 255.
    image = resize_planes_to_rgb(flat_frame(luma=76, chroma=(85, 255), full_range=True), (32, 24))
    assert np.abs(image[0, 0].astype(int) - [255, 0, 0]).max() <= 3


def test_letterbox_keeps_the_aspect_and_maps_boxes_back() -> None:
    frame = rgb_frame(_scene(320, 180))
    letterbox = letterbox_rgb(frame, (160, 128))
    assert letterbox.image.shape == (128, 160, 3)
    assert (letterbox.left, letterbox.top, letterbox.scale) == (0, 19, 0.5)
    assert (letterbox.image[:19] == 114).all()
    boxes = letterbox.to_frame_boxes(np.array([[10, 29, 60, 999]], np.float32), frame)
    assert boxes.tolist() == [[20.0, 20.0, 120.0, 180.0]]


def test_crops_show_what_the_box_covers() -> None:
    image = _scene()
    crop = crop_rgb(rgb_frame(image), np.array([51.2, 30.9, 121.0, 149.5], np.float32))
    assert crop is not None
    # Pixels 51..121 x 30..150, moved left and up to even corners and widened to even sides.
    assert crop.shape == (120, 72, 3)
    reference = image[30:150, 50:122]
    assert np.abs(crop.astype(int) - reference).mean() < 4.0
    assert crop.base is None or not np.shares_memory(crop, image)


def test_large_crops_are_scaled_down() -> None:
    frame = flat_frame(size=(4000, 3000))
    crop = crop_rgb(frame, np.array([0, 0, 4000, 3000], np.float32))
    assert crop is not None
    assert max(crop.shape) <= 512


@pytest.mark.parametrize(
    "box",
    [
        [0, 0, 0, 0],
        [10, 10, 10, 40],
        [70, 5, 90, 30],
        [-30, -30, -2, -2],
        [30, 30, 10, 10],
        [float("nan"), 0, 5, 5],
        [0, 0, float("inf"), 5],
    ],
)
def test_boxes_without_pixels_give_no_crop(box: list[float]) -> None:
    assert crop_rgb(flat_frame(), np.array(box, np.float32)) is None


_edges = st.floats(-1e4, 1e4, width=32)


@settings(max_examples=60)
@given(st.tuples(_edges, _edges, _edges, _edges), st.integers(2, 70), st.integers(2, 70))
def test_any_box_on_any_frame_gives_a_bounded_crop_or_none(
    box: tuple[float, float, float, float], width: int, height: int
) -> None:
    frame = flat_frame(size=(width, height))
    clipped = clip_box(np.array(box, np.float32), width, height)
    crop = crop_rgb(frame, np.array(box, np.float32))
    assert (crop is None) == (clipped is None)
    if crop is not None:
        assert min(crop.shape[:2]) >= 2
        assert crop.shape[0] <= height + 2
        assert crop.shape[1] <= width + 2


def test_small_luma_averages_noise() -> None:
    rng = np.random.default_rng(0)
    noisy = flat_frame(size=(1280, 720))
    luma = rng.normal(100, 20, noisy.y.shape).clip(0, 255).astype(np.uint8)
    frame = type(noisy)(**{f: getattr(noisy, f) for f in noisy.__slots__} | {"y": luma})
    small = small_luma(frame, 160)
    assert small.shape == (90, 160)
    assert small.std() < 6.0
