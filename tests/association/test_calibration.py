"""Probabilities, their fit, and the threshold behind a stated rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.association.calibration import (
    DecisionModel,
    DecisionModels,
    expected_calibration_error,
    fit_logistic,
    logit,
    sigmoid,
    threshold_for,
)


@given(st.floats(-30, 30))
def test_logit_undoes_sigmoid(value: float) -> None:
    if abs(value) < 20:
        assert logit(sigmoid(value)) == pytest.approx(value, abs=1e-6)
    assert 0.0 <= sigmoid(value) <= 1.0
    assert sigmoid(value) + sigmoid(-value) == pytest.approx(1.0)


@pytest.mark.parametrize(("value", "expected"), [(1e9, 1.0), (-1e9, 0.0), (0.0, 0.5)])
def test_sigmoid_does_not_overflow(value: float, expected: float) -> None:
    assert sigmoid(value) == pytest.approx(expected)


def test_fit_finds_the_coefficients_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((20_000, 2))
    odds = -1.0 + 2.0 * features[:, 0] - 0.5 * features[:, 1]
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-odds))).astype(float)
    np.testing.assert_allclose(fit_logistic(features, labels), [-1.0, 2.0, -0.5], atol=0.1)


def test_fit_stays_finite_where_classes_separate() -> None:
    features = np.array([[0.0], [1.0], [2.0], [3.0]])
    found = fit_logistic(features, np.array([0.0, 0.0, 1.0, 1.0]), ridge=0.1)
    assert np.isfinite(found).all()
    assert found[1] > 0


def test_fit_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="only one kind"):
        fit_logistic(np.zeros((3, 1)), np.ones(3))


TABLE = ((0.01, 0.99), (0.05, 0.9), (0.2, 0.5))


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.01, 0.99), (0.05, 0.9), (0.2, 0.5), (0.001, 0.99), (0.4, 0.5)]
)
def test_threshold_comes_from_the_table(rate: float, expected: float) -> None:
    assert threshold_for(rate, TABLE) == pytest.approx(expected)


def test_threshold_falls_with_the_rate_between_measured_ones() -> None:
    assert 0.9 < threshold_for(0.02, TABLE) < 0.99
    assert threshold_for(0.02, ()) == pytest.approx(0.9)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_threshold_refuses_rates_that_are_none(rate: float) -> None:
    with pytest.raises(ValueError, match="false_merge_rate"):
        threshold_for(rate, TABLE)


def test_the_model_is_chosen_by_the_evidence() -> None:
    models = DecisionModels(
        *(
            DecisionModel(constant=float(number), cooccurrence=1, transition=1)
            for number in range(4)
        )
    )
    assert models.log_odds(0.0, 0.0, None, None) == 0.0
    assert models.log_odds(0.0, 0.0, 0.5, None) == 1.5
    assert models.log_odds(0.0, 0.0, None, -0.5) == 1.5
    assert models.log_odds(0.0, 0.0, 0.5, 0.25) == 3.75


def test_neutral_time_terms_change_nothing() -> None:
    model = DecisionModel(-1.0, 2.0, 3.0, 4.0, 5.0)
    assert model.log_odds(0.7, 0.25, 0.0, 0.0) == model.log_odds(0.7, 0.25, None, None)


def test_calibration_error() -> None:
    chance = np.repeat([0.1, 0.9], 100)
    right = np.concatenate([np.arange(100) < 10, np.arange(100) < 90]).astype(float)
    assert expected_calibration_error(chance, right, bins=2) == pytest.approx(0.0)
    assert expected_calibration_error(chance, 1 - right, bins=2) == pytest.approx(0.8)
    assert expected_calibration_error(np.zeros(0), np.zeros(0)) == 0.0
