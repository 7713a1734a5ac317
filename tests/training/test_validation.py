"""Held-out identities: clean splits, right figures, and a calibration that is one."""

import pytest
import torch

from streamreid.training.validation import (
    ScoredPairs,
    ValidationFigures,
    fit_calibration,
    hold_out,
    query_gallery,
)
from tests.training.builders import make_images


def test_hold_out_keeps_identities_apart_in_every_source() -> None:
    images = make_images(identities=10, sources=2)
    training, validation = hold_out(images, 5)
    assert len(training) + len(validation) == len(images)
    for source in (0, 1):
        assert len(training.identity[training.source == source].unique()) == 8
        assert len(validation.identity[validation.source == source].unique()) == 2
    assert training.identity.max() == 15
    seen = {tuple(image.flatten().tolist()) for image in training.pixels}
    assert not any(tuple(image.flatten().tolist()) in seen for image in validation.pixels)


def test_queries_are_the_first_image_of_each_identity_and_camera() -> None:
    images = make_images(identities=3, cameras=2, each=4)
    query, gallery = query_gallery(images, 0, per_camera=2)
    assert len(query) == 6
    assert len(gallery) == 12
    assert not set(query.tolist()) & set(gallery.tolist())
    keys = set(zip(images.identity[query].tolist(), images.camera[query].tolist(), strict=True))
    assert len(keys) == 6


def make_pairs(shift: float, spread: float) -> ScoredPairs:
    generator = torch.Generator().manual_seed(1)
    same = torch.zeros(40, 50, dtype=torch.bool)
    same[:, :5] = True
    score = torch.randn(40, 50, generator=generator) * spread + shift * same
    usable = torch.ones_like(same)
    return ScoredPairs(score, same, usable, ValidationFigures(1.0, 1.0, 40, 50))


def test_calibration_of_two_normal_distributions_is_the_known_one() -> None:
    """For equal spreads the log odds are linear: slope shift / spread^2 (Bayes)."""
    found = fit_calibration([make_pairs(6.0, 2.0)], true_share=0.02, words="made up")
    assert found.scale == pytest.approx(1.5, rel=0.25)
    score = torch.tensor([3.0])
    assert found.probability(score).item() == pytest.approx(0.02, abs=0.015)
    assert found.fitted_on == "made up"


def test_calibration_of_scores_far_from_zero_in_a_narrow_band() -> None:
    """Trained scores lie near 20 and differ by tenths; the fit must not care."""
    pairs = make_pairs(6.0, 2.0)
    narrow = ScoredPairs(20 + pairs.score / 20, pairs.same, pairs.usable, pairs.figures)
    plain = fit_calibration([pairs], true_share=0.02, words="")
    found = fit_calibration([narrow], true_share=0.02, words="")
    assert found.scale == pytest.approx(20 * plain.scale, rel=1e-3)
    assert found.probability(narrow.score).numpy() == pytest.approx(
        plain.probability(pairs.score).numpy(), abs=1e-3
    )


def test_pairs_that_are_not_usable_do_not_count() -> None:
    pairs = make_pairs(6.0, 2.0)
    usable = pairs.usable.clone()
    usable[:, :2] = False
    score = pairs.score.clone()
    score[:, :2] = -100.0
    found = fit_calibration(
        [ScoredPairs(score, pairs.same, usable, pairs.figures)], true_share=0.02, words=""
    )
    assert found.scale == pytest.approx(1.5, rel=0.25)


def test_scores_that_point_the_wrong_way_are_refused() -> None:
    with pytest.raises(ValueError, match="slope"):
        fit_calibration([make_pairs(-6.0, 2.0)], true_share=0.02, words="")
