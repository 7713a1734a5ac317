"""CMC and mAP against the golden vectors, and properties of the Market rule."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.evaluation.ranking import evaluate_ranking
from tests.golden_data import load_golden


def arguments(arrays: dict[str, Any], junk: bool = False) -> list[Any]:
    """Inputs of a golden file; with `junk` as ordinary wrong items, as the reference ranks them."""
    gallery_id = arrays["g_id"].copy()
    if junk:
        gallery_id[gallery_id == -1] = -2
    return [arrays["dist"], arrays["q_id"], gallery_id, arrays["q_cam"], arrays["g_cam"]]


def random_case(seed: int) -> list[Any]:
    random = np.random.default_rng(seed)
    queries, items = 12, 60
    return [
        random.random((queries, items)),
        random.integers(1, 6, queries),
        random.integers(-1, 6, items),
        random.integers(0, 3, queries),
        random.integers(0, 3, items),
    ]


def test_figures_equal_golden() -> None:
    arrays = load_golden("ranking")
    clean = evaluate_ranking(*arguments(arrays))
    np.testing.assert_allclose(clean.cmc, arrays["cmc_market_nojunk"], atol=1e-12, rtol=0)
    assert clean.mean_ap == pytest.approx(float(arrays["map_nojunk"]), abs=1e-12)
    assert clean.valid_queries == int(arrays["num_valid_queries"])
    with_junk = evaluate_ranking(*arguments(arrays, junk=True))
    np.testing.assert_allclose(with_junk.cmc, arrays["cmc_market"], atol=1e-12, rtol=0)
    assert with_junk.mean_ap == pytest.approx(float(arrays["map"]), abs=1e-12)


def test_other_published_rules_equal_golden() -> None:
    arrays = load_golden("ranking")
    elsewhere = evaluate_ranking(*arguments(arrays, junk=True), same_camera="all")
    np.testing.assert_allclose(elsewhere.cmc, arrays["cmc_sepcam"], atol=1e-12, rtol=0)
    old = evaluate_ranking(*arguments(arrays, junk=True), area="trapezoid")
    assert old.mean_ap == pytest.approx(float(arrays["map_v10_trapz"]), abs=1e-12)
    every = evaluate_ranking(*arguments(arrays, junk=True), counted="every match")
    np.testing.assert_allclose(every.cmc, arrays["cmc_allmatch"], atol=1e-12, rtol=0)


def test_mean_ap_equals_golden_under_ties() -> None:
    arrays = load_golden("ranking_ties")
    found = evaluate_ranking(*arguments(arrays, junk=True))
    assert found.mean_ap == pytest.approx(float(arrays["map"]), abs=1e-12)
    clean = evaluate_ranking(*arguments(arrays))
    assert clean.mean_ap == pytest.approx(float(arrays["map_nojunk"]), abs=1e-12)
    old = evaluate_ranking(*arguments(arrays, junk=True), area="trapezoid")
    assert old.mean_ap == pytest.approx(float(arrays["map_v10_trapz"]), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_cmc_never_falls_and_stays_a_fraction(seed: int) -> None:
    found = evaluate_ranking(*random_case(seed), ranks=20)
    assert (np.diff(found.cmc) >= 0).all()
    assert found.cmc.shape == (20,)
    assert found.cmc[0] == found.rank(1)
    assert found.cmc[-1] <= 1.0
    assert 0.0 <= found.mean_ap <= 1.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_junk_and_own_camera_images_change_nothing(seed: int) -> None:
    distance, query_id, gallery_id, query_camera, gallery_camera = random_case(seed)
    before = evaluate_ranking(distance, query_id, gallery_id, query_camera, gallery_camera)
    extra = np.random.default_rng(seed + 1).random((len(query_id), 3)) * 0.01
    after = evaluate_ranking(
        np.concatenate((extra, distance), axis=1),
        query_id,
        np.concatenate(([-1] * 3, gallery_id)),
        query_camera,
        np.concatenate(([0, 1, 2], gallery_camera)),
    )
    assert after.mean_ap == before.mean_ap
    np.testing.assert_array_equal(after.cmc, before.cmc)
    own = evaluate_ranking(
        np.concatenate((extra[:1, :1], distance[:1]), axis=1),
        query_id[:1],
        np.concatenate((query_id[:1], gallery_id)),
        query_camera[:1],
        np.concatenate((query_camera[:1], gallery_camera)),
    )
    np.testing.assert_array_equal(own.first_match, before.first_match[:1])


def test_queries_without_a_correct_item_are_not_counted() -> None:
    found = evaluate_ranking(
        np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]), [1, 2], [1, 0, 2], [0, 0], [1, 1, 0]
    )
    assert found.valid_queries == 1
    assert found.first_match.tolist() == [1, 0]
    assert np.isnan(found.average_precision[1])
    nothing = evaluate_ranking(np.zeros((1, 1)), [1], [2], [0], [1])
    assert nothing.valid_queries == 0
    assert np.isnan(nothing.mean_ap)


def test_wrong_inputs_are_named() -> None:
    with pytest.raises(ValueError, match=r"distance is \(1, 2\) for 1 query ids"):
        evaluate_ranking(np.zeros((1, 2)), [1], [2], [0], [1])
    with pytest.raises(ValueError, match="finite"):
        evaluate_ranking(np.full((1, 1), np.nan), [1], [1], [0], [1])
