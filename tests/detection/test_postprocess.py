"""From network outputs to people: all three layouts, and outputs that went wrong."""

import numpy as np
import pytest

from streamreid.detection.postprocess import (
    ModelLayout,
    OutputKind,
    input_size,
    people_of,
    prepare_batch,
)
from streamreid.errors import DetectorError
from streamreid.types import Float32Array
from tests.video.clips import flat_frame

FRAME = flat_frame(size=(1280, 720))


@pytest.mark.parametrize(
    ("size", "long_side", "expected"),
    [
        ((1920, 1080), 640, (640, 384)),
        ((1280, 720), 640, (640, 384)),
        ((480, 360), 640, (640, 480)),
        ((360, 480), 640, (480, 640)),
        ((640, 640), 640, (640, 640)),
        ((4000, 100), 640, (640, 32)),
        ((1920, 1080), 320, (320, 192)),
    ],
)
def test_input_sizes(size: tuple[int, int], long_side: int, expected: tuple[int, int]) -> None:
    assert input_size(flat_frame(size=size), long_side) == expected


def _output(kind: OutputKind) -> Float32Array:
    """One person at frame pixels (200, 100)..(300, 400), one cat, one weak person."""
    person = (100.0, 50.0 + 12.0, 150.0, 200.0 + 12.0)  # half size, 12 rows of padding on top
    if kind == "people":
        return np.array([[*person, 0.9], [0, 0, 9, 9, 0.1]], np.float32)
    if kind == "end2end":
        rows = [[*person, 0.9, 2], [0, 20, 90, 90, 0.95, 15], [0, 0, 9, 9, 0.1, 2]]
        return np.array(rows, np.float32)
    centre = [125.0, 137.0, 50.0, 150.0]
    columns = [[*centre, 0, 0, 0.9], [45, 55, 90, 70, 0, 0.95, 0], [5, 5, 9, 9, 0, 0, 0.1]]
    return np.array(columns, np.float32).T


@pytest.mark.parametrize("kind", ["people", "end2end", "dense"])
def test_the_same_person_from_every_layout(kind: OutputKind) -> None:
    layout = ModelLayout(output=kind, person_class=2)
    (letterbox,), batch = prepare_batch([FRAME], (640, 384), layout)
    assert batch.shape == (1, 384, 640, 3)
    found = people_of(_output(kind), letterbox, FRAME, layout, 0.35)
    assert found.boxes_xyxy.tolist() == [[200.0, 100.0, 300.0, 400.0]]
    assert found.confidence.tolist() == pytest.approx([0.9])


def test_planar_input_is_scaled_to_one() -> None:
    layout = ModelLayout(output="people", bytes_input=False)
    _, batch = prepare_batch([FRAME, FRAME], (640, 384), layout)
    assert batch.shape == (2, 3, 384, 640)
    assert batch.dtype == np.float32
    assert batch.min() >= 0.0
    assert batch.max() <= 1.0
    assert batch[0, 0, 0, 0] == pytest.approx(114 / 255)


@pytest.mark.parametrize(
    "output",
    [
        np.full((4, 5), np.nan, np.float32),
        np.full((4, 5), np.inf, np.float32),
        np.array([[5, 5, 5, 5, 0.9], [9, 9, 1, 1, 0.9]], np.float32),
        np.zeros((0, 5), np.float32),
    ],
    ids=["nan", "inf", "no-area", "empty"],
)
def test_nonsense_is_nobody(output: Float32Array) -> None:
    layout = ModelLayout(output="people")
    (letterbox,), _ = prepare_batch([FRAME], (640, 384), layout)
    assert len(people_of(output, letterbox, FRAME, layout, 0.35)) == 0


@pytest.mark.parametrize("kind", ["people", "end2end", "dense"])
def test_an_output_of_another_shape_is_an_error(kind: OutputKind) -> None:
    layout = ModelLayout(output=kind)
    (letterbox,), _ = prepare_batch([FRAME], (640, 384), layout)
    with pytest.raises(DetectorError, match="export the weights again"):
        people_of(np.zeros((3, 2), np.float32), letterbox, FRAME, layout, 0.35)
