"""Refitting a site from people side by side: who counts, and what moves."""

import numpy as np
import pytest

from streamreid.association.constraints import Span
from streamreid.engine.coefficients import Coefficients
from streamreid.errors import AssociationError
from streamreid.evaluation.site import (
    SiteTrack,
    refit_offset,
    side_by_side,
    stranger_logits,
    strangers_of,
)
from streamreid.gallery.scorer import GalleryEntry
from streamreid.types import CameraId, CropKey, TrackKey
from tests.engine.planted import PlantedScorer

FITTED = Coefficients(stranger_logit=-3.0, calibration_offset=-10.0)


def track(number: int, camera: str, start: float, end: float) -> SiteTrack:
    return SiteTrack(Span(TrackKey(number), CameraId(camera), start, end), (CropKey(number),))


TRACKS = [
    track(1, "a", 0, 10),
    track(2, "a", 5, 15),
    track(3, "b", 5, 15),
    track(4, "a", 20, 30),
]


def test_only_people_at_once_in_one_camera_are_side_by_side() -> None:
    pairs = side_by_side(TRACKS)
    assert [(one.span.track, other.span.track) for one, other in pairs] == [(1, 2)]


def test_strangers_are_different_people_of_one_camera() -> None:
    pairs = strangers_of([(7, TRACKS[0]), (8, TRACKS[1]), (7, TRACKS[2]), (7, TRACKS[3])])
    assert [(one.span.track, other.span.track) for one, other in pairs] == [(1, 2), (2, 4)]


def test_logits_come_from_the_calibration_and_skip_what_is_gone() -> None:
    vectors = {n: np.eye(4, dtype=np.float32)[n % 4] for n in range(1, 5)}
    scorer = PlantedScorer(vectors)
    for number in (1, 2):
        entry = GalleryEntry(CropKey(number), CameraId("a"), TrackKey(number), 0.0)
        scorer.insert([entry])
    pairs = [(TRACKS[0], TRACKS[1]), (TRACKS[0], TRACKS[3])]
    logits = stranger_logits(scorer, pairs, FITTED)
    np.testing.assert_allclose(logits, [16.0 * -0.6 - 10.0], rtol=1e-5)


@pytest.mark.parametrize("shift", [-2.0, 0.0, 1.5])
def test_a_site_of_more_alike_strangers_gets_a_lower_offset(shift: float) -> None:
    rng = np.random.default_rng(0)
    strangers = rng.normal(-6, 1, 500)
    strangers += -3.0 + shift - np.quantile(strangers, 0.9)
    refitted = refit_offset(FITTED, strangers, "site.sqlite")
    assert refitted.calibration_offset == pytest.approx(-10.0 - shift)
    assert "site.sqlite" in refitted.fitted_on


@pytest.mark.parametrize(
    ("coefficients", "count", "message"),
    [(FITTED, 49, "only 49 pairs"), (Coefficients(), 100, "no reference")],
)
def test_says_why_it_cannot(coefficients: Coefficients, count: int, message: str) -> None:
    with pytest.raises(AssociationError, match=message):
        refit_offset(coefficients, np.zeros(count), "site")
