"""The drawing of a match: lines where the evidence says, for crops of any size."""

import numpy as np
import torch

from streamreid.evaluation.draw import MatchEvidence, draw_match
from streamreid.reid.matching import correspondences
from streamreid.reid.qaconv import fold
from streamreid.reid.weights import equal_weight_head
from streamreid.types import Float32Array, UInt8Array
from tests.evaluation.synthetic_people import draw_person


def evidence(contribution: Float32Array, query_map: Float32Array | None = None) -> MatchEvidence:
    flat = np.zeros(12, np.float32)
    return MatchEvidence(
        query_location=np.arange(len(contribution)),
        gallery_location=np.arange(len(contribution)),
        contribution=contribution,
        query_contribution=flat if query_map is None else query_map,
        gallery_contribution=flat,
        height=6,
        width=2,
        score=1.5,
        probability=0.75,
    )


def orange(picture: UInt8Array) -> int:
    """Pixels that are clearly orange."""
    red, green, blue = (picture[..., channel].astype(int) for channel in range(3))
    return int(((red > 150) & (red - blue > 90) & (green - blue > 20)).sum())


def test_lines_are_drawn_for_correspondences() -> None:
    grey = np.full((60, 30, 3), 128, np.uint8)
    without = draw_match(grey, grey, evidence(np.zeros(0, np.float32)))
    drawn = draw_match(grey, grey, evidence(np.array([1.0, 0.5], np.float32)))
    assert without.shape == drawn.shape
    assert drawn.dtype == np.uint8
    assert orange(without) == 0
    assert orange(drawn) > 200


def test_overlay_marks_the_place_that_adds_most() -> None:
    grey = np.full((60, 30, 3), 128, np.uint8)
    places = np.zeros(12, np.float32)
    places[10:] = 1.0  # bottom row
    picture = draw_match(grey, grey, evidence(np.zeros(0, np.float32), places))
    overlay = picture[:, 500:]
    assert orange(overlay[overlay.shape[0] * 3 // 4 :]) > 1000
    assert orange(overlay[: overlay.shape[0] // 2]) == 0


def test_crops_of_different_sizes_and_real_correspondences_are_drawn() -> None:
    maps = torch.nn.functional.normalize(torch.rand(2, 4, 6, 2), dim=1)
    found = correspondences(maps[0], maps[1], fold(equal_weight_head(4, 6, 2)), top=5)
    picture = draw_match(
        draw_person(1, 1, 0, (160, 60)),
        draw_person(1, 2, 0, (33, 90)),
        MatchEvidence.of(found, 0.5),
        captions=("a very long name of a file that does not fit.jpg", "b.jpg"),
    )
    assert picture.ndim == 3
    assert orange(picture) > 0
